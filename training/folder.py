"""A judge as a folder: loading one to train it further, and writing the trained one so that `--judge FOLDER` works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rprm_jobs.judge.resolve import Judge
from rprm_jobs.types import Sampling


def load_for_training(judge: Judge) -> tuple[Any, Any, Any]:
    """`(model, frozen reference, tokenizer)` of a judge, both models in float32 on the CPU."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    library: Any = AutoModelForCausalLM
    models = [
        library.from_pretrained(judge.location, revision=judge.revision, dtype=torch.float32, use_safetensors=True)
        for _ in range(2)
    ]
    return *models, AutoTokenizer.from_pretrained(judge.location, revision=judge.revision)


def write_judge(model: Any, tokenizer: Any, prompt: str, sampling: Sampling, out: Path, *, dtype: str = "") -> None:
    """Weights in `dtype` ("" as they are), tokenizer, prompt, and the sampling that judging uses by default."""
    import torch

    out.mkdir(parents=True, exist_ok=True)
    if dtype:
        model = model.to(getattr(torch, dtype))
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "prompt.txt").write_text(prompt, encoding="utf-8")
    settings = {
        "prompt": "prompt.txt",
        "max_new_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
    (out / "rprm_judge.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
