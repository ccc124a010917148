"""The fast decoder and the slow one accept the same lines, with the same values, and refuse the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rprm_jobs.formats.readers import decode
from rprm_jobs.formats.readers.decode import decode_line, decode_slowly
from rprm_jobs.formats.readers.rows import BadRow

# Raw JSON, written piece by piece, so that it is hostile more often than not.
_PIECES = ["a", "é", "{", "[", ":", ",", "\\\\", '\\"', "\\n", "\\/", "\\u0041", "\\u0022", "\\u0000", "\\ud83d\\ude00",
           "\\ud800", "\\udc00", "\\u005c"]  # fmt: skip
strings = st.lists(st.sampled_from(_PIECES), max_size=6).map(lambda pieces: '"' + "".join(pieces) + '"')
names = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"\\\\"', '"\\""']) | strings
numbers = st.sampled_from(
    [
        "0",
        "-0",
        "1.5",
        "1e2",
        "-1E-400",
        "1e308",
        "1e400",
        "01",
        "1.",
        "NaN",
        "Infinity",
        str(2**64),
        "9" * 400,
        "9" * 5000,
    ]
)
values = st.recursive(
    strings | numbers | st.sampled_from(["true", "null", "nul", ""]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda v: "[" + ",".join(v) + "]")
        | st.lists(st.tuples(names, inner), max_size=3).map(
            lambda v: "{" + ", ".join(f"{name}: {one}" for name, one in v) + "}"
        )
    ),
    max_leaves=8,
)


def outcome(decoder: Any, line: bytes) -> Any:
    try:
        return repr(decoder(line))
    except BadRow:
        return BadRow


@given(values.map(str.encode) | st.binary(max_size=12))
@example(b'{"a": "\\\\", "a": 1}')
@example(b'{"a\\\\": "\\"", "a\\\\": "x"}')
@example(b'{"m": {"x": {"a": 1, "\\u0061": "b"}}}')
@example(b'"\xed\xa0\x80"')
def test_both_decoders_agree(line: bytes) -> None:
    assert outcome(decode_line, line) == outcome(decode_slowly, line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"id": "a", "steps": ["x", "y"], "m": {"k": [1, null, {"z": "\\" \\\\"}]}}',
        b'{"tex": "\\\\frac{\\"a\\"}\\\\"}',
    ],
)
def test_an_ordinary_row_never_takes_the_slow_way(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = decode_slowly(line)
    monkeypatch.setattr(decode, "decode_slowly", None)
    assert decode_line(line) == expected


@pytest.mark.parametrize(("depth", "refused"), [(100, False), (101, True)])
def test_the_depth_that_is_allowed(depth: int, refused: bool) -> None:
    line = b"[" * depth + b"]" * depth
    assert (outcome(decode_line, line) is BadRow) is refused
    assert (outcome(decode_slowly, line) is BadRow) is refused
