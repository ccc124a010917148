"""Judges that score all steps of a solution in one pass, without writing: a head or chosen logits, read at each step.

Such a family is a text layout, the place where each step is read, a head, and how its numbers become a reward. All are
data: a family of its own is an object in `rprm_judge.json` (`docs/judges.md`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

import msgspec

from rprm_jobs.errors import Refused
from rprm_jobs.judge.families.family import Family, Unit


class Head(StrEnum):
    """What gives the numbers at a place: an own head, logits of the vocabulary, or two language models."""

    CLASSES = "classes"
    ENSEMBLE = "ensemble"
    VALUE = "value"
    VOCABULARY = "vocabulary"
    VOCABULARY_MEAN = "vocabulary-mean"
    LOG_RATIO = "log-ratio"

    @property
    def of_language_model(self) -> bool:
        """Whether the model is a language model without a head of its own."""
        return self in (Head.VOCABULARY, Head.VOCABULARY_MEAN, Head.LOG_RATIO)


class RewardRule(StrEnum):
    """How the numbers at a place become the reward.

    SOFTMAX: the sum of the probabilities of `good`. MARGIN: that, less the others'. SIGMOID: the mean of the sigmoids
    of `scale` times each number. RAW: the first number as it is.
    """

    SOFTMAX = "softmax"
    MARGIN = "margin"
    SIGMOID = "sigmoid"
    RAW = "raw"


class Layout(StrEnum):
    """CHAT: the steps are one assistant turn. TURNS: each step is a user turn. TEXT: no chat frame."""

    CHAT = "chat"
    TURNS = "turns"
    TEXT = "text"


class Place(StrEnum):
    """Which token a step is read at: the tag's last or first, the one before the tag or the second before it, or the
    step's own last.
    """

    TAG = "tag"
    TAG_START = "tag-start"
    BEFORE_TAG = "before-tag"
    BEFORE_STEP_END = "before-step-end"
    STEP_END = "step-end"


class ScoreFamily(Family, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="score"):
    """A family that scores. `outputs` numbers are read at each place, of which those in `good` speak for the step.

    `question` holds `{problem}`; `step` holds `{step}`, and may hold `{number}`, which counts from 1. Behind each step
    stands `tag`, and between a tag and the next step `joint`. `{bos}` and `{pad}` stand for the tokenizer's own tokens.
    With `pieces` question, steps and tags are tokenised one by one. `drop_tag` takes the tags out of the ids again.
    `open_end`: the assistant turn is not closed. `strip`: white space around a step is left out. `strip_number`: so is
    "Step i." or "i." at its beginning. `no_blank_lines`: so are blank lines inside it.
    `labels` are the words whose logits are read, `label_tokens` their ids where the words do not say them.
    `reference` is the other model of a log-ratio, and `scale` what its sum is multiplied by.
    """

    head: Head = Head.CLASSES
    outputs: int = 2
    good: tuple[int, ...] = (1,)
    reading: RewardRule = RewardRule.SOFTMAX
    scale: float = 1.0
    layout: Layout = Layout.CHAT
    system: str | None = None
    question: str = "{problem}"
    step: str = "{step}"
    tag: str = ""
    joint: str = ""
    place: Place = Place.TAG
    pieces: bool = False
    drop_tag: bool = False
    open_end: bool = False
    strip: bool = False
    strip_number: bool = False
    no_blank_lines: bool = False
    labels: tuple[str, ...] = ()
    label_tokens: tuple[int, ...] = ()
    reference: str | None = None

    unit: ClassVar[Unit] = Unit.SOLUTION
    samples: ClassVar[bool] = False
    writes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Raise ValueError (msgspec says where) for fields that do not fit each other."""
        if self.question.count("{problem}") != 1 or self.step.count("{step}") != 1:
            raise ValueError("question holds {problem} once, and step holds {step} once")
        if not self.good or max(self.good) >= self.outputs or min(self.good) < 0:
            raise ValueError(f"good={list(self.good)} are not indices of {self.outputs} outputs")
        if self.head is Head.VOCABULARY and self.outputs not in (len(self.labels), len(self.label_tokens)):
            raise ValueError(f"a vocabulary head of {self.outputs} outputs needs as many labels or label_tokens")
        if self.head is Head.LOG_RATIO and self.reference is None:
            raise ValueError("a log-ratio needs a reference: the name of the model that it is compared with")
        if not self.tag and self.place is not Place.STEP_END:
            raise ValueError(f"place={self.place.value!r} needs a tag")

    @property
    def frame_characters(self) -> int:
        """About how many characters stand before the first step besides the problem."""
        return len(self.system or "") + len(self.question) - len("{problem}")

    @property
    def reward_source(self) -> str:
        """The head's own number, which is no P(Yes) of a critique."""
        return "scores"

    def reward(self, outputs: Sequence[float]) -> float:
        """The reward of a step from the numbers at its place. Raises Refused where one of them is not finite."""
        if not all(map(math.isfinite, outputs)):
            raise Refused(f"the judge's scores are not finite numbers: {list(outputs)[:4]}")
        if self.reading is RewardRule.RAW:
            return float(outputs[0])
        if self.reading is RewardRule.SIGMOID:
            return math.fsum(_sigmoid(self.scale * value) for value in outputs) / len(outputs)
        highest = max(outputs)
        weights = [math.exp(value - highest) for value in outputs]
        good = math.fsum(weights[i] for i in self.good) / math.fsum(weights)
        return good if self.reading is RewardRule.SOFTMAX else 2.0 * good - 1.0

    def outputs_of(self, chance: float) -> list[float]:
        """Numbers that give about the reward `chance` in (0, 1), for an engine without a model."""
        odds = math.log(chance / (1.0 - chance))
        if self.reading in (RewardRule.SIGMOID, RewardRule.RAW):
            return [odds / self.scale] * self.outputs
        bad = max(1, self.outputs - len(self.good))
        shift = odds + math.log(bad / len(self.good))
        return [shift if i in self.good else 0.0 for i in range(self.outputs)]


def _sigmoid(value: float) -> float:
    if value < 0:
        odds = math.exp(value)
        return odds / (1.0 + odds)
    return 1.0 / (1.0 + math.exp(-value))


def score_family(**fields: object) -> ScoreFamily:
    """A published family, checked as one from a file is."""
    return msgspec.convert({"kind": "score", **fields}, ScoreFamily)
