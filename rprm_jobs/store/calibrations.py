"""Calibrations by name: what was learned, and from which jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import ConfigError, Conflict, NotFound
from rprm_jobs.evaluation.calibrated import Calibrator

_COLUMNS = "name, model, sources, made_at"


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """A calibrator under its name. `sources` are the jobs and files that it was fitted to, as a person names them."""

    name: str
    calibrator: Calibrator
    sources: tuple[str, ...]
    made_at: datetime


def add(connection: Connection, name: str, calibrator: Calibrator, sources: Sequence[str]) -> None:
    """Store it. Raises Conflict where the name is taken."""
    query = text(
        "INSERT INTO calibrations (name, model, sources) VALUES (:name, CAST(:model AS jsonb), :sources)"
        " ON CONFLICT (name) DO NOTHING"
    )
    values = {"name": name, "model": msgspec.json.encode(calibrator).decode(), "sources": list(sources)}
    if connection.execute(query, values).rowcount != 1:
        raise Conflict(
            f"there is a calibration {name!r} already",
            hint=f"choose another name, or first: rprm-jobs calibrate delete {name}",
        )


def get(connection: Connection, name: str) -> StoredCalibration:
    """The calibration. Raises NotFound, and ConfigError for one of a newer version."""
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM calibrations WHERE name = :name"), {"name": name}
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no calibration {name!r}", hint="list them: rprm-jobs calibrate list")
    return _from_row(row.name, row.model, row.sources, row.made_at)


def list_all(connection: Connection) -> list[StoredCalibration]:
    """Every calibration, by name. Raises ConfigError for one of a newer version."""
    rows = connection.execute(text(f"SELECT {_COLUMNS} FROM calibrations ORDER BY name"))
    return [_from_row(row.name, row.model, row.sources, row.made_at) for row in rows]


def delete(connection: Connection, name: str) -> None:
    """Remove it. Raises NotFound."""
    get(connection, name)
    connection.execute(text("DELETE FROM calibrations WHERE name = :name"), {"name": name})


def _from_row(name: str, model: object, sources: Sequence[str], made_at: datetime) -> StoredCalibration:
    try:
        return StoredCalibration(name, msgspec.convert(model, Calibrator), tuple(sources), made_at)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the calibration {name!r} cannot be read: {error}", hint="upgrade the package on this machine"
        ) from error
