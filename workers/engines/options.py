"""Engine options: text from the command line, read by the types of a struct; an unknown key is an error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from rprm_jobs.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)


def read_options(kind: type[T], options: Mapping[str, str], *, engine: str) -> T:
    """`options` as a `kind`. Raises ConfigError for an unknown key (with the known ones) or an ill-typed value."""
    known = kind.__struct_fields__
    for key in options:
        if key not in known:
            raise unknown_option(key, known, engine=engine)
    try:
        return msgspec.convert(dict(options), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"an option of the {engine} engine cannot be used: {error}",
            hint="say it with --engine-arg KEY=VALUE",
        ) from error


def unknown_option(key: str, known: Iterable[str], *, engine: str) -> ConfigError:
    """The error for a key that `engine` does not have: near matches where there are any, else every known key."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=5, cutoff=0.6)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names)}"
    if near and len(names) <= 20:
        hint += f" (known: {', '.join(names)})"
    return ConfigError(f"the {engine} engine has no option {key!r}", hint=hint)


def parse_engine_args(pairs: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as options; dashes in keys are underscores. Raises ConfigError for anything else."""
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--engine-arg {pair!r} is not KEY=VALUE", hint="e.g. --engine-arg dtype=float32")
        options[key.strip().replace("-", "_")] = value
    return options
