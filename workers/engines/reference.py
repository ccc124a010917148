"""The other model of a log-ratio: found for a judge, and held to read the same ids."""

from __future__ import annotations

from rprm_jobs.errors import JudgeError, NotFound
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import Judge, resolve_model


def reference_of(judge: Judge) -> Judge:
    """The model that the judge's family names. Raises JudgeError when it names none, or one that is not there."""
    name = judge.family.reference if isinstance(judge.family, ScoreFamily) else None
    if name is None:
        raise _unusable(judge, "the family names no reference model", judge.location)
    try:
        reference = resolve_model(name)
    except (NotFound, JudgeError) as error:
        raise _unusable(judge, f"the reference model cannot be used: {error.what}", name) from error
    if reference.adapter is not None:
        raise _unusable(judge, "the reference model is an adapter, and a whole model is needed", reference.adapter)
    return reference


def check_vocabularies(judge: Judge, reference: Judge, ours: int, theirs: int) -> None:
    """Raise JudgeError unless both have as many tokens."""
    if ours != theirs:
        what = f"the reference has {theirs:,} tokens and the judge {ours:,}, so they do not read the same ids"
        raise _unusable(judge, what, reference.name)


def _unusable(judge: Judge, what: str, where: str) -> JudgeError:
    return JudgeError(what, where=where, hint=f"name it: --family {judge.family.name},reference=FOLDER or ORG/MODEL")
