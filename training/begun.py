"""What an interrupted training leaves in `checkpoints/`, and who may go on with it or write over it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError, Conflict

BEGUN = "begun.json"


def checkpoints(out: Path) -> Path:
    """Where a training into the folder `out` keeps its checkpoints."""
    return out / "checkpoints"


def has_checkpoint(out: Path) -> bool:
    """Whether a training was interrupted after its first checkpoint."""
    return any(checkpoints(out).glob("checkpoint-*"))


def check_folder(out: Path, *, resume: bool, restart: bool) -> None:
    """Raise Conflict where a run would begin over the checkpoints of another unasked, or would resume none."""
    if resume and restart:
        raise ConfigError("--resume and --restart contradict each other", hint="leave one of them out")
    if resume and not has_checkpoint(out):
        raise ConfigError(
            "there is no checkpoint to go on from", where=str(checkpoints(out)), hint="leave out --resume"
        )
    if has_checkpoint(out) and not (resume or restart):
        raise Conflict(
            "an interrupted training left checkpoints there",
            where=str(checkpoints(out)),
            hint="go on from them with --resume, or begin again with --restart, which removes them",
        )


def begin(out: Path, what: Mapping[str, Any], *, resume: bool) -> None:
    """Note what is trained, so that only the same is resumed; `what` is the recipe, and digests of judge and data.

    Raises Conflict where something else was, ConfigError where nothing can be written.
    """
    file = checkpoints(out) / BEGUN
    if resume and file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
        differs = [
            f"{name} was {before.get(name)}, now {value}" for name, value in what.items() if before.get(name) != value
        ]
        if differs:
            raise Conflict(
                f"the interrupted training was another: {'; '.join(differs)}",
                where=str(checkpoints(out)),
                hint="give the options of before, begin again with --restart, or name a new --out",
            )
        return
    if not resume:
        shutil.rmtree(checkpoints(out), ignore_errors=True)
    try:
        checkpoints(out).mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(dict(what), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the judge cannot be written: {error.strerror}", where=str(out), hint="name a writable folder: --out NEW"
        ) from error
