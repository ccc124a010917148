"""What every family of judges has: a name, a unit of work, a scale of rewards, and models that belong to it.

A family is data. It is stored in the recipe of each job that is judged by it (except R-PRM's, which is the default), so
a job keeps its meaning when a published family is corrected here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.prompt import FIELDS, PromptTemplate
from rprm_jobs.types import Sampling


class Unit(StrEnum):
    """What one call of the engine judges: one step, the solution up to a step, or the whole solution."""

    STEP = "step"
    PREFIX = "prefix"
    SOLUTION = "solution"

    @property
    def each(self) -> str:
        """For a count, as in "8 critiques a step": a prefix ends in the step that it is judged for."""
        return "a solution" if self is Unit.SOLUTION else "a step"


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """A family of judges. Each subclass is a way of judging, told apart by `kind` where it is stored.

    Rewards are in [`lowest`, `highest`], None where there is no bound. The first step whose reward is below the
    threshold is called wrong; `threshold` is the published one, in the unit of the rewards.
    """

    name: str
    threshold: float = 0.5
    lowest: float | None = 0.0
    highest: float | None = 1.0

    unit: ClassVar[Unit]
    # Whether K samples of one unit differ, and how many are drawn where nothing is said.
    samples: ClassVar[bool] = True
    default_k: ClassVar[int] = 10
    # Whether the judge writes: a language model that generates, and whose text is kept.
    writes: ClassVar[bool] = True
    # How a judge that says nothing else is sampled; with `greedy_alone` one sample is the likeliest text.
    default_sampling: ClassVar[Sampling] = Sampling()
    greedy_alone: ClassVar[bool] = False
    # The fields that its prompt may have (rprm_jobs.judge.prompt.FORMS).
    forms: ClassVar[tuple[tuple[str, ...], ...]] = (FIELDS,)

    @property
    def prompt_name(self) -> str:
        """The package's prompt for judges that bring none."""
        return "default"

    @property
    def votes_for_first_error(self) -> bool:
        """Whether the first error is voted on, so that it need not follow from the rewards."""
        return False

    @property
    def reward_source(self) -> str:
        """What rewards are made of where the engine told it, as result rows say it."""
        return "logprobs"

    def fits(self, template: PromptTemplate) -> bool:
        """Whether a prompt has the fields that the family fills."""
        return sorted(template.fields) in [sorted(form) for form in self.forms]

    def check_prompt(self, template: PromptTemplate) -> None:
        """Raise ConfigError for a prompt with the fields of another family."""
        if not self.fits(template):
            wanted = " or ".join(" and ".join(f"{{{name}}}" for name in form) for form in self.forms)
            raise ConfigError(
                f"the prompt is of another family than {self.name}: it has {', '.join(template.fields)}",
                hint=f"a prompt of {self.name} has {wanted}",
            )

    @property
    def digest(self) -> str:
        """Hex SHA-256 of what a worker must know to serve the family: all but the threshold."""
        data = {name: value for name, value in msgspec.to_builtins(self).items() if name != "threshold"}
        return hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()

    def check_threshold(self, threshold: float) -> None:
        """Raise ConfigError for a threshold that no reward of this family can be on either side of."""
        low = float("-inf") if self.lowest is None else self.lowest
        high = float("inf") if self.highest is None else self.highest
        if not low <= threshold <= high:
            unit = f"[{low:g}, {high:g}]"
            raise ConfigError(
                f"--threshold {threshold:g} is not in {unit}, where the rewards of {self.name} are",
                hint=f"leave it out, or choose one such as the published --threshold {self.threshold:g}",
            )

    def resolve_k(self, k: int | None) -> int:
        """How many samples a unit gets. Raises ConfigError for more than one where all would be the same."""
        if k is None:
            return self.default_k if self.samples else 1
        if k > 1 and not self.samples:
            raise ConfigError(
                f"-k {k} has no effect: {self.name} reads its scores in one pass, and every pass gives the same",
                hint="leave out -k",
            )
        return k

    def check_recipe(self, *, stopping: str, until_first_error: bool) -> None:
        """Raise ConfigError for options that have no effect on this family."""
        if self.samples:
            return
        if stopping != "fixed":
            raise ConfigError(
                f"--stopping {stopping} has no effect: {self.name} has one score a step, and no critiques to save",
                hint="leave out --stopping",
            )
        if until_first_error:
            raise ConfigError(
                f"--until-first-error has no effect: {self.name} scores all steps in one pass",
                hint="leave out --until-first-error",
            )


@dataclass(frozen=True, slots=True)
class KnownBy:
    """How a family's models are recognised: by their architecture, and by a part of their name.

    `architectures` are names in `config.json`; `names` is a regular expression searched in the hub id or the folder's
    name, in any case. With `by_architecture` the architecture alone is enough: no other family has it.
    """

    architectures: tuple[str, ...]
    names: str = ""
    by_architecture: bool = False

    def has_name(self, name: str) -> bool:
        """Whether a model of this name is of the family."""
        return bool(self.names) and re.search(self.names, name, re.IGNORECASE) is not None

    def has_architecture(self, architectures: Iterable[str]) -> bool:
        """Whether a model of one of these architectures can be of the family."""
        return not set(self.architectures).isdisjoint(architectures)


@dataclass(frozen=True, slots=True)
class Published:
    """A row of the table: a family, its models, and what they are in a few words.

    `prmbench_change`: PRMBench's own runner calls a step of this family valid when its reward less the one before it
    (the first: its reward) is above that; None where a threshold of the rewards decides. It is no part of a recipe.
    """

    family: Family
    known_by: KnownBy
    about: str
    prmbench_change: float | None = None


def changed(family: Family, changes: dict[str, Any], *, where: str) -> Family:
    """The family with other values in some of its fields. Raises ConfigError for an unknown field or a bad value."""
    data = {**msgspec.to_builtins(family), **changes}
    unknown = sorted(changes.keys() - set(family.__struct_fields__))
    if unknown:
        fields = ", ".join(name for name in family.__struct_fields__ if name != "name")
        raise ConfigError(f"family {family.name} has no {unknown[0]!r}", where=where, hint=f"it has {fields}")
    try:
        return msgspec.convert(data, type(family), strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"family {family.name}: {error}", where=where, hint="correct the value") from error
