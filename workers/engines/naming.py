"""What an engine is called where its judgements are recorded: they are taken again of an engine of this name alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

_LONGEST = 24


def engine_name(kind: str, options: Mapping[str, object], changing: Collection[str]) -> str:
    """The kind, and those of the options that change what is computed, as in "vllm+quantization=fp8".

    One word: a value of several words, or a long one, stands there as the first digits of its SHA-256.
    """
    settings = sorted(
        f"{key}={_word(str(value))}" for key, value in options.items() if key.replace("-", "_") in changing
    )
    return f"{kind}+{','.join(settings)}" if settings else kind


def _word(value: str) -> str:
    if len(value) <= _LONGEST and re.fullmatch(r"[\w.:/-]+", value):
        return value
    return hashlib.sha256(value.encode()).hexdigest()[:8]
