"""`rprm-jobs parity` on the shipped judge: the one pass reads the paper's number, and a wrong number is found.

And results with reuse are those, byte for byte, of a job that samples everything itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from rprm_jobs.engine import Engine, Generation, Prompt
from rprm_jobs.judge.recipe import BY_CONTENT
from rprm_jobs.judge.resolve import Judge, resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.store.session import Database
from rprm_jobs.types import Sampling, Solution
from tests.support.jobs import JUDGE, make_solutions, progress, take_in
from tests.support.store import run
from tests.support.worker_parts import WorkerParts
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


@pytest.fixture
def parts(database: Database, drilled: Judge) -> Iterator[WorkerParts]:
    # A critique at a time: the last digits of P(Yes) depend on what stands in a batch beside it.
    engine = create_engine("transformers", drilled, {"device": "cpu", "threads": "1", "max_batch": "1"})
    parts = WorkerParts(database, engine)
    parts.call_engine("transformers")
    yield parts
    parts.close()


@pytest.mark.integration
def test_results_with_reuse_are_those_without(context: Context, drilled: Judge, parts: WorkerParts) -> None:
    def judge(solutions: list[Solution], k: int, *, reuse: bool) -> int:
        sampling = Sampling(max_new_tokens=96)
        recipe = replace(make_recipe(drilled, k=k), seed_rule=BY_CONTENT, sampling=sampling, queue=JUDGE.queue)
        job = take_in(context.database, solutions, recipe).job_id
        run(context.database, "UPDATE jobs SET reuse = :reuse WHERE id = :job", reuse=reuse, job=job)
        parts.forget()
        parts.runtime.notify()
        return job

    solutions = make_solutions(3)
    judge(solutions, 2, reuse=True)
    grown = [*solutions, *make_solutions(1, seed=9, prefix="new")]
    reusing, sampling_all = (judge(grown, 3, reuse=reuse) for reuse in (True, False))
    counts = progress(context.database, reusing)
    assert (counts.critiques, counts.critiques_reused) == (4 * 3 * 3, 3 * 3 * 2)
    assert progress(context.database, sampling_all).critiques_reused == 0
    rows = [list(result_rows(context, job, critiques=True)) for job in (reusing, sampling_all)]
    for row in rows[0]:
        row.pop("reused", None)
    assert len({critique["p_yes"] for row in rows[0] for step in row["critiques"] for critique in step}) > 10
    assert msgspec.json.encode(rows[0]) == msgspec.json.encode(rows[1])
