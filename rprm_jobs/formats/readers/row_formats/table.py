"""The row formats by name, each made when it is asked for; `auto` tries them in this order, the specific ones first."""

from __future__ import annotations

from importlib import import_module

from rprm_jobs.errors import ConfigError
from rprm_jobs.formats.readers.row_formats.protocol import RowFormat

_PACKAGE = "rprm_jobs.formats.readers.row_formats"
FORMATS = {
    "prm800k": "prm800k_rows:FORMAT",
    "prmbench": "prmbench:FORMAT",
    "visualprocessbench": "visualprocessbench:FORMAT",
    "processbench": "own:PROCESSBENCH",
    "deltabench": "deltabench:FORMAT",
    "versaprm": "versaprm:FORMAT",
    "thinkprm": "thinkprm:FORMAT",
    "nemo-gym-failures": "companions:FAILURES",
    "nemo-gym": "nemo_gym:FORMAT",
    "prime-rl": "prime_rl:FORMAT",
    "prime-rl-updates": "companions:UPDATES",
    "verifiers-traces": "prime_rl:TRACES",
    "openai-batch": "openai_batch:FORMAT",
    "datatrove": "datatrove:FORMAT",
    "lm-eval": "lm_eval:make",
    "skyrl": "skyrl:FORMAT",
    "skyrl-metrics": "companions:METRICS",
    "areal": "areal:FORMAT",
    "ms-swift": "ms_swift:FORMAT",
    "trl-stepwise": "trl:STEPWISE",
    "verifiers": "verifiers:FORMAT",
    "nemo-skills": "nemo_skills:FORMAT",
    "rprm": "own:FORMAT",
    "verl": "verl:DUMP",
    "math-shepherd": "math_shepherd:FORMAT",
    "rlhflow": "rlhflow:FORMAT",
    "genprm": "genprm:FORMAT",
    "chat": "chat:FORMAT",
    "distilabel": "distilabel:FORMAT",
    "trl": "trl:COMPLETIONS",
    "openrlhf": "openrlhf:FORMAT",
    "verl-dataset": "verl:DATASET",
}


def make_format(name: str) -> RowFormat:
    """The format of this name, for one file. Raises ConfigError."""
    if name not in FORMATS:
        raise ConfigError(f"--format {name} is no format", hint=f"name auto, or one of {', '.join(sorted(FORMATS))}")
    module, _, attribute = FORMATS[name].partition(":")
    row_format = getattr(import_module(f"{_PACKAGE}.{module}"), attribute)
    return row_format if isinstance(row_format, RowFormat) else row_format()


def all_formats() -> list[RowFormat]:
    """Every format, for one file, in the order in which `auto` tries them."""
    return [make_format(name) for name in FORMATS]
