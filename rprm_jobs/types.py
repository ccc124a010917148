"""The nouns that every layer shares: solutions as they come in, critiques and scores as they go out.

All are frozen. Indices (`step`, `k`, `ord`) count from 0; a label or a first error of -1 means that there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Somebody waits for jobs of this priority or a higher one: workers keep a slot for them (workers.runtime).
URGENT_PRIORITY = 1000


class Verdict(StrEnum):
    """What a critique says of its step. UNPARSED and TRUNCATED are no opinion, never a No."""

    YES = "yes"
    NO = "no"
    UNPARSED = "unparsed"
    TRUNCATED = "truncated"

    @property
    def parsed(self) -> bool:
        return self in (Verdict.YES, Verdict.NO)


class Finish(StrEnum):
    """Why generation ended: by itself or at the verdict (STOP), or at the token limit (LENGTH)."""

    STOP = "stop"
    LENGTH = "length"


class ItemStatus(StrEnum):
    """The outcome of one solution. FAILED and QUARANTINED carry a reason and no first error."""

    OK = "ok"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class JobKind(StrEnum):
    """What a job is for: rewards of every step, critiques of labelled steps to train on, or solutions of problems."""

    SCORE = "score"
    SAMPLE = "sample"
    ROLLOUT = "rollout"
    SEARCH = "search"

    @property
    def writes(self) -> bool:
        """Whether its outcomes are solutions that a policy wrote."""
        return self in (JobKind.ROLLOUT, JobKind.SEARCH)


class KeepCritiques(StrEnum):
    """Whose critique texts are stored: every step's, those of steps whose votes disagree, or none."""

    ALL = "all"
    DISPUTED = "disputed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Solution:
    """One rollout to judge. `label` is the 0-based first wrong step, -1 for none, None when unknown.

    `step_labels` has a rating a step: 1 correct, 0 neutral, -1 wrong, None not rated. `judge_steps` are the 0-based
    steps to be judged, ascending and at least one; None for all of them.
    """

    id: str
    problem: str
    steps: tuple[str, ...]
    label: int | None = None
    step_labels: tuple[int | None, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    judge_steps: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a chat: `role` is system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a model is asked: the user's `text`, and the turns `before` it (a system message, worked examples).

    `frame` is what stands around `text` where a prompt file brings the chat frame itself; else the model's own chat
    template frames it. Without `think` the answer begins outside the thinking block that a template may open.
    """

    text: str
    before: tuple[Turn, ...] = ()
    frame: tuple[str, str] | None = None
    think: bool = True


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one critique is sampled. `temperature` >= 0, `top_p` in (0, 1], `max_new_tokens` >= 1."""

    temperature: float = 0.95
    top_p: float = 0.95
    max_new_tokens: int = 4096


@dataclass(frozen=True, slots=True)
class Critique:
    """One sampled evaluation trajectory of one step.

    `p_yes` is P(Yes) in [0, 1] at the place of the verdict; None where the verdict was not parsed or the engine
    tells no log-probabilities. `tokens` counts generated tokens. `forced`: it ended without a verdict, and the judge
    was asked for one behind it, so `text` holds none. `reused`: it was not sampled for this step.
    """

    step: int
    k: int
    verdict: Verdict
    p_yes: float | None
    tokens: int
    finish: Finish
    text: str
    forced: bool = False
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """What a policy wrote for one problem: `finish` is None while a search still goes on from `steps`.

    `answer` is the final answer as it stands in the text, None where there is none. `tokens` counts all that was
    generated for it. A search has a reward for each of `steps`, and `tree`, which holds every candidate it looked at.
    """

    ord: int
    steps: tuple[str, ...]
    finish: Finish | None
    tokens: int
    answer: str | None = None
    rewards: tuple[float, ...] | None = None
    tree: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SolutionScore:
    """Everything that judging one solution produced, ready to be recorded in one transaction.

    `rewards` has one entry per step: the mean P(Yes) over the step's parsed critiques, None where there is none.
    `judged` are the steps that were to be judged (None: all); `first_error` is one of them, or -1. Where the solution
    was written and not judged, `response` has it and the rest is empty. `keys` are those of the steps' judgements
    (rprm_jobs.judge.judgement), one a step; empty where this outcome is no place to find them. `plan` is the version of
    the plan that its last steps were sampled by, None where there was none.
    """

    ord: int
    status: ItemStatus
    rewards: tuple[float | None, ...]
    first_error: int | None
    critiques: tuple[Critique, ...]
    reason: str | None = None
    judged: tuple[int, ...] | None = None
    response: Response | None = None
    keys: tuple[bytes, ...] = ()
    plan: int | None = None

    @property
    def judged_steps(self) -> Sequence[int]:
        """The 0-based steps that were to be judged, ascending."""
        return range(len(self.rewards)) if self.judged is None else self.judged
