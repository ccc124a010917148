"""Logs in both formats: what a line is about stands in it, and nothing that a rollout says can break a line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import ConfigError
from rprm_jobs.logs import JsonFormatter, name_worker, set_up_logs
from rprm_jobs.store.records import Lease

LEASE = Lease(shard_id=5, job_id=24, attempt=2, owner="w", first_ord=0, last_ord=3, retry_epoch=0)


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def logged(format_: str) -> tuple[io.StringIO, logging.Logger]:
    stream = io.StringIO()
    set_up_logs("info", format_, stream=stream)
    return stream, logging.getLogger("workers.attempt")


def test_a_json_line_has_the_fields_that_it_is_about() -> None:
    stream, log = logged("json")
    name_worker("host:7:ab")
    log.info("job %d: %d of %d done", 24, 32, 300, extra=LEASE.log_context())
    line = json.loads(stream.getvalue())
    moment = datetime.fromisoformat(line.pop("time"))
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60
    assert line == {
        "level": "INFO",
        "logger": "workers.attempt",
        "message": "job 24: 32 of 300 done",
        "job": 24,
        "shard": 5,
        "attempt": 2,
        "worker": "host:7:ab",
    }


def test_a_traceback_stays_in_its_line() -> None:
    stream, log = logged("json")
    try:
        raise ValueError("rubbish")
    except ValueError:
        log.exception("the attempt failed", extra=LEASE.log_context())
    (text,) = stream.getvalue().splitlines()
    assert json.loads(text)["traceback"].endswith("ValueError: rubbish")


@given(st.text())
def test_any_message_is_one_line_of_json(message: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (message,), None)
    text = JsonFormatter().format(record)
    assert len(text.splitlines()) == 1
    assert json.loads(text)["message"] == message


def test_a_text_line_has_them_in_brackets() -> None:
    stream, log = logged("text")
    log.warning("the lease is lost", extra=LEASE.log_context())
    log.warning("ready")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("WARNING workers.attempt: the lease is lost [job 24, shard 5, attempt 2]")
    assert second.endswith("WARNING workers.attempt: ready")


@pytest.mark.parametrize(("level", "format_"), [("loud", "text"), ("info", "xml"), ("info", "")])
def test_an_unknown_level_or_format_is_refused(level: str, format_: str) -> None:
    with pytest.raises(ConfigError, match="unknown log") as caught:
        set_up_logs(level, format_)
    assert caught.value.hint
