"""What vLLM makes of a LoRA adapter. It leaves out some of what PEFT knows, and must not judge with what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.adapter import Adapter, read_adapter
from rprm_jobs.judge.folder import MERGE

# By the field of adapter_config.json that has a value where it is used.
_UNKNOWN = {
    "use_dora": "DoRA",
    "modules_to_save": "whole modules (modules_to_save)",
    "lora_bias": "biases of its own",
    "alora_invocation_tokens": "activation by tokens (aLoRA)",
    "layer_replication": "repeated layers",
    "trainable_token_indices": "trained tokens",
    "use_bdlora": "block-diagonal matrices",
    "use_qalora": "QALoRA",
}
_PARTS = (".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B")
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def check_served(folder: Path) -> Adapter:
    """The adapter. Raises JudgeError for one that vLLM does not load whole; vLLM itself is not needed for that."""
    adapter = read_adapter(folder)
    for what in _unserved(adapter):
        raise JudgeError(
            f"the adapter has {what}, which vLLM does not serve",
            where=str(folder),
            hint=f"use --engine transformers; or {MERGE}",
        )
    return adapter


def _unserved(adapter: Adapter) -> Iterator[str]:
    config = adapter.config
    yield from (what for field, what in _UNKNOWN.items() if config.get(field))
    if config.get("bias") not in (None, "none"):
        yield f"biases (bias={config['bias']})"
    # Such as embeddings that were made larger, which PEFT saves without being told.
    yield from (name for name in adapter.weights if name != "__metadata__" and not name.endswith(_PARTS))


def check_patterns(adapter: Adapter) -> None:
    """Raise JudgeError for ranks or scales by module under a version of vLLM that would take one for all of them."""
    from vllm.lora.peft_helper import PEFTHelper

    for field in ("rank_pattern", "alpha_pattern"):
        if adapter.config.get(field) and field not in PEFTHelper.__dataclass_fields__:
            raise JudgeError(
                f"the adapter has a {field}, which this version of vLLM does not read",
                where=str(adapter.folder),
                hint=f"upgrade vLLM; or {MERGE}",
            )


def set_adapter(arguments: Any, adapter: Adapter, chosen: Mapping[str, str]) -> None:
    """Make room for the adapter in vLLM's arguments; `chosen` are those that the user named."""
    check_patterns(adapter)
    ranks = (adapter.config.get("r"), *(adapter.config.get("rank_pattern") or {}).values())
    if not all(isinstance(rank, int) and rank > 0 for rank in ranks):
        raise JudgeError(
            f"the adapter's rank is {ranks[0]}",
            where=str(adapter.folder),
            hint="write r, as PEFT's save_pretrained does",
        )
    arguments.enable_lora = True
    if "max_lora_rank" not in chosen:
        # vLLM takes certain ranks only; a larger one costs memory and changes nothing else.
        arguments.max_lora_rank = next((n for n in _RANKS if n >= max(ranks)), max(ranks))
