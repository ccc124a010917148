"""The markers that make the scripted engine misbehave. Only those in the step that is judged count.

`[[scripted:NAME]]` or `[[scripted:NAME:VALUE]]`. Faults of the process: exit, memory, systemexit, died; with
`-once:PATH` appended (`exit-once:/tmp/x`) the fault happens only if PATH does not exist yet, and creates it.
Outcomes: unparsed, truncated, refuse, too-long, no-logprobs, yes, no, `slow:SECONDS`, and `ends:TEXT`, which is what
the judge writes at the end (`\\n` for a line break).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from rprm_jobs.errors import ConfigError, EngineDied, PromptTooLong, Refused
from rprm_jobs.judge.prompt import PromptTemplate

_MARKER = re.compile(r"\[\[scripted:([a-z-]+)(?::([^\]]*))?\]\]")


@dataclass(slots=True)
class Effect:
    """What the markers change in the critiques. `chance`: of a Yes, in [0, 1]; None to draw it from the prompt.

    `ending`: what stands in place of the verdict line.
    """

    slow_s: float = 0.0
    unparsed: bool = False
    truncated: bool = False
    no_logprobs: bool = False
    chance: float | None = None
    ending: str | None = None


def now_step(template: PromptTemplate, text: str) -> str:
    """The part of a rendered prompt that stands for `{now_step}`; the whole text when the template does not fit it."""
    if "now_step" not in template.fields:
        return text
    place = template.fields.index("now_step")
    before, after = template.literals[place], template.literals[place + 1]
    start = text.rfind(before) if before else 0
    end = text.rfind(after) if after else len(text)
    return text[start + len(before) : end] if 0 <= start < end else text


def act(step: str) -> Effect:
    """Do what the markers in `step` say: fail in their way, or return how the critiques are to come out."""
    effect = Effect()
    for name, value in _MARKER.findall(step):
        if name.endswith("-once"):
            if _first_time(Path(value)):
                _fail(name.removesuffix("-once"))
        elif name == "slow":
            effect.slow_s += float(value)
        elif name in ("unparsed", "truncated"):
            setattr(effect, name, True)
        elif name == "no-logprobs":
            effect.no_logprobs = True
        elif name == "ends":
            effect.ending = value.replace("\\n", "\n")
        elif name in ("yes", "no"):
            effect.chance = float(name == "yes")
        else:
            _fail(name)
    return effect


def _first_time(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _fail(name: str) -> None:
    match name:
        case "exit":
            os._exit(137)
        case "memory":
            raise MemoryError("scripted")
        case "systemexit":
            raise SystemExit("scripted")
        case "died":
            raise EngineDied("the scripted engine was told to die")
        case "refuse":
            raise Refused("the scripted engine was told to refuse this step")
        case "too-long":
            raise PromptTooLong(tokens=40_000, limit=32_768, room=64)
        case _:
            raise ConfigError(f"unknown marker [[scripted:{name}]]", hint="see workers/engines/scripted/script.py")
