"""Errors: every leaf has a message and an exit code, and a fact about a solution is no error of the program."""

from __future__ import annotations

import pytest

from rprm_jobs import errors
from rprm_jobs.errors import BadLine, ConfigError, InputError, ItemFailure, PromptTooLong, RprmError

LEAVES = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, RprmError)]
CODES = {
    "RprmError": 1, "LeaseLost": 1, "ConfigError": 2, "MissingExtra": 2, "InputError": 3, "NotFound": 4,
    "JudgeError": 4,
    "ServiceError": 5, "StoreError": 5, "StoreUnavailable": 5, "CommitUnknown": 5, "SchemaError": 5, "BrokerError": 5,
    "RowRefused": 5, "NotPermitted": 5, "Deleted": 4,
    "Conflict": 6, "TrainingFailed": 1, "AuditFailed": 7, "EngineError": 8, "EngineDied": 8,
    "SomeFailed": 9, "NoneSucceeded": 10, "JobCancelled": 11, "NotFinished": 12, "UnsupportedJob": 1,
}  # fmt: skip


def test_the_exit_codes_are_the_documented_ones() -> None:
    assert {leaf.__name__: leaf.exit_code for leaf in LEAVES} == CODES


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.__name__)
def test_the_docstring_is_the_message(leaf: type[RprmError]) -> None:
    text = str(leaf())
    assert text
    assert text == (leaf.__doc__ or "").splitlines()[0]
    assert text[0].isupper()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigError("what"), "what"),
        (ConfigError("what", where="here"), "here: what"),
        (ConfigError("what", hint="do this"), "what\n  hint: do this"),
        (ConfigError("what", where="a:1", hint="do this"), "a:1: what\n  hint: do this"),
    ],
)
def test_a_message_says_what_where_and_the_hint(error: RprmError, text: str) -> None:
    assert str(error) == text


def test_bad_lines_are_named_by_file_and_line() -> None:
    error = InputError(bad_lines=(BadLine("a.jsonl", 3, "not JSON"),), n_bad=5)
    assert (str(error.bad_lines[0]), error.n_bad) == ("a.jsonl:3: not JSON", 5)
    assert InputError(bad_lines=error.bad_lines).n_bad == 1


def test_a_fact_about_a_solution_is_no_error_of_the_program() -> None:
    assert not issubclass(ItemFailure, RprmError)
    assert all(not issubclass(leaf, ItemFailure) for leaf in LEAVES)
    assert "prompt has 9 tokens" in str(PromptTooLong(tokens=9, limit=8))
