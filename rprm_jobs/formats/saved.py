"""A data set in a folder as `datasets` saves it, for `load_from_disk`. Rows pass through a file, memory stays flat."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError, MissingExtra
from rprm_jobs.formats.writers import RESULTS, Schema, write_all


def save_dataset(folder: Path, rows: Iterable[dict[str, Any]], schema: Schema = RESULTS) -> int:
    """Save the rows; returns how many there were. Raises ConfigError for a folder that is not empty or no rows."""
    try:
        from datasets import Dataset, disable_progress_bars
    except ImportError as error:
        raise MissingExtra(
            "a saved data set needs the package datasets", hint="pip install 'rprm-jobs[hub]'"
        ) from error
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("the folder is not empty", where=str(folder), hint="name a new one")
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as place:
        file = str(Path(place) / "rows.arrow")
        count = write_all(file, rows, schema)
        if not count:
            # The library could not load it again.
            raise ConfigError(
                "there is no row to save, and an empty data set cannot be loaded",
                hint="leave out --failed, or write to a file with -o",
            )
        try:
            Dataset.from_file(file).save_to_disk(folder)
        except OSError as error:
            raise ConfigError(
                f"the data set cannot be saved: {error.strerror or error}", where=str(folder),
                hint="choose a writable folder with room",
            ) from error  # fmt: skip
    return count
