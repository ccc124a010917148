"""Judgements that are there are not sampled again, and results are those of a job that sampled everything itself."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace as with_
from typing import Any

import pytest
from msgspec.structs import replace

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.judge.recipe import BY_CONTENT, Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.jobs.reuse import ReuseCounter
from rprm_jobs.stopping.cells import CELLS
from rprm_jobs.store.jobs import extensions, jobs, plans, retries
from rprm_jobs.store.jobs.plans import StoredPlan
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database
from rprm_jobs.types import Finish, KeepCritiques, Sampling, Solution
from tests.support.jobs import JUDGE, assert_clean, make_recipe, make_solutions, progress, state, take_in
from tests.support.store import run
from tests.support.worker_parts import WorkerParts
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions

pytestmark = pytest.mark.integration


class Counting(ScriptedEngine):
    """The scripted engine, with the prompts and seeds that it was asked for."""

    def __init__(self) -> None:
        super().__init__(JUDGE, ScriptedOptions())
        self.asked: list[tuple[str, int]] = []

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        self.asked += [(prompt.text, seed) for seed in seeds]
        return await super().sample(prompt, seeds, sampling, stop=stop)


class Long(Counting):
    """Every fourth critique or so is twice as long as the others, and a limit between cuts it."""

    LENGTH = 200

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        made = await super().sample(prompt, seeds, sampling, stop=stop)
        return [self._made(one, seed, sampling.max_new_tokens) for one, seed in zip(made, seeds, strict=True)]

    def _made(self, one: Generation, seed: int, limit: int) -> Generation:
        if seed % 4:
            return one
        text = "So. " * 100 + one.text
        if limit < self.LENGTH:
            return Generation(text[: 4 * limit], limit, Finish.LENGTH, None)
        return Generation(text, self.LENGTH, one.finish, one.p_yes)


class Shop:
    """A store with a worker that counts what it expected."""

    def __init__(self, database: Database, parts: WorkerParts, engine: Counting) -> None:
        self.database, self.parts, self.engine = database, parts, engine

    def judge(self, solutions: Sequence[Solution], recipe: Recipe, *, reuse: bool = True, **options: Any) -> int:
        """Judge as a new job; returns its id. `sampled` then are the critiques that the engine was asked for."""
        job = take_in(self.database, solutions, recipe, **options).job_id
        run(self.database, "UPDATE jobs SET reuse = :reuse WHERE id = :job", reuse=reuse, job=job)
        self.work()
        return job

    def work(self) -> None:
        """Work off what is ready, by a process that has judged nothing before."""
        self.engine.asked.clear()
        self.parts.forget()
        self.parts.runtime.notify()

    @property
    def sampled(self) -> int:
        return len(self.engine.asked)


@pytest.fixture
def shop(database: Database) -> Iterator[Shop]:
    engine = Counting()
    parts = WorkerParts(database, engine)
    yield Shop(database, parts, engine)
    parts.close()


def recipe(k: int = 4, **more: Any) -> Recipe:
    return replace(make_recipe(k=k), seed_rule=BY_CONTENT, **more)


def rows(context: Context, job: int) -> list[dict[str, Any]]:
    """The rows of the results with critiques, as they would be without reuse."""
    return [{k: v for k, v in row.items() if k != "reused"} for row in result_rows(context, job, critiques=True)]


SOLUTIONS = make_solutions(12)


def test_rows_that_are_added_are_all_that_is_bought(context: Context, shop: Shop) -> None:
    first = shop.judge(SOLUTIONS, recipe())
    assert shop.sampled == 12 * 3 * 4
    more = [*SOLUTIONS, *make_solutions(2, seed=9, prefix="new")]
    second = shop.judge(more, recipe())
    assert shop.sampled == 2 * 3 * 4
    third = shop.judge(more, recipe(), reuse=False)
    assert shop.sampled == 14 * 3 * 4
    assert rows(context, second) == rows(context, third)
    assert rows(context, second)[:12] == rows(context, first)
    counts = progress(shop.database, second)
    assert (counts.critiques, counts.critiques_reused) == (14 * 12, 12 * 12)
    assert counts.tokens + counts.tokens_reused == progress(shop.database, third).tokens
    assert_clean(context)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (recipe(threshold=0.9), 0),
        (recipe(k=2), 0),
        (recipe(k=6), 12 * 3 * 2),
        (recipe(stopping={"kind": "exact"}), 0),
        (recipe(until_first_error=True), 0),
        (recipe(seed=1), 12 * 3 * 4),
        (recipe(sampling=Sampling(0.5)), 12 * 3 * 4),
    ],
)
def test_whatever_the_recipe_makes_of_critiques_they_are_used(
    context: Context, shop: Shop, other: Recipe, expected: int
) -> None:
    shop.judge(SOLUTIONS, recipe())
    reused = shop.judge(SOLUTIONS, other)
    assert shop.sampled == expected
    without = shop.judge(SOLUTIONS, other, reuse=False)
    assert rows(context, reused) == rows(context, without)
    assert_clean(context)


@pytest.mark.parametrize(
    "again",
    [
        SOLUTIONS[::-1],
        SOLUTIONS[:5],
        [with_(solution, id=f"other-{solution.id}") for solution in SOLUTIONS],
        [with_(solution, metadata={"note": solution.id}) for solution in SOLUTIONS],
        [with_(solution, judge_steps=(2,)) for solution in SOLUTIONS],
        [with_(solution, steps=solution.steps[:2]) for solution in SOLUTIONS],
    ],
    ids=["reordered", "a part", "other ids", "other metadata", "last steps alone", "cut off"],
)
def test_the_same_work_in_another_form_buys_nothing(shop: Shop, again: list[Solution]) -> None:
    shop.judge(SOLUTIONS, recipe())
    shop.judge(again, recipe())
    assert shop.sampled == 0


def test_the_same_prompt_within_a_job_is_judged_once(context: Context, shop: Shop) -> None:
    one = SOLUTIONS[0]
    branches = [with_(one, id=f"b{i}", steps=(*one.steps[:2], f"{one.steps[2]}, so {i}")) for i in range(8)]
    job = shop.judge(branches, recipe(), shard=2)
    assert shop.sampled == (2 + 8) * 4
    assert len(set(shop.engine.asked)) == shop.sampled
    without = shop.judge(branches, recipe(), reuse=False)
    assert shop.sampled == 8 * 3 * 4
    assert rows(context, job) == rows(context, without)
    assert sum(sum(row.get("reused", ())) for row in result_rows(context, job)) == 7 * 2 * 4
    assert_clean(context)


def test_a_deleted_job_leaves_others_what_they_took(context: Context, shop: Shop) -> None:
    first = shop.judge(SOLUTIONS, recipe())
    second = shop.judge(SOLUTIONS, recipe())
    assert shop.sampled == 0
    before = rows(context, second)
    with shop.database.transaction() as connection:
        jobs.delete(connection, first)
    assert rows(context, second) == before
    shop.judge(SOLUTIONS, recipe(k=3))
    assert shop.sampled == 0
    assert run(shop.database, "SELECT count(*) AS n FROM judgements WHERE job_id = :job", job=first)[0].n == 0
    assert_clean(context)


def branches(count: int = 8) -> list[Solution]:
    """Solutions that part at the third step."""
    one = SOLUTIONS[0]
    return [with_(one, id=f"b{i}", steps=(*one.steps[:2], f"{one.steps[2]}, so {i}", "Done.")) for i in range(count)]


def places(shop: Shop, job: int) -> list[tuple[int, bool]]:
    """Of each row under which judgements of the job are found the solution and whether it is for the whole of it."""
    query = "SELECT ord, counts IS NOT NULL AS whole FROM judgements WHERE job_id = :job ORDER BY ord, step"
    return [(row.ord, row.whole) for row in run(shop.database, query, job=job)]


def test_a_solution_has_one_row_and_its_branches_those_of_their_own_steps(context: Context, shop: Shop) -> None:
    assert places(shop, shop.judge(SOLUTIONS, recipe())) == [(ord_, True) for ord_ in range(12)]
    job = shop.judge(branches(), recipe(), shard=1, reuse=False)
    assert shop.sampled == 8 * 4 * 4
    found = places(shop, job)
    assert [ord_ for ord_, whole in found if whole] == [0]
    # Of the first branch the second step too: whether the job has it is seen from rows of single steps alone.
    assert [ord_ for ord_, whole in found if not whole] == [1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
    shop.judge(branches(9), recipe())
    assert shop.sampled == 2 * 4
    assert_clean(context)


def test_what_was_taken_is_found_when_its_first_job_is_deleted(context: Context, shop: Shop) -> None:
    first = shop.judge(branches(), recipe(), shard=2)
    shop.judge(branches()[4:], recipe(), shard=1)
    assert shop.sampled == 0
    with shop.database.transaction() as connection:
        jobs.delete(connection, first)
    shop.judge(branches(), recipe())
    assert shop.sampled == 4 * 2 * 4
    assert_clean(context)


def test_a_job_of_whole_solutions_takes_those_whose_first_step_was_not_judged(context: Context, shop: Shop) -> None:
    later = [with_(solution, judge_steps=(1, 2)) for solution in SOLUTIONS]
    shop.judge(later, recipe())
    assert shop.sampled == 12 * 2 * 4
    shop.judge(SOLUTIONS, recipe())
    assert shop.sampled == 12 * 4
    assert_clean(context)


def test_what_an_extension_adds_is_found(shop: Shop) -> None:
    job = shop.judge([*SOLUTIONS, *branches()], recipe(k=2), shard=4)
    extensions.extend(shop.database, job, 5)
    shop.work()
    counter = ReuseCounter(shop.database, recipe(k=9), KeepCritiques.ALL)
    for solution in SOLUTIONS:
        counter.add(solution)
    assert counter.total() == 12 * 3 * 5
    shop.judge([*SOLUTIONS, *branches()], recipe(k=5))
    assert shop.sampled == 0


def test_rows_of_the_version_before_are_found(context: Context, shop: Shop) -> None:
    """One row a step, and none for a step that was not judged or that another solution of the job had."""
    later = [with_(solution, judge_steps=(1, 2)) for solution in SOLUTIONS[:3]]
    job = shop.judge([*later, *SOLUTIONS[3:], *branches()], recipe(), shard=2)
    key = "substr(encode(s.step_keys, 'hex'), 32 * v.step + 1, 32)::uuid"
    as_before = (
        f"INSERT INTO judgements SELECT DISTINCT ON (1) {key}, {job}, s.ord, v.step, 4"
        f" FROM scores_j{job} AS s JOIN verdicts_j{job} AS v USING (ord) ORDER BY 1, s.ord"
    )
    without_shared_keys = (
        f"UPDATE scores_j{job} SET step_keys = decode(repeat('00', 32), 'hex') || substr(step_keys, 33)"
        f" WHERE ord IN (SELECT ord FROM solutions_j{job} WHERE ext_id ~ '^b[1-7]')"
    )
    for statement in (
        "ALTER TABLE plans DROP COLUMN priors",
        "ALTER TABLE judgements DROP COLUMN step_keys, DROP COLUMN counts",
        "DELETE FROM judgements",
        as_before,
        without_shared_keys,
        "UPDATE alembic_version SET version_num = '0017'",
    ):
        run(shop.database, statement)
    assert migrations.upgrade(shop.database) == ("0017", migrations.head_revision())
    reused = shop.judge([*SOLUTIONS, *branches()], recipe())
    # The first steps of the first three, one of which the branches share.
    assert shop.sampled == 2 * 4
    assert rows(context, reused) == rows(context, shop.judge([*SOLUTIONS, *branches()], recipe(), reuse=False))
    with shop.database.transaction() as connection:
        jobs.delete(connection, reused)
    shop.judge(later, recipe())
    assert shop.sampled == 0


def test_an_extension_takes_what_another_job_has(context: Context, shop: Shop) -> None:
    small = shop.judge(SOLUTIONS, recipe(k=2))
    shop.judge(SOLUTIONS, recipe(k=5))
    extensions.extend(shop.database, small, 6)
    shop.work()
    assert shop.sampled == 12 * 3
    whole = shop.judge(SOLUTIONS, recipe(k=6), reuse=False)
    assert rows(context, small) == rows(context, whole)
    assert progress(shop.database, small).critiques_reused == 12 * 3 * 3
    assert progress(shop.database, small).tokens_reused > 0
    assert_clean(context)


def test_critiques_that_a_retry_drew_anew_are_not_taken_for_the_first(context: Context, shop: Shop) -> None:
    marked = make_solutions(4, marks={1: "[[scripted:unparsed]]"})
    first = shop.judge(marked, recipe())
    assert retries.retry_failed(shop.database, first, quarantined=False) == 1
    shop.work()
    assert shop.sampled == 3 * 4
    second = shop.judge(marked, recipe())
    assert shop.sampled == 3 * 4
    assert rows(context, second) == rows(context, shop.judge(marked, recipe(), reuse=False))
    assert_clean(context)


@pytest.mark.parametrize(
    ("had", "wants", "samples"),
    [
        (KeepCritiques.ALL, KeepCritiques.NONE, False),
        (KeepCritiques.ALL, KeepCritiques.DISPUTED, False),
        (KeepCritiques.DISPUTED, KeepCritiques.DISPUTED, False),
        (KeepCritiques.NONE, KeepCritiques.NONE, False),
        (KeepCritiques.NONE, KeepCritiques.ALL, True),
        (KeepCritiques.DISPUTED, KeepCritiques.ALL, True),
        (KeepCritiques.NONE, KeepCritiques.DISPUTED, True),
    ],
)
def test_critiques_without_their_texts_serve_whom_needs_none(
    context: Context, shop: Shop, had: KeepCritiques, wants: KeepCritiques, samples: bool
) -> None:
    shop.judge(SOLUTIONS, recipe(), keep=had)
    job = shop.judge(SOLUTIONS, recipe(), keep=wants)
    assert (shop.sampled > 0) is samples
    assert rows(context, job) == rows(context, shop.judge(SOLUTIONS, recipe(), keep=wants, reuse=False))
    assert_clean(context)


def test_a_plan_by_context_takes_critiques_with_and_without_their_texts(context: Context, shop: Shop) -> None:
    """Whether they decide a step is known only when the steps before it are decided."""
    planned = recipe(stopping={"kind": "planned", "price": 9.0, "pilot": 6, "by_context": True})
    priors = tuple((0.3, 0.1, 0.1, 0.1, 0.4) if cell % 2 else (0.9, 0.0, 0.0, 0.0, 0.1) for cell in range(CELLS))
    plan = StoredPlan(1, 6, priors[0], None, priors)

    def judge(*, reuse: bool) -> int:
        job = take_in(shop.database, SOLUTIONS, planned, keep=KeepCritiques.DISPUTED).job_id
        run(shop.database, "UPDATE jobs SET reuse = :reuse WHERE id = :job", reuse=reuse, job=job)
        with shop.database.transaction() as connection:
            assert plans.add(connection, job, plan)
        shop.work()
        return job

    shop.judge(SOLUTIONS, recipe(), keep=KeepCritiques.DISPUTED)
    reused = judge(reuse=True)
    assert shop.sampled == 0
    assert rows(context, reused) == rows(context, judge(reuse=False))
    assert 0 < shop.sampled < 12 * 3 * 4
    assert_clean(context)


def test_a_step_that_becomes_disputed_has_all_its_texts(context: Context, shop: Shop) -> None:
    shop.judge(SOLUTIONS, recipe(k=2), keep=KeepCritiques.DISPUTED)
    job = shop.judge(SOLUTIONS, recipe(k=6), keep=KeepCritiques.DISPUTED)
    without = shop.judge(SOLUTIONS, recipe(k=6), keep=KeepCritiques.DISPUTED, reuse=False)
    assert rows(context, job) == rows(context, without)


def test_of_another_limit_what_it_cut_is_bought_and_nothing_else(context: Context, database: Database) -> None:
    parts = WorkerParts(database, engine := Long())
    try:
        shop = Shop(database, parts, engine)
        short, long = (recipe(sampling=Sampling(max_new_tokens=limit)) for limit in (150, 400))
        shop.judge(SOLUTIONS, short)
        cut = sum(seed % 4 == 0 for _, seed in engine.asked)
        more = [*SOLUTIONS, *make_solutions(1, seed=9, prefix="new")]
        job = shop.judge(SOLUTIONS, long)
        assert 0 < shop.sampled == cut < 12 * 3 * 4 / 2
        assert rows(context, job) == rows(context, shop.judge(SOLUTIONS, long, reuse=False))
        shop.judge(more, long)
        assert shop.sampled == 3 * 4
        assert rows(context, shop.judge(SOLUTIONS, short)) == rows(context, shop.judge(SOLUTIONS, short, reuse=False))
        assert_clean(context)
    finally:
        parts.close()


def test_a_verdict_is_forced_where_there_was_none_and_taken_back(context: Context, database: Database) -> None:
    parts = WorkerParts(database, engine := Long())
    try:
        shop = Shop(database, parts, engine)
        plain = recipe(sampling=Sampling(max_new_tokens=150))
        forcing = replace(plain, force_verdict=True)
        shop.judge(SOLUTIONS, plain)
        cut = sum(seed % 4 == 0 for _, seed in engine.asked)
        job = shop.judge(SOLUTIONS, forcing)
        assert shop.sampled == cut
        assert rows(context, job) == rows(context, shop.judge(SOLUTIONS, forcing, reuse=False))
        again = shop.judge(SOLUTIONS, replace(plain, k=3))
        assert shop.sampled == 0
        assert rows(context, again) == rows(context, shop.judge(SOLUTIONS, replace(plain, k=3), reuse=False))
        assert_clean(context)
    finally:
        parts.close()


def test_another_engine_buys_for_itself(shop: Shop) -> None:
    shop.judge(SOLUTIONS, recipe())
    shop.parts.call_engine("vllm")
    shop.judge(SOLUTIONS, recipe())
    assert shop.sampled == 12 * 3 * 4


def test_an_outcome_that_was_damaged_is_not_taken(context: Context, shop: Shop) -> None:
    job = shop.judge(SOLUTIONS, recipe())
    run(shop.database, f"DELETE FROM verdicts_j{job} WHERE ord = 3 AND step = 1 AND k = 1")
    run(shop.database, f"UPDATE scores_j{job} SET step_keys = NULL WHERE ord = 4")
    second = shop.judge(SOLUTIONS, recipe())
    assert shop.sampled == 4 + 3 * 4
    assert rows(context, second) == rows(context, shop.judge(SOLUTIONS, recipe(), reuse=False))


def test_jobs_of_earlier_seeds_go_on_as_they_began(context: Context, shop: Shop) -> None:
    old = make_recipe(k=4)
    shop.judge(SOLUTIONS, old)
    again = shop.judge(SOLUTIONS, old)
    assert shop.sampled == 12 * 3 * 4
    assert not run(shop.database, "SELECT 1 FROM judgements")
    assert progress(shop.database, again).critiques_reused == 0
    assert_clean(context)


def test_an_equal_submission_finds_the_job_from_before_the_seeds_changed(database: Database) -> None:
    old = take_in(database, SOLUTIONS, make_recipe(k=4), dedupe=True)
    assert take_in(database, SOLUTIONS, recipe(), dedupe=True) == with_(old, created=False)
    assert take_in(database, SOLUTIONS, recipe(k=5), dedupe=True).created


def test_an_estimate_counts_what_need_not_be_bought(context: Context, shop: Shop) -> None:
    shop.judge(SOLUTIONS, recipe())
    twice = make_solutions(1, seed=5, prefix="twin")
    counter = ReuseCounter(context.database, recipe(k=6), KeepCritiques.ALL)
    for solution in (*SOLUTIONS, *twice, *twice):
        counter.add(solution)
    assert counter.total() == 12 * 3 * 4 + 3 * 6


@pytest.mark.parametrize("seed", range(3))
def test_any_sequence_of_jobs_gives_what_each_would_alone(context: Context, shop: Shop, seed: int) -> None:
    rng = random.Random(seed)
    pool = make_solutions(10, steps=2, seed=seed)
    for _ in range(4):
        some = rng.sample(pool, rng.randrange(2, 10))
        stopping = {"kind": rng.choice(["fixed", "exact", "adaptive"])}
        options = {"stopping": stopping, "threshold": rng.choice([0.3, 0.5])}
        chosen = recipe(rng.randrange(3, 8), until_first_error=rng.random() < 0.5, **options)
        keep = rng.choice(list(KeepCritiques))
        job = shop.judge(some, chosen, keep=keep, shard=3)
        assert state(shop.database, job).value == "done"
        assert rows(context, job) == rows(context, shop.judge(some, chosen, keep=keep, shard=3, reuse=False))
    assert_clean(context)
