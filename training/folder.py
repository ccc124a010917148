"""A judge as a folder: loading one to train it further, and writing the trained one so that `--judge FOLDER` works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.resolve import Judge, check_trainable
from rprm_jobs.types import Sampling

CARD = "rprm_judge.json"
ADAPTER = "adapter"


def load_model(location: str | Path, *, revision: str | None = None, dtype: Any = None) -> Any:
    """A causal language model on the CPU, in float32 unless `dtype` says otherwise. Raises JudgeError."""
    import torch
    from transformers import AutoModelForCausalLM

    library: Any = AutoModelForCausalLM
    try:
        return library.from_pretrained(location, revision=revision, dtype=dtype or torch.float32, use_safetensors=True)
    # The libraries below raise everything from OSError to their own Rust errors for a file they cannot use.
    except Exception as error:
        raise JudgeError(
            f"the weights cannot be loaded: {error}", where=str(location), hint="name a folder with safetensors"
        ) from error


def load_tokenizer(judge: Judge) -> Any:
    """The judge's tokenizer. Raises JudgeError, also for a judge that training cannot begin from."""
    from transformers import AutoTokenizer

    check_trainable(judge)

    try:
        return AutoTokenizer.from_pretrained(judge.location, revision=judge.revision)
    except Exception as error:
        raise JudgeError(f"the tokenizer cannot be loaded: {error}", where=judge.location) from error


def stored_dtype(judge: Judge) -> Any:
    """The type in which the judge's weights lie on disk, float32 if it does not say."""
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(judge.location, revision=judge.revision)
    return config.dtype or torch.float32


def keep_trained(trainer: Any, tokenizer: Any, base: Judge, prompt: str, out: Path, dtype: str) -> None:
    """Write the trained judge to `out`, in `dtype` or that of its base. Every process of a training calls this.

    An adapter is merged into the weights, and kept beside them in `adapter/`.
    """
    import torch

    raw = out / "trained"
    trainer.save_model(str(raw))
    if not trainer.is_world_process_zero():
        return
    as_type = getattr(torch, dtype) if dtype else stored_dtype(base)
    if (raw / "adapter_config.json").exists():
        from peft import PeftModel

        model = load_model(base.location, revision=base.revision)
        model = PeftModel.from_pretrained(model, str(raw)).merge_and_unload().to(as_type)
        shutil.rmtree(out / ADAPTER, ignore_errors=True)
        raw.rename(out / ADAPTER)
        # The trainer pickles its arguments there.
        (out / ADAPTER / "training_args.bin").unlink(missing_ok=True)
        write_card(prompt, base.sampling, out / ADAPTER)
    else:
        model = load_model(raw, dtype=as_type)
    write_judge(model, tokenizer, prompt, base.sampling, out)
    shutil.rmtree(raw, ignore_errors=True)


def write_judge(model: Any, tokenizer: Any, prompt: str, sampling: Sampling, out: Path) -> None:
    """Weights, tokenizer, prompt, and the sampling that judging uses by default; the card last."""
    write_model(model, tokenizer, out)
    write_card(prompt, sampling, out)


def write_card(prompt: str, sampling: Sampling, out: Path) -> None:
    """How the judge in `out` is asked: its prompt, and its card last."""
    (out / "prompt.txt").write_text(prompt, encoding="utf-8")
    settings = {
        "prompt": "prompt.txt",
        "max_new_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
    }
    (out / CARD).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def write_model(model: Any, tokenizer: Any, out: Path) -> None:
    """Weights and tokenizer."""
    out.mkdir(parents=True, exist_ok=True)
    # Trainers switch it off; what transformers loads then would generate without a cache.
    model.config.use_cache = True
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
