"""One line of JSON into values that can be stored, or the exact reason why not.

msgspec decodes; whatever it refuses, or may have let through, goes to the slow decoder of the standard library, which
finds the reason. Both accept the same lines with the same values (a property test holds them together).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

import msgspec

from rprm_jobs.formats.readers.bad_row import BadRow

# Beyond any real metadata, and far from where encoders and Postgres give up.
MAX_DEPTH = 100
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_fast_decode = msgspec.json.Decoder().decode


def decode_line(line: bytes) -> Any:
    """One line of JSON. Raises BadRow for what is not strict JSON, or holds text that cannot be stored."""
    try:
        value = _fast_decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_slowly(line)
    strings = count_strings(value)
    quotes = line.count(b'"')
    if b"\\" in line:
        # Without the escaped backslashes, a backslash before a quote can only escape it.
        bare = line.replace(b"\\\\", b"")
        quotes -= bare.count(b'\\"')
        # A raw NUL is not JSON, so it can only come from its escape.
        if b"\\u0000" in bare:
            refuse_unstorable(value)
    # msgspec keeps the last of two equal keys; then fewer strings came out than stood in the line, at two quotes each.
    return value if quotes == 2 * strings else decode_slowly(line)


def count_strings(value: Any, depth: int = 1) -> int:
    """How many strings `value` holds, names of fields included. Raises BadRow when it is nested too deeply."""
    kind = type(value)
    if kind is str:
        return 1
    if kind is dict:
        count, inside = len(value), value.values()
    elif kind is list:
        count, inside = 0, value
    else:
        return 0
    if depth > MAX_DEPTH:
        raise BadRow(f"the row is nested more than {MAX_DEPTH} deep")
    for item in inside:
        kind = type(item)
        if kind is str:
            count += 1
        elif kind is dict or kind is list:
            count += count_strings(item, depth + 1)
    return count


def refuse_unstorable(value: Any, where: str = "") -> None:
    """Raises BadRow, with the field, for a text that Postgres cannot hold: one with a NUL or a lone surrogate."""
    if isinstance(value, str):
        if match := _UNSTORABLE.search(value):
            what = "a NUL character" if match[0] == "\x00" else "a lone surrogate"
            raise BadRow(f"{where or 'the row'} holds {what}")
    elif isinstance(value, dict):
        for name, item in value.items():
            refuse_unstorable(name, f"the name of field {name!a}")
            refuse_unstorable(item, where or f"field {name!a}")
    elif isinstance(value, list):
        for item in value:
            refuse_unstorable(item, where)


def decode_slowly(line: bytes) -> Any:
    """What `decode_line` does, at five times its cost and with a reason for every refusal."""
    try:
        value = _strict_decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRow(f"invalid UTF-8 at byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise BadRow(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise BadRow(f"the row is nested more than {MAX_DEPTH} deep") from None
    except ValueError:
        # Python's own bound on the digits of an integer.
        raise BadRow("an integer has too many digits") from None
    count_strings(value)
    refuse_unstorable(value)
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        repeated = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise BadRow(f"field {repeated!a} stands twice in one object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise BadRow(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadRow(f"the number {text if len(text) <= 40 else text[:37] + '...'} is too large")
    return value


_strict_decode = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite
).decode
