"""LoRA adapters as PEFT writes them, made of a base's folder, and the weights that they would be merged into."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# SIZE changes P(Yes) and leaves the judge able to write.
RANK, ALPHA, SIZE = 4, 8, 0.1
CONFIG = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}


def write_adapter(folder: Path, base: str, weights: Mapping[str, Any] | None = None, **config: Any) -> Path:
    """The folder of an adapter of `base` with these weights, or with two small ones; `config` as adapter_config has."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    small = {f"{stem}.lora_{part}.weight": torch.ones(2, 2) for part in "AB"}
    save_file(dict(weights or small), folder / "adapter_model.safetensors")
    stated = {**CONFIG, "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": base, **config}
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    return folder


def make_adapter(base: Path, adapter: Path, merged: Path, *, scale: float = ALPHA / RANK, **config: Any) -> None:
    """A random adapter, and the base with the adapter merged in by `scale`."""
    import torch
    from safetensors.torch import load_file, save_file

    torch.manual_seed(5)
    shutil.copytree(base, merged)
    weights = load_file(base / "model.safetensors")
    parts = {}
    for name in [n for n in weights if n.endswith(("q_proj.weight", "v_proj.weight"))]:
        down, up = torch.randn(RANK, weights[name].shape[1]) * SIZE, torch.randn(weights[name].shape[0], RANK) * SIZE
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        parts[f"{stem}.lora_A.weight"], parts[f"{stem}.lora_B.weight"] = down, up
        weights[name] = weights[name] + scale * (up @ down)
    write_adapter(adapter, str(base), parts, **config)
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
