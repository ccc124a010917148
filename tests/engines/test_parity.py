"""`rprm-jobs parity` on the shipped judge: the one pass reads the paper's number, and a wrong number is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rprm_jobs.engine import Engine, Generation, Prompt
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.types import Sampling
from workers.engines import create_engine
from workers.parity import compare

pytestmark = [pytest.mark.engine, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
EXAMPLES = str(ROOT / "examples" / "solutions.jsonl")


def test_the_command_passes_on_the_shipped_judge() -> None:
    command = [sys.executable, "-m", "rprm_jobs", "parity", "--steps", "12", "-k", "4", "--engine", "transformers"]
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["critiques"], found["calls_that_differ"], found["passed"]) == (48, 0, True)
    assert found["critiques"] - found["without_verdict"] >= 40
    assert found["largest_difference"] <= 1e-4


class Skewed:
    """An engine whose P(Yes) is off by a hair more than allowed."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner
        self.start, self.encode, self.close = inner.start, inner.encode, inner.close
        self.stats = inner.stats

    async def sample(self, prompt: Prompt, seeds: list[int], sampling: Sampling) -> list[Generation]:
        made = await self._inner.sample(prompt, seeds, sampling)
        return [Generation(g.text, g.tokens, g.finish, None if g.p_yes is None else abs(g.p_yes - 3e-4)) for g in made]


def test_a_difference_is_found() -> None:
    judge = resolve_judge("tiny")
    engine = Skewed(create_engine("transformers", judge, {}))
    found = compare(judge, engine, [EXAMPLES], k=2, steps=4, seed=0, tolerance=1e-4)  # type: ignore[arg-type]
    assert not found.passed
    assert found.largest_difference == pytest.approx(3e-4, abs=1e-4)
