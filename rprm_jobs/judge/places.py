"""Which folder a model was in when a job was made of it, and a name that tells two folders of one last name apart."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from rprm_jobs.judge.hub import brief
from rprm_jobs.judge.resolve import Judge

_DIGITS = 7


def model_paths(*, judge: Judge | None = None, policy: Judge | None = None) -> dict[str, str]:
    """The absolute folders of those that are in one and do not come with the package, by "judge" and "policy".

    Of an adapter it is the adapter's own, whose base may be on a hub.
    """
    models = {"judge": judge, "policy": policy}
    return {role: model.home for role, model in models.items() if model is not None and _in_own_folder(model)}


def _in_own_folder(model: Judge) -> bool:
    folder, package = Path(model.home), Path(str(files("rprm_jobs")))
    return folder.is_absolute() and not folder.is_relative_to(package)


def unique_name(name: str, fingerprint: str, paths: Mapping[str, str], role: str = "judge") -> str:
    """A model's name for a table. Of one in a folder its digest is part: many folders have the same last name."""
    return f"{name}@{fingerprint[:_DIGITS]}" if role in paths else brief(name)
