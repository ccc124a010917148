"""From `--engine-arg key=value` to vLLM's engine arguments, read by vLLM's own parser so that none is out of reach."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from rprm_jobs.errors import ConfigError, JudgeError
from rprm_jobs.judge.resolve import Judge
from workers.engines.options import unknown_option
from workers.engines.vllm.adapter import check_served, set_adapter

# What the judge's own name decides, and what P(Yes) depends on.
_FIXED = {
    "model": "the judge decides the model",
    "revision": "name the revision with the judge: org/model@revision",
    "skip_tokenizer_init": "the engine finds the verdict in text",
    "enable_lora": "name the adapter's folder as the judge",
    "lora_target_modules": "an adapter is served whole",
    "default_mm_loras": "name the adapter's folder as the judge",
    "max_num_queued_reqs": "the worker's --shards-in-flight decides how much is sent",
    "max_num_queued_tokens": "the worker's --shards-in-flight decides how much is sent",
    "worker_extension_cls": "the engine brings its own heads by it",
    "disable_log_stats": "the engine reads vLLM's statistics itself",
}
# What changes the answer to a prompt and a seed by more than the order of sums does.
CHANGING = frozenset({
    "code_revision", "dtype", "hf_config_path", "hf_overrides", "kv_cache_dtype", "load_format", "logits_processors",
    "lora_dtype", "model_impl", "override_generation_config", "quantization", "speculative_config", "tokenizer",
    "tokenizer_mode", "tokenizer_revision",
})  # fmt: skip
_YES, _NO = {"true", "yes", "1", "on"}, {"false", "no", "0", "off"}
_LEAST_CACHE_BYTES, _MOST_CACHE_BYTES = 1024**3, 32 * 1024**3


def engine_arguments(judge: Judge, options: Mapping[str, str]) -> Any:
    """vLLM's AsyncEngineArgs for `judge`. Raises ConfigError for an unknown key (with near matches) or a bad value."""
    parser = _parser()
    actions = {action.dest: action for action in parser._actions if action.option_strings}
    chosen = {key.replace("-", "_"): value for key, value in options.items()}
    argv = [part for key, value in chosen.items() for part in _argument(actions, key, value)]
    parsed = parser.parse_args(argv)
    # Set before the arguments are built: offline, vLLM looks for the named model at once.
    parsed.model = judge.location
    parsed.revision = parsed.tokenizer_revision = judge.revision
    parsed.disable_log_stats = True
    arguments = _validated(parsed, judge)
    if "enable_prefix_caching" not in chosen:
        arguments.enable_prefix_caching = True
    if "load_format" not in chosen:
        arguments.load_format = "safetensors"
    if judge.adapter is not None:
        set_adapter(arguments, check_served(Path(judge.adapter)), chosen)
    if "raw" not in str(arguments.logprobs_mode):
        raise ConfigError("P(Yes) is a matter of the raw distribution", hint="leave logprobs_mode as it is")
    _set_cpu_defaults(arguments, chosen)
    return arguments


def _validated(parsed: argparse.Namespace, judge: Judge) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs

    try:
        return AsyncEngineArgs.from_cli_args(parsed)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"vLLM does not take these arguments: {error}", hint="correct them after --engine-arg"
        ) from error
    except OSError as error:
        raise JudgeError(
            f"the judge is not there: {error}", where=judge.location, hint="check the model id and the network"
        ) from error


def _parser() -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    make: Any = FlexibleArgumentParser
    parser = make(add_help=False)
    # argparse would print and end the process.
    parser.error = _refuse
    return AsyncEngineArgs.add_cli_args(parser)


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"vLLM does not take this argument: {message}", hint="correct it after --engine-arg")


def _argument(actions: Mapping[str, argparse.Action], key: str, value: str) -> list[str]:
    """The words of one argument on vLLM's command line."""
    if key in _FIXED:
        raise ConfigError(f"{key} cannot be set here", hint=_FIXED[key])
    if key not in actions:
        raise unknown_option(key, [name for name in actions if name not in _FIXED], engine="vllm")
    action = actions[key]
    flag = max(action.option_strings, key=lambda name: not name.startswith("--no-"))
    if isinstance(action, argparse.BooleanOptionalAction) or action.nargs == 0:
        if value.lower() not in _YES | _NO:
            raise ConfigError(f"{key}={value!r} is neither true nor false", hint=f"write {key}=true or {key}=false")
        return [flag if value.lower() in _YES else f"--no-{flag.removeprefix('--')}"]
    if action.nargs in ("+", "*"):
        return [flag, *value.split(",")]
    return [f"{flag}={value}"]


def _set_cpu_defaults(arguments: Any, chosen: Mapping[str, str]) -> None:
    """On a CPU: full precision, no compilation, and a share of the memory that leaves the machine usable."""
    import psutil
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return
    if "dtype" not in chosen:
        arguments.dtype = "float32"
    if "enforce_eager" not in chosen:
        arguments.enforce_eager = True
    if arguments.enable_chunked_prefill:
        raise ConfigError(
            "vLLM on a CPU cannot prefill in chunks and draw from seeds: it rewinds generators that cannot be rewound",
            hint="leave enable_chunked_prefill as it is",
        )
    arguments.enable_chunked_prefill = False
    if "block_size" not in chosen:
        # Only whole blocks are shared, and the default of 128 tokens is longer than many a prompt's common part.
        arguments.block_size = 32
    if not {"kv_cache_memory_bytes", "gpu_memory_utilization"} & chosen.keys() and not os.environ.get(
        "VLLM_CPU_KVCACHE_SPACE"
    ):
        weights = sum(path.stat().st_size for path in Path(arguments.model).glob("*.safetensors"))
        wanted = max(_LEAST_CACHE_BYTES, min(2 * weights, _MOST_CACHE_BYTES))
        arguments.kv_cache_memory_bytes = min(wanted, psutil.virtual_memory().available // 4)
