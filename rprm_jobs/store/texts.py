"""Critique texts as the store keeps them: storable, and one zstd blob a solution."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import zstandard

from rprm_jobs.types import Critique, KeepCritiques, SolutionScore, Verdict

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_encode = msgspec.json.Encoder().encode


def storable(text_: str) -> str:
    """Text that Postgres accepts: NUL and lone surrogates become U+FFFD."""
    if text_.isascii() and "\x00" not in text_:
        return text_
    return _UNSTORABLE.sub("\ufffd", text_)


def kept_texts(score: SolutionScore, keep: KeepCritiques) -> list[list[str] | None] | None:
    """The critique texts to keep of one solution, by step and k; None for a step, or the whole, without any."""
    if keep is KeepCritiques.NONE or not score.critiques:
        return None
    by_step: list[list[Critique]] = [[] for _ in score.rewards]
    for critique in score.critiques:
        by_step[critique.step].append(critique)
    # A critique of the whole solution has its text with the first step alone.
    # (One step may lack its texts otherwise: where they were not kept, and its critiques were reused.)
    later = [critique for group in by_step[1:] for critique in group]
    whole = bool(later) and not any(critique.text for critique in later)
    disputed = [keep is KeepCritiques.ALL or _disputed(group) for group in by_step]
    if whole:
        disputed[0] = any(disputed)
    kept = [
        [storable(c.text) for c in group] if wanted and not (whole and step) else None
        for step, (group, wanted) in enumerate(zip(by_step, disputed, strict=True))
    ]
    return kept if any(kept) else None


def pack_texts(texts: Sequence[Sequence[str] | None]) -> bytes:
    """As the store keeps them: zstd over JSON `[[text by k] or null, by step]`."""
    return zstandard.compress(_encode(texts), 3)


def unpack_texts(blob: bytes) -> list[list[str] | None]:
    """The texts by step (None where they were not kept), each a list by k."""
    texts: list[list[str] | None] = msgspec.json.decode(zstandard.decompress(blob))
    return texts


def _disputed(group: Sequence[Critique]) -> bool:
    return len({c.verdict for c in group}) > 1 or any(c.verdict not in (Verdict.YES, Verdict.NO) for c in group)
