"""Where a model goes and how much it takes: its device, its precision, its longest input."""

from __future__ import annotations

from typing import Any

from rprm_jobs.errors import ConfigError, EngineError, JudgeError
from workers.engines.loading import is_out_of_memory


def find_device(asked: str) -> str:
    """`cpu` or `cuda`, as asked or as there is. Raises EngineError."""
    import torch

    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise EngineError(
            "torch sees no CUDA device", hint="use --engine-arg device=cpu, or install a CUDA build of torch"
        )
    return ("cuda" if there else "cpu") if asked == "auto" else asked


def default_dtype(device: str) -> str:
    """Full precision on a CPU, bfloat16 on a GPU."""
    return "float32" if device == "cpu" else "bfloat16"


def place(model: Any, device: str, where: str) -> Any:
    """The model on its device. Raises EngineError where memory is short."""
    try:
        return model.to(device)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise EngineError(
            f"not enough memory on {device} for the judge's weights",
            where=where,
            hint="use a smaller dtype or a larger GPU",
        ) from error


def longest(model: Any, asked: int, where: str) -> int:
    """The longest input in tokens: as asked, or the model's own. Raises ConfigError, JudgeError."""
    own = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0))
    if own and asked > own:
        raise ConfigError(f"max_model_len={asked} is over the judge's own {own} tokens", hint=f"use at most {own}")
    if not own and not asked:
        raise JudgeError(
            "the judge's configuration names no longest input",
            where=where,
            hint="set --engine-arg max_model_len=...",
        )
    return asked or own
