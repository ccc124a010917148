"""The table of families: which there are, which one a model belongs to, and how one is named and stored."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import msgspec

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.families import (
    act_prm,
    critic,
    er_prm,
    eurus_prm,
    genprm,
    llemma_prm,
    math_minos,
    math_psa,
    math_shepherd,
    pqm,
    pure_prm,
    qwen_prm,
    reason_eval,
    reasonflux_prm,
    rlhflow_prm,
    rprm,
    skywork_prm,
    thinkprm,
    universal_prm,
    versa_prm,
)
from rprm_jobs.judge.families.critic import CriticFamily
from rprm_jobs.judge.families.family import Family, Published, changed
from rprm_jobs.judge.families.genprm import GenPrmFamily
from rprm_jobs.judge.families.rprm import RPRM, CritiqueFamily
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.families.thinkprm import ThinkPrmFamily

# One row for each family; the first that claims a model has it.
ROWS: tuple[Published, ...] = (
    rprm.ROW,
    pure_prm.ROW,
    qwen_prm.ROW,
    universal_prm.ROW,
    reasonflux_prm.ROW,
    act_prm.ROW,
    math_shepherd.ROW,
    rlhflow_prm.ROW,
    math_psa.ROW,
    versa_prm.ROW,
    er_prm.ROW,
    skywork_prm.ROW,
    pqm.ROW,
    llemma_prm.ROW,
    *reason_eval.ROWS,
    math_minos.ROW,
    eurus_prm.ROW,
    *critic.ROWS,
    *genprm.ROWS,
    thinkprm.ROW,
)
FAMILIES: dict[str, Published] = {row.family.name: row for row in ROWS}
# Every kind of family, told apart by its tag where it is stored.
Kinds = CritiqueFamily | CriticFamily | GenPrmFamily | ScoreFamily | ThinkPrmFamily


def find_family(text: str, *, where: str = "--family") -> Family:
    """The family that `NAME` or `NAME,KEY=VALUE,...` stands for; a value of several is `A/B`.

    Raises ConfigError for an unknown name or key.
    """
    name, *pairs = text.split(",")
    row = FAMILIES.get(name.strip())
    if row is None:
        near = difflib.get_close_matches(name, FAMILIES, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"use one of {', '.join(FAMILIES)}"
        raise ConfigError(f"unknown family {name!r}", where=where, hint=f"{hint} (rprm-jobs judges --families)")
    changes: dict[str, str | list[str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"{pair!r} is not KEY=VALUE", where=where, hint=f"e.g. --family {name},threshold=0.4")
        key = key.strip().replace("-", "_")
        changes[key] = value.split("/") if isinstance(getattr(row.family, key, None), tuple) else value
    return changed(row.family, changes, where=where) if changes else row.family


def own_family(card: str | dict[str, Any], *, where: str) -> Family:
    """What `family` in `rprm_judge.json` describes: a family's name, or an object of its fields.

    Of an object, `like` names the family that it starts from, and `name` what it is called. Raises ConfigError.
    """
    if isinstance(card, str):
        return find_family(card, where=where)
    changes = dict(card)
    like = changes.pop("like", None)
    if not isinstance(like, str):
        raise ConfigError('"family" does not say what it is like', where=where, hint='name a family: {"like": "rprm"}')
    return changed(find_family(like, where=where), changes, where=where)


def recognise(name: str, architectures: Sequence[str] | None) -> Family | None:
    """The family that a model belongs to by its name and architectures (None: unknown), or None.

    A name counts only where the architecture is one of the family's, so a critic that is called after a family whose
    labels trained it is not taken for one.
    """
    for row in ROWS:
        known_by = row.known_by
        if known_by.has_name(name) and (architectures is None or known_by.has_architecture(architectures)):
            return row.family
    for row in ROWS:
        if row.known_by.by_architecture and row.known_by.has_architecture(architectures or ()):
            return row.family
    return None


def stored(family: Family) -> dict[str, Any] | None:
    """The family as a recipe holds it: None for the default, else all of its fields."""
    if family == RPRM:
        return None
    built: dict[str, Any] = msgspec.to_builtins(family)
    return built


def read_stored(data: dict[str, Any] | None) -> Family:
    """The family of a recipe. Raises ConfigError for one of a newer version of the program."""
    if data is None:
        return RPRM
    try:
        family: Family = msgspec.convert(data, Kinds)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the job's family of judges cannot be read: {error}", hint="upgrade this machine: pip install -U rprm-jobs"
        ) from error
    return family


def spelled(family: Family) -> str | None:
    """What `--family` takes for this family, or None where the judge's own folder says it."""
    row = FAMILIES.get(family.name)
    if row is None or type(row.family) is not type(family):
        return None
    own: dict[str, Any] = msgspec.to_builtins(family)
    published: dict[str, Any] = msgspec.to_builtins(row.family)
    changes = {key: _typed(value) for key, value in own.items() if value != published[key]}
    if any(value is None or "," in value for value in changes.values()):
        return None
    return ",".join([family.name, *(f"{key}={value}" for key, value in changes.items())])


def _typed(value: Any) -> str | None:
    """A field's value as `--family` takes it; None where it takes none such."""
    if isinstance(value, list | tuple):
        parts = [_typed(part) for part in value]
        return None if any(part is None or "/" in part for part in parts) else "/".join(map(str, parts))
    return str(value) if isinstance(value, str | int | float) else None
