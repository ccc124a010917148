"""Logs of the processes that serve: lines for people, or one JSON object a line for machines.

A log call names what it is about in `extra`, as `Lease.log_context()` has it; both formats show those fields.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

from rprm_jobs.errors import ConfigError

# What a line may be about; other attributes of a record are the logging library's.
FIELDS = ("job", "shard", "attempt", "worker")


class LogLevel(StrEnum):
    """The least important lines that are written."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


def set_up_logs(level: str, format_: str, *, stream: TextIO | None = None) -> None:
    """Write the process's logs to `stream` (default: standard error). Raises ConfigError."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigError(f"unknown log level {level!r}", hint="use DEBUG, INFO, WARNING or ERROR")
    if format_ not in list(LogFormat):
        raise ConfigError(f"unknown log format {format_!r}", hint="use text or json")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format_ == LogFormat.JSON else TextFormatter())
    logging.basicConfig(level=number, handlers=[handler], force=True)


def name_worker(worker_id: str) -> None:
    """From now on every line of this process is about this worker too."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            handler.formatter.common = {"worker": worker_id}


class JsonFormatter(logging.Formatter):
    """`time` (UTC, ISO 8601), `level`, `logger`, `message`, then the fields that the line is about, and `traceback`."""

    def __init__(self) -> None:
        super().__init__()
        self.common: Mapping[str, Any] = {}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_context(record),
            **self.common,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # ASCII only, so that neither a line separator nor half a surrogate pair of a rollout breaks the line.
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, logger and message, with what the line is about in brackets behind it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(about)s")

    def format(self, record: logging.LogRecord) -> str:
        about = ", ".join(f"{name} {value}" for name, value in _context(record).items())
        record.about = f" [{about}]" if about else ""
        return super().format(record)


def _context(record: logging.LogRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
