"""Every command with --json has one documented shape, and the schema accepts no other."""

from __future__ import annotations

import json

import pytest

from docs.reference import output_schema
from docs.shapes import SHAPES
from rprm_jobs.cli import app
from rprm_jobs.errors import BadLine, InputError
from tests.support.commands import commands
from tests.support.shapes import SCHEMA, check_shape, command_of, schema

WITH_JSON = {
    name for name, command in commands(app).items() if any("--json" in parameter.opts for parameter in command.params)
}


def test_each_command_with_json_has_a_shape() -> None:
    assert set(SHAPES) == WITH_JSON, "add the command's output to docs/shapes, then: python -m docs.reference"
    assert json.loads(SCHEMA.read_text()) == output_schema()


def test_a_shape_takes_no_other_field() -> None:
    check_shape(["db", "current"], {"current": None, "head": "0001"})
    with pytest.raises(AssertionError, match="'head' is a required property"):
        check_shape(["db", "current"], {"current": None})
    with pytest.raises(AssertionError, match="Additional properties are not allowed"):
        check_shape(["db", "current"], {"current": None, "head": "1", "more": 1})
    with pytest.raises(AssertionError, match="is not of type 'array'"):
        check_shape(["cancel", "7"], {"job_id": 7})
    assert command_of(["pairs", "build", "7"]) == "pairs build"


def test_an_error_has_the_documented_shape() -> None:
    from jsonschema import validate

    error = InputError("what", where="here", hint="this", bad_lines=(BadLine("a", 1, "r"),))
    validate({"error": error.as_dict()}, schema()["properties"]["error"])
