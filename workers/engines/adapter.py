"""A LoRA adapter of a judge that writes: which ones add up with their base, and the base with one merged into it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.folder import MERGE

# The words' vectors on either side of a model.
_VOCABULARY = re.compile(r"\.(embed_tokens|lm_head|wte|embed_in|embed_out|word_embeddings|output_layer)\.")


def merge_adapter(model: Any, folder: Path) -> Any:
    """`model`, a causal language model on the CPU, with the adapter in `folder` merged into its weights.

    Raises JudgeError when one of the two has weights that the other has no place for; PEFT only warns of that.
    """
    from peft import PeftConfig, PeftModel

    config: Any = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = True
    adapted: Any = PeftModel(model, config)
    # As PEFT's own from_pretrained does for models that transformers has renamed weights of.
    renamed = getattr(model, "_checkpoint_conversion_mapping", {})
    report = adapted.load_adapter(str(folder), "default", torch_device="cpu", key_mapping=renamed)
    for names, what in (
        (report.missing_keys, "the adapter's file lacks {n} of its weights, {first} for one"),
        (report.unexpected_keys, "the base has no place for {n} of the adapter's weights, {first} for one"),
    ):
        if names:
            raise JudgeError(
                what.format(n=len(names), first=min(names)),
                where=str(folder),
                hint="name the base that it was trained on as base_model_name_or_path in adapter_config.json",
            )
    return adapted.merge_and_unload()


def check_tied(names: Iterable[str], config: Any, folder: Path) -> None:
    """Raise JudgeError for weights of an adapter, by their names, that a base of this configuration uses twice.

    Engines differ in whether such an adapter changes one of the uses or both.
    """
    name = next((name for name in names if _VOCABULARY.search(name)), None)
    if name is not None and getattr(config, "tie_word_embeddings", False):
        raise JudgeError(
            f"the adapter changes {name}, and its base has the same weights at both ends", where=str(folder), hint=MERGE
        )


def check_chat_template(tokenizer: Any, folder: Path) -> None:
    """Raise JudgeError when the adapter in `folder` was trained with another chat template than its base's tokenizer's.

    Both engines ask with the base's tokenizer.
    """
    own = _chat_template(folder)
    if own is not None and own.strip() != str(tokenizer.chat_template or "").strip():
        raise JudgeError(
            "the adapter's folder has another chat template than its base",
            where=str(folder),
            hint=f"{MERGE}, with that tokenizer; or remove the template from the adapter's folder to ask as the base",
        )


def _chat_template(folder: Path) -> str | None:
    file, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    if not config.is_file():
        return None
    try:
        template = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, AttributeError) as error:
        raise JudgeError(
            f"it cannot be read: {error}", where=str(config), hint="remove it: the base's tokenizer is used"
        ) from error
    return template if isinstance(template, str) else None
