"""Building training sets in Postgres: the published counts, the oracle in Python, and the same set every time."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.pairs.labels import Neutral
from rprm_jobs.pairs.rows import SelectionCounts, TrainingRow, rows_of
from rprm_jobs.pairs.rules import PairRule, PairRules, PerStep, Rules, SftRules
from rprm_jobs.services.context import Context
from rprm_jobs.store.results import judged
from rprm_jobs.store.session import Database
from rprm_jobs.types import Solution
from tests.support.critiques import T
from tests.support.jobs import make_solutions
from tests.support.store import run
from tests.support.training import build_set, rows, scripted, with_texts

pytestmark = pytest.mark.integration

LOOSE = {"balance": False, "validation": 0.0}


def labelled(n: int, *, problems: int | None = None, seed: int = 0, steps: int = 3) -> list[Solution]:
    """`n` labelled solutions of so many problems."""
    rng = random.Random(seed)
    return [
        Solution(s.id, f"Problem {i % (problems or n)}?", s.steps, label=rng.randrange(-1, steps))
        for i, s in enumerate(make_solutions(n, steps=steps, seed=seed))
    ]


def thirteen(database: Database, label: int) -> int:
    """A job of one step with the thirteen critiques; label -1 says that the step is correct."""
    return with_texts(database, [Solution("s", "p", ("one",), label)], lambda *_: T)


@pytest.mark.parametrize(("label", "kept"), [(-1, [0, 1, 2, 12]), (0, [3])])
def test_sft_counts_of_the_thirteen_come_out_exactly(
    context: Context, database: Database, label: int, kept: list[int]
) -> None:
    built = build_set(context, "s", thirteen(database, label), SftRules(**LOOSE))
    assert sorted(row.chosen for row in rows(database, "s")) == kept
    assert {row.rejected for row in rows(database, "s")} == {None}
    assert (built.n_train, built.n_validation) == (len(kept), 0)
    assert built.counts["critiques"]["kept"] == len(kept)
    assert sum(built.counts["critiques"].values()) == 13
    last = build_set(context, "last", thirteen(database, label), SftRules(per_step=PerStep.LAST, **LOOSE))
    assert [row.chosen for row in rows(database, "last")] == kept[-1:]
    assert sum(last.counts["critiques"].values()) == 13


def test_pair_counts_of_the_thirteen_come_out_exactly(context: Context, database: Database) -> None:
    job = thirteen(database, -1)
    every = build_set(context, "all", job, PairRules(rule=PairRule.ALL, **LOOSE))
    assert {(r.chosen, r.rejected) for r in rows(database, "all")} == set(product([0, 1, 2, 12], [3, 4, 8]))
    assert (every.n_train, every.counts["steps"]) == (12, {"used": 1})
    assert every.counts["critiques"] == {
        "chosen": 4, "rejected": 3, "several verdicts": 2, "no verdict": 3, "goes on after its verdict": 1,
    }  # fmt: skip
    build_set(context, "paper", job, PairRules(rule=PairRule.PAPER, **LOOSE))
    assert {(r.chosen, r.rejected) for r in rows(database, "paper")} == {(0, 3), (0, 4)}


def candidates(database: Database, job_ids: list[int], rules: Rules) -> list[tuple[int, TrainingRow]]:
    tally = SelectionCounts()
    return [
        (job, row)
        for job in job_ids
        for batch in judged.read_judged(database, job)
        for one in batch
        for row in rows_of(one, rules, tally)
    ]


Place = tuple[int, int, int, int, int | None]


def oracle(found: list[tuple[int, TrainingRow]], rules: Rules) -> tuple[list[Place], list[Place]]:
    """Train and validation rows as they must come out, worked out in memory."""

    def place(job: int, row: TrainingRow) -> Place:
        return (job, row.ord, row.step, row.chosen, row.rejected)

    ordered = sorted(found, key=lambda one: (one[1].draw, one[0], one[1][2:]))
    if rules.balance:
        smaller = min(sum(row.correct for _, row in found), sum(not row.correct for _, row in found))
        taken = {True: 0, False: 0}
        kept = []
        for job, row in ordered:
            taken[row.correct] += 1
            if taken[row.correct] <= smaller:
                kept.append((job, row))
        ordered = kept
    target = math.ceil(len(ordered) * rules.validation) if rules.validation < 1 else rules.validation
    held: set[int] = set()
    size = 0
    for problem in sorted({row.problem for _, row in ordered}):
        if size < target:
            held.add(problem)
            size += sum(row.problem == problem for _, row in ordered)
    split: tuple[list[Place], list[Place]] = ([], [])
    for job, row in ordered:
        split[row.problem in held].append(place(job, row))
    return split


COMMON = {
    "balance": st.booleans(),
    "validation": st.sampled_from([0.0, 0.1, 0.3, 3.0]),
    "seed": st.integers(0, 5),
    "neutral": st.sampled_from(list(Neutral)),
}
ANY_RULES: st.SearchStrategy[Rules] = st.one_of(
    st.builds(SftRules, **COMMON), st.builds(PairRules, rule=st.sampled_from(list(PairRule)), **COMMON)
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=ANY_RULES)
def test_sets_are_what_the_rules_make_in_memory(context: Context, database: Database, rules: Rules) -> None:
    ids = [row.id for row in run(database, "SELECT id FROM jobs ORDER BY id")]
    if not ids:
        ids = [scripted(database, labelled(24, problems=7)), scripted(database, labelled(9, problems=9, seed=1))]
    built = build_set(context, "s", ids, rules, replace=True)
    train, validation = oracle(candidates(database, ids, rules), rules)
    found = [(r.validation, (r.job_id, r.ord, r.step, r.chosen, r.rejected)) for r in rows(database, "s")]
    assert found == [(False, one) for one in train] + [(True, one) for one in validation]
    assert (built.n_train, built.n_validation) == (len(train), len(validation))
    problems = {v: {r.text for r in rows(database, "s") if r.validation is v} for v in (False, True)}
    assert not problems[False] & problems[True]
    assert built.counts["problems"] == {"train": len(problems[False]), "validation": len(problems[True])}
    assert sum(built.counts["steps"].values()) == 24 * 3 + 9 * 3
    again = build_set(context, "again", ids, rules, replace=True)
    assert again.digest == built.digest
    assert [row[1:] for row in rows(database, "again")] == [row[1:] for row in rows(database, "s")]


def test_balancing_cuts_the_larger_class_at_random(context: Context, database: Database) -> None:
    job = scripted(database, labelled(40))
    loose = build_set(context, "loose", job, PairRules(**LOOSE))
    assert loose.counts["rows"]["correct"] > loose.counts["rows"]["wrong"] > 3
    built = build_set(context, "s", job, PairRules(validation=0.0))
    classes = [row.correct for row in rows(database, "s")]
    assert sum(classes) * 2 == len(classes) == 2 * loose.counts["rows"]["wrong"]
    assert built.counts["rows"]["cut by balancing"] == loose.n_train - built.n_train
    assert 0 < sum(classes[: len(classes) // 2]) < len(classes) // 2
    other = build_set(context, "other", job, PairRules(validation=0.0, seed=1))
    assert other.digest != built.digest
    assert {r[3:8] for r in rows(database, "other")} != {r[3:8] for r in rows(database, "s")}


def test_a_dry_run_counts_the_same_and_leaves_nothing(context: Context, database: Database) -> None:
    job = scripted(database, labelled(10))
    dry = build_set(context, "s", job, PairRules(), dry_run=True)
    assert (dry.created, dry.dry_run) == (False, True)
    assert run(database, "SELECT 1 FROM training_sets UNION SELECT 1 FROM training_set_jobs") == []
    assert run(database, "SELECT relname FROM pg_class WHERE relname LIKE 'training_rows_s%'") == []
    built = build_set(context, "s", job, PairRules())
    assert (built.counts, built.digest, built.n_train) == (dry.counts, dry.digest, dry.n_train)
    assert build_set(context, "s", job, PairRules(), dry_run=True).created is False


def test_critiques_of_older_versions_are_read_from_their_texts(context: Context, database: Database) -> None:
    job = scripted(database, labelled(10))
    built = build_set(context, "new", job, PairRules())
    run(database, f"UPDATE critiques_j{job} SET readings = NULL WHERE ord % 2 = 0")
    run(database, f"UPDATE critiques_j{job} SET readings = '\\x92cd03e790' WHERE ord % 2 = 1")
    old = build_set(context, "old", job, PairRules())
    assert (old.digest, old.counts) == (built.digest, built.counts)


def test_neutral_steps_count_as_the_rules_say(context: Context, database: Database) -> None:
    job = with_texts(database, [Solution("s", "p", ("a", "b"), None, (0, -1))], lambda *_: T)
    for neutral, correct in ((Neutral.CORRECT, {True, False}), (Neutral.WRONG, {False}), (Neutral.SKIP, {False})):
        built = build_set(context, neutral.value, job, PairRules(neutral=neutral, **LOOSE))
        assert {row.correct for row in rows(database, neutral.value)} == correct
        assert built.counts["steps"].get("neutral, left out", 0) == (neutral is Neutral.SKIP)


def test_a_failed_solution_still_gives_the_steps_that_were_judged(context: Context, database: Database) -> None:
    silent = ("nothing is said",) * 2
    solution = Solution("s", "p", ("a", "b"), -1)
    job = with_texts(database, [solution], lambda _, step: T[:4] if step == 0 else silent)
    assert run(database, f"SELECT status FROM scores_j{job}")[0].status == "failed"
    built = build_set(context, "s", job, PairRules(rule=PairRule.ALL, **LOOSE))
    assert built.n_train == 3
    assert built.counts["steps"] == {"used": 1, "no critique with exactly one verdict": 1}


def test_the_prompt_of_the_set_is_that_of_its_jobs(context: Context, database: Database) -> None:
    job = scripted(database, labelled(6))
    build_set(context, "s", job, PairRules())
    (found,) = run(database, "SELECT prompt, kind FROM training_sets")
    assert (found.prompt, found.kind) == (PromptTemplate.default().source, "pairs")
