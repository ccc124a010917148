"""The rule protocol, the fixed-K rule of the paper, and the way from a recipe to a rule.

A rule asks for as many critiques as it takes, at the least, until its step could be decided. So no step costs one
critique more than when they are sampled one at a time, and it goes through the engine in as few rounds as that allows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import msgspec

from rprm_jobs.errors import ConfigError
from rprm_jobs.stopping.adaptive import Adaptive
from rprm_jobs.stopping.cascade import Cascade
from rprm_jobs.stopping.context import NO_CONTEXT, StepContext
from rprm_jobs.stopping.exact import Exact
from rprm_jobs.stopping.planned import Planned, PlannedByContext, compile_plan, plan_at
from rprm_jobs.types import Critique


class StoppingRule(Protocol):
    """Asked after every answer about one step; pure, so equal votes in an equal context give equal answers.

    `in_order`: it looks at the rewards of earlier steps, so a step is begun when those before it are decided. The steps
    of other rules are judged at the same time, and what they were told of earlier steps would depend on timing.
    """

    in_order: ClassVar[bool]

    def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:
        """How many more critiques of this step to sample now, >= 0; 0 means that the step is decided."""
        ...


@dataclass(frozen=True, slots=True)
class FixedK:
    """The paper's rule: always `k` critiques."""

    k: int
    in_order: ClassVar[bool] = False

    def more(self, critiques: Sequence[Critique], context: StepContext = NO_CONTEXT) -> int:  # noqa: ARG002
        return max(0, self.k - len(critiques))


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    pass


class _Fixed(_Options, frozen=True, tag="fixed"):
    def rule(self, k: int, threshold: float) -> StoppingRule:  # noqa: ARG002 - one signature for all kinds
        return FixedK(k)


class _Exact(_Options, frozen=True, tag="exact"):
    def rule(self, k: int, threshold: float) -> StoppingRule:
        return Exact(k, threshold)


class _Adaptive(_Options, frozen=True, tag="adaptive"):
    confidence: float = 0.95
    min_k: int = 3

    def rule(self, k: int, threshold: float) -> StoppingRule:
        if not 0.5 < self.confidence < 1.0:
            raise ConfigError(f"confidence={self.confidence} is not between 0.5 and 1", hint="choose one, e.g. 0.95")
        if self.min_k < 1:
            raise ConfigError(f"min_k={self.min_k} is below 1", hint="sample at least one critique of a step, e.g. 3")
        return Adaptive(k, threshold, self.confidence, self.min_k)


class _Planned(_Options, frozen=True, tag="planned"):
    changed: float = 0.0025
    pilot: int = 500
    prior: tuple[float, ...] | None = None
    wrong: tuple[float, ...] | None = None
    price: float | None = None
    by_context: bool = False
    priors: tuple[tuple[float, ...], ...] | None = None

    def rule(self, k: int, threshold: float) -> StoppingRule:
        if not 0.0 <= self.changed < 1.0:
            raise ConfigError(f"changed={self.changed} is not in [0, 1)", hint="choose one, e.g. 0.0025")
        if self.price is not None and not 1.0 <= self.price < math.inf:
            raise ConfigError(f"price={self.price} is not a number of critiques >= 1", hint="choose one, e.g. 30")
        if self.pilot < 1:
            raise ConfigError(f"pilot={self.pilot} is below 1", hint="choose a number of steps, e.g. 500")
        if self.by_context and self.price is None:
            raise ConfigError("a plan by context is bounded by a price alone", hint="add --price, e.g. --price 120")
        if self.prior is None:
            # The pilot: the plan is compiled from what these steps get.
            return FixedK(k)
        if self.price is not None and self.priors is not None:
            return PlannedByContext(k, threshold, self.price, self.priors, self.wrong)
        if self.price is not None:
            return Planned(k, threshold, plan_at(self.prior, k, threshold, self.price, self.wrong))
        return Planned(k, threshold, compile_plan(self.prior, k, threshold, self.changed, self.wrong))


class _Cascade(_Options, frozen=True, tag="cascade"):
    confidence: float = 0.95
    weight: float = 2.2

    def rule(self, k: int, threshold: float) -> StoppingRule:
        if not 0.5 < self.confidence < 1.0:
            raise ConfigError(f"confidence={self.confidence} is not between 0.5 and 1", hint="choose one, e.g. 0.95")
        if not 0.0 < self.weight < math.inf:
            raise ConfigError(f"weight={self.weight} is not a number of critiques above 0", hint="choose one, e.g. 2.2")
        return Cascade(k, threshold, self.confidence, self.weight)


KINDS: dict[str, type[_Fixed | _Exact | _Adaptive | _Planned | _Cascade]] = {
    "fixed": _Fixed,
    "exact": _Exact,
    "adaptive": _Adaptive,
    "planned": _Planned,
    "cascade": _Cascade,
}


def resolve_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with every default written out, as a recipe stores them. Raises ConfigError for an unknown one.

    A planned rule is bounded by `changed` or by `price`, and only the one that counts is stored, `by_context` only
    where it is true: so the recipes of jobs from before there were these keep their digest.
    """
    resolved: dict[str, Any] = msgspec.to_builtins(_read(options))
    if "price" in resolved:
        if resolved["price"] is not None and "changed" in options:
            raise ConfigError("changed and price are two bounds of one plan", hint="leave out --changed or --price")
        del resolved["price" if resolved["price"] is None else "changed"]
        for name in ("by_context", "priors"):
            if not resolved[name]:
                del resolved[name]
    return resolved


def make_rule(options: Mapping[str, Any], *, k: int, threshold: float) -> StoppingRule:
    """The rule that a recipe names, of at most `k` critiques a step. Raises ConfigError for one that cannot be."""
    return _read(options).rule(k, threshold)


def _read(options: Mapping[str, Any]) -> _Fixed | _Exact | _Adaptive | _Planned | _Cascade:
    kind = options.get("kind")
    if kind not in KINDS:
        raise ConfigError(f"unknown stopping rule {kind!r}", hint=f"use one of {', '.join(KINDS)}")
    try:
        return msgspec.convert(options, KINDS[kind])
    except msgspec.ValidationError as error:
        raise ConfigError(f"the {kind} rule cannot be used: {error}", hint="correct its options") from error
