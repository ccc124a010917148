"""A critique as training reads it: one verdict or not, which, and whether the text ends in it (R-PRM's filter).

It is read once, when it is recorded, and kept packed beside the texts, so that building a set of millions of critiques
reads no text. The rule has a number: what was read by another rule is read again from the texts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from enum import IntEnum

import msgspec

from rprm_jobs.judge.verdict import find_verdicts

READING_RULE = 2
# Full stops may follow the verdict, and white space may stand before them but not after: `Yes.` ends in its verdict,
# `Yes` and a line break too, `Yes. ` with a space does not. Those who filtered the published training sets read so.
_ENDING = re.compile(r"\s*\.*\Z")


class VerdictForm(IntEnum):
    """What a critique's text amounts to. Only a text with exactly one verdict is valid for training."""

    NO_VERDICT = 0
    SEVERAL_VERDICTS = 1
    YES = 2
    NO = 3
    YES_AND_MORE = 4
    NO_AND_MORE = 5


class CritiqueSummary(msgspec.Struct, frozen=True, array_like=True):
    """`form` is a VerdictForm, `length` the text's characters, `digest` 64 bits of the text's hash."""

    form: int
    length: int
    digest: int


Readings = list[list[CritiqueSummary] | None]


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    rule: int
    steps: Readings


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def verdict_form_of(text: str) -> VerdictForm:
    """The form of one critique's text."""
    verdicts = find_verdicts(text)
    if len(verdicts) != 1:
        return VerdictForm.SEVERAL_VERDICTS if verdicts else VerdictForm.NO_VERDICT
    yes = verdicts[0][1] == "Yes"
    if _ENDING.match(text, verdicts[0].end()):
        return VerdictForm.YES if yes else VerdictForm.NO
    return VerdictForm.YES_AND_MORE if yes else VerdictForm.NO_AND_MORE


def read_critique(text: str) -> CritiqueSummary:
    """Read one critique."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return CritiqueSummary(verdict_form_of(text), len(text), int.from_bytes(digest, "big"))


def read_steps(texts: Sequence[Sequence[str] | None]) -> Readings:
    """The readings by step, each a list by k; None where a step's texts were not kept."""
    return [None if group is None else [read_critique(text) for text in group] for group in texts]


def pack_readings(readings: Readings) -> bytes:
    """As the store keeps them."""
    return _encode(_Packed(READING_RULE, readings))


def unpack_readings(packed: bytes) -> Readings | None:
    """Back from the store; None when they were read by another rule than this version's."""
    stored = _decode(packed)
    return stored.steps if stored.rule == READING_RULE else None
