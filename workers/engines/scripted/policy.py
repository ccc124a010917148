"""The scripted policy: solutions of a few steps and a boxed answer, a function of (prompt, seed) like the critiques."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from rprm_jobs.engine import Generation
from rprm_jobs.types import Finish
from workers.engines.stop_strings import cut_at_stop

_CHARS_PER_TOKEN = 4
_BREAK = "\n\n"
_GOES_ON = 0.7


def write_steps(text: str, seed: int, max_tokens: int, stop: Sequence[str]) -> Generation:
    """Steps between blank lines, the last with the answer in a box; cut at the first of `stop` or at the limit."""
    key = hashlib.blake2b(f"{seed}\x1f{text}".encode(errors="surrogatepass"), digest_size=8).digest()
    rng = random.Random(int.from_bytes(key, "big"))
    value, steps = rng.randrange(10), list[str]()
    while rng.random() < _GOES_ON:
        more = rng.randrange(1, 10)
        steps.append(f"Adding {more} to {value} gives {value + more}.")
        value += more
    steps.append(f"So the answer is \\boxed{{{value % 5}}}.")
    whole = cut_at_stop(_BREAK.join(steps), stop)
    room = max_tokens * _CHARS_PER_TOKEN
    finish = Finish.STOP if len(whole) <= room else Finish.LENGTH
    return Generation(whole[:room], max(1, len(whole[:room]) // _CHARS_PER_TOKEN), finish, None)
