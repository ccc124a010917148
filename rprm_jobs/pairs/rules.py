"""The rules of a training set: everything that decides, with the jobs it is built from, which rows it has.

They are stored with the set and have a digest. `seed` orders rows and problems; equal seeds give equal sets.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from rprm_jobs.errors import ConfigError
from rprm_jobs.pairs.labels import Neutral
from rprm_jobs.pairs.summary import READING_RULE


class SetKind(StrEnum):
    """What a training set holds: preference pairs, or single critiques to imitate."""

    PAIRS = "pairs"
    SFT = "sft"


class PairRule(StrEnum):
    """Which pairs a step gives; see `rprm_jobs.pairs.select`."""

    PAPER = "paper"
    ALL = "all"
    DISTINCT = "distinct"


class PerStep(StrEnum):
    """How many of a step's agreeing critiques a set for SFT keeps."""

    ALL = "all"
    LAST = "last"


class _Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What both kinds of sets have. `balance` cuts the larger of the classes Yes and No down to the smaller.

    `validation` is a fraction of the rows when below 1, else a number of rows; whole problems go there, so it is at
    least that large.
    """

    neutral: Neutral = Neutral.CORRECT
    balance: bool = True
    validation: float = 0.05
    seed: int = 42
    reading: int = READING_RULE

    def __post_init__(self) -> None:
        if not self.validation >= 0 or (self.validation >= 1 and self.validation != int(self.validation)):
            raise ConfigError(
                f"validation={self.validation:g} is neither a fraction below 1 nor a number of rows",
                hint="for example 0.05, or 20000, or 0 for none",
            )
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed} is not in 0..2**63-1", hint="for example --seed 42")

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the rules' canonical JSON."""
        return hashlib.sha256(msgspec.json.encode(self.canonical(), order="sorted")).hexdigest()

    def canonical(self) -> dict[str, Any]:
        """What the digest is of."""
        return self.to_builtins()

    def validation_rows(self, total: int) -> int:
        """How many of `total` rows the validation split should have at the least."""
        return math.ceil(total * self.validation) if self.validation < 1 else int(self.validation)

    def to_builtins(self) -> dict[str, Any]:
        """As JSON types, for the store."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built


class SftRules(_Rules, frozen=True, tag="sft"):
    """The paper's filter: critiques with exactly one verdict, which agrees with the label and ends the text.

    Of each step all of them (`per_step`), or the last one that was sampled, as R-PRM's code has it.
    """

    per_step: PerStep = PerStep.ALL

    def canonical(self) -> dict[str, Any]:
        """Without `per_step` where it is all, so that sets from before there was a choice keep their digest."""
        built = super().canonical()
        if self.per_step is PerStep.ALL:
            del built["per_step"]
        return built

    @property
    def set_kind(self) -> SetKind:
        """What these rules make."""
        return SetKind.SFT


class PairRules(_Rules, frozen=True, tag="pairs"):
    """`max_pairs` a step and `max_length_difference`, in (0, 1] of the longer text, bound `distinct` alone."""

    rule: PairRule = PairRule.DISTINCT
    max_pairs: int = 2
    max_length_difference: float = 0.5

    @property
    def set_kind(self) -> SetKind:
        """What these rules make."""
        return SetKind.PAIRS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_pairs < 1:
            raise ConfigError(f"max_pairs={self.max_pairs} is below 1", hint="allow at least one pair a step")
        if not 0 < self.max_length_difference <= 1:
            raise ConfigError(
                f"max_length_difference={self.max_length_difference:g} is not in (0, 1]",
                hint="0.5 allows the longer text twice the length of the shorter, 1 any length",
            )


Rules = PairRules | SftRules


def pair_rules(rule: PairRule = PairRule.DISTINCT, *, bounds: Mapping[str, Any], **common: Any) -> PairRules:
    """Pair rules of a request: `bounds` are those of `distinct`, None for its default. Raises ConfigError."""
    chosen = {name: value for name, value in bounds.items() if value is not None}
    if chosen and rule is not PairRule.DISTINCT:
        raise ConfigError(
            f"the rule {rule.value} has no bounds of its own",
            hint=f"leave out --{next(iter(chosen)).replace('_', '-')}, or choose --rule distinct",
        )
    return PairRules(rule=rule, **chosen, **common)


def read_rules(stored: dict[str, Any]) -> Rules:
    """Back from the store. Raises ConfigError for the rules of a newer version of the program."""
    try:
        return msgspec.convert(stored, PairRules | SftRules)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the set's rules cannot be read: {error}", hint="upgrade this machine: pip install -U rprm-jobs"
        ) from error
