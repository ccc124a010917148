"""What the scripted engine writes as a judge of another family than R-PRM's: a function of (prompt, seed) as well.

In a whole solution the markers of each step count: `no` makes it the first wrong one, `unparsed` leaves the box out.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence

from rprm_jobs.engine import Generation
from rprm_jobs.judge.families.critic import BOXED, CriticFamily
from rprm_jobs.judge.families.family import Family
from rprm_jobs.judge.families.genprm import GenPrmFamily
from rprm_jobs.judge.families.thinkprm import ThinkPrmFamily
from rprm_jobs.types import Finish
from workers.engines.stop_strings import cut_at_stop

_CHARS_PER_TOKEN = 4
_PARAGRAPH = re.compile(r"<paragraph_(\d+)>\n(.*?)\n</paragraph_\1>", re.DOTALL)
_STEP = re.compile(r"^Step (\d+): ", re.MULTILINE)


def write_answer(
    family: Family, text: str, prefill: str, seed: int, max_tokens: int, stop: Sequence[str]
) -> Generation | None:
    """The next part of a judge's answer; None for a family that has no way of its own."""
    key = hashlib.blake2b(f"{seed}\x1f{text}\x1f{prefill}".encode(errors="surrogatepass"), digest_size=8).digest()
    rng = random.Random(int.from_bytes(key, "big"))
    if isinstance(family, CriticFamily):
        whole = _boxed(text, rng) if family.protocol == BOXED else _ratings(text, rng)
    elif isinstance(family, GenPrmFamily):
        whole = _part_of_chat(prefill, rng)
    elif isinstance(family, ThinkPrmFamily):
        whole = f" Step 1 adds up. Looked at {rng.randrange(9)} things.\nIs the solution correct? yes"
    else:
        return None
    whole = cut_at_stop(whole, stop)
    room = max_tokens * _CHARS_PER_TOKEN
    finish = Finish.STOP if len(whole) <= room else Finish.LENGTH
    return Generation(whole[:room], max(1, len(whole[:room]) // _CHARS_PER_TOKEN), finish, None)


def _boxed(text: str, rng: random.Random) -> str:
    paragraphs = [paragraph for _, paragraph in _PARAGRAPH.findall(text)]
    marked = [at for at, paragraph in enumerate(paragraphs) if "[[scripted:no]]" in paragraph]
    body = f"I looked at {len(paragraphs)} paragraphs and {rng.randrange(100)} numbers."
    if any("[[scripted:unparsed]]" in paragraph for paragraph in paragraphs):
        return body
    drawn = rng.randrange(len(paragraphs)) if paragraphs and rng.random() < 0.5 else -1
    return f"{body}\n\\boxed{{{marked[0] if marked else drawn}}}"


def _ratings(text: str, rng: random.Random) -> str:
    last = text.rpartition("Problem:")[2]
    parts = _STEP.split(last)[2::2]
    if any("[[scripted:unparsed]]" in part for part in parts):
        return "I cannot say."
    validity = [-0.9 if "[[scripted:no]]" in part else round(rng.uniform(-1, 1), 2) for part in parts]
    redundancy = [round(rng.uniform(-1, 1), 2) for _ in parts]
    return json.dumps({"validity": validity, "redundancy": redundancy})


def _part_of_chat(prefill: str, rng: random.Random) -> str:
    if prefill.endswith("\\boxed"):
        return f"{{{'Yes' if rng.random() < 0.7 else 'No'}}}$\n</output>\n"
    if "<verify>" in prefill:
        if prefill.endswith("```python\n"):
            return f"print({rng.randrange(9)} + 1)\n```\n"
        return f"</verify>\n<output>\n**Judgement**: $\\boxed{{{'Yes' if rng.random() < 0.7 else 'No'}}}$\n</output>\n"
    return f"The numbers are {rng.randrange(9)} and {rng.randrange(9)}.\n</analyze>\n"
