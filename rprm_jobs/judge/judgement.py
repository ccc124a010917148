"""What a judgement is a function of, so that no prompt is judged twice: its key, and the seeds of its critiques.

The key covers the recipe without what only says how many critiques there are and what follows from them, or how long
they may be (`as_asked` says which are the same under another limit), the engine's name (P(Yes) of two engines differs
in its last digits), the problem, the steps up to the judged one, and the retry epoch. Critique `k` of two solutions
with equal keys is the same critique.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.types import Critique, Finish, Verdict

# Names and routing, and what is decided from critiques that are there: none of it changes what a critique says.
_NOT_OF_A_CRITIQUE = frozenset({
    "judge", "queue", "k", "policy", "threshold", "until_first_error", "writing", "force_verdict",
})  # fmt: skip
_SIZE = 16


def step_contents(problem: str, steps: Sequence[str]) -> list[bytes]:
    """For each step 16 bytes that stand for the problem and the steps up to it."""
    running = hashlib.blake2b(_framed(problem), digest_size=_SIZE)
    contents = []
    for step in steps:
        running.update(_framed(step))
        contents.append(running.copy().digest())
    return contents


def _framed(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(8, "big") + data


def judgement_space(recipe: Recipe, engine: str) -> bytes:
    """16 bytes for what all keys of a job share, judged by the engine of this name."""
    shared = {name: value for name, value in recipe.to_builtins().items() if name not in _NOT_OF_A_CRITIQUE}
    shared["sampling"] = {name: value for name, value in shared["sampling"].items() if name != "max_new_tokens"}
    if recipe.family is not None:
        shared["family"] = {name: value for name, value in recipe.family.items() if name != "threshold"}
    return hashlib.blake2b(msgspec.json.encode([engine, shared], order="sorted"), digest_size=_SIZE).digest()


def as_asked(critique: Critique, recipe: Recipe) -> Critique | None:
    """The critique as a job of this recipe would have it, of any job with the same key; None where that is not known.

    One that ended by itself is the same below every limit that it did not reach. One that a limit or an engine's window
    cut is another one where the limit differs. A forced verdict is taken back where none is to be forced.
    """
    tokens, limit = critique.tokens - critique.forced, recipe.sampling.max_new_tokens
    cut = critique.finish is Finish.LENGTH
    if tokens != limit if cut else tokens >= limit:
        return None
    if critique.forced and not recipe.force_verdict:
        verdict = Verdict.TRUNCATED if cut else Verdict.UNPARSED
        return replace(critique, verdict=verdict, p_yes=None, tokens=tokens, forced=False)
    # Without a verdict it would be continued, and how is not known.
    return critique if critique.verdict.parsed or not recipe.force_verdict else None


def judgement_keys(space: bytes, contents: Sequence[bytes], retry_epoch: int = 0) -> list[bytes]:
    """The keys of the steps' judgements, 16 bytes each, from the steps' contents."""
    base, epoch = hashlib.blake2b(space, digest_size=_SIZE), b"%d" % retry_epoch
    keys = []
    for content in contents:
        whole = base.copy()
        whole.update(content + epoch)
        keys.append(whole.digest())
    return keys


def content_seed(recipe_seed: int, content: bytes, k: int, retry_epoch: int = 0) -> int:
    """The seed in [0, 2**63) of critique `k` where seeds derive from what is judged (`seed_rule` "content")."""
    key = b"%d\x1f%s\x1f%d\x1f%d" % (recipe_seed, content, k, retry_epoch)
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1
