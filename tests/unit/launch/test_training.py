"""An error of the training program is the command's own: in one style, with its status, and JSON when asked."""

from __future__ import annotations

import json
import os

import pytest

from rprm_jobs.errors import BadLine, ConfigError, InputError, NotFound, TrainingFailed, error_from
from rprm_jobs.launch import training
from rprm_jobs.launch.training import check_training, run_training
from training.options import training_parser

REFUSED = {
    "dpo --out x --stepz 3": ("there is no option --stepz", "did you mean --steps? rprm-jobs train dpo --help"),
    "sft --out x --steps many": ("--steps: 'many' is not a whole number", "rprm-jobs train sft --help"),
    "sft --out x --beta 1": ("there is no option --beta", "did you mean --beta2? rprm-jobs train sft --help"),
    "sft --out x --epochs few": ("--epochs: 'few' is not a number", "rprm-jobs train sft --help"),
    "sft --model": ("--judge has no value", "rprm-jobs train sft --help"),
    "dpo --bf16=yes": ("--bf16 takes no value: 'yes'", "rprm-jobs train dpo --help"),
    "dpo data.jsonl": ("too many arguments: data.jsonl", "rprm-jobs train dpo --help"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_its_parser_speaks_as_the_command_line_does(words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        training_parser().parse_args(words.split())
    assert (refused.value.what, refused.value.hint) == REFUSED[words]


def test_a_choice_is_listed() -> None:
    with pytest.raises(ConfigError, match="--dtype: 'int8' is none of 'float32', 'bfloat16', 'float16'"):
        training_parser().parse_args(["dpo", "--dtype", "int8"])


def test_the_programs_error_comes_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    # What trains is not needed to refuse.
    monkeypatch.setattr(training, "_NEEDS", ())
    with pytest.raises(ConfigError, match="refuses its options: --batch 0 is not at least 1") as refused:
        check_training(["dpo", "--batch", "0", "--out", "x"])
    assert refused.value.hint == "the default is --batch 1"
    with pytest.raises(ConfigError, match="--out is missing"):
        run_training(["sft"], os.environ)
    with pytest.raises(NotFound):
        raise error_from(NotFound("what", where="here", hint="this").as_dict())
    told = InputError("bad", bad_lines=(BadLine("f", 3, "why"),), n_bad=9)
    again = error_from(json.loads(json.dumps(told.as_dict())))
    assert isinstance(again, InputError)
    assert (again.bad_lines, again.n_bad, again.exit_code) == (told.bad_lines, 9, 3)
    failed = error_from(TrainingFailed("died", status=137).as_dict())
    assert (type(failed), failed.exit_code) == (TrainingFailed, 137)
