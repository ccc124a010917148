"""What no set can be built from is refused with its reason and the option that would allow it; nothing is left."""

from __future__ import annotations

import threading
from dataclasses import replace

import msgspec
import pytest

from rprm_jobs.errors import Conflict, InputError, NotFound, RprmError
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.pairs.labels import Neutral
from rprm_jobs.pairs.rules import PairRule, PairRules, SetKind, SftRules
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import control
from rprm_jobs.services.training.sets import delete_set, get_set, list_sets
from rprm_jobs.services.upkeep.audit import repair
from rprm_jobs.store.schema import partitions
from rprm_jobs.store.session import Database
from rprm_jobs.types import JobKind, KeepCritiques, Solution
from tests.support.critiques import T
from tests.support.jobs import assert_clean, make_recipe, make_solutions, take_in
from tests.support.store import run, work_off_all
from tests.support.training import build_set, judge_ready, rows, scripted, with_texts

pytestmark = pytest.mark.integration


def labelled(n: int, *, problem: str | None = None) -> list[Solution]:
    return [replace(s, label=(-1, 0, 2)[i % 3], problem=problem or s.problem) for i, s in enumerate(make_solutions(n))]


def nothing_is_left(database: Database) -> bool:
    sets = run(database, "SELECT 1 FROM training_sets UNION ALL SELECT 1 FROM training_set_jobs")
    return not sets and not run(database, "SELECT 1 FROM pg_class WHERE relname LIKE 'training_rows_s%'")


def refused(context: Context, error: type[RprmError], *args: object, **options: object) -> RprmError:
    with pytest.raises(error) as caught:
        build_set(context, "s", *args, **options)  # type: ignore[arg-type]
    assert nothing_is_left(context.database)
    assert caught.value.hint
    return caught.value


def test_a_job_without_labels(context: Context, database: Database) -> None:
    job = scripted(database, make_solutions(3))
    error = refused(context, InputError, job, PairRules())
    assert f"job {job} has no labels" in error.what
    assert "rprm-jobs sample" in error.hint
    null = scripted(database, [Solution("s", "p", ("a", "b"), None, (None, None))])
    assert "has no labels" in refused(context, InputError, null, SftRules()).what


def test_a_score_job_with_labels_will_do(context: Context, database: Database) -> None:
    job = take_in(database, labelled(12), make_recipe(k=4), kind=JobKind.SCORE).job_id
    judge_ready(database)
    built = build_set(context, "s", job, SftRules())
    assert built.counts["steps"]["no label"] == 8
    assert built.n_train > 0


def test_a_job_whose_texts_were_not_kept(context: Context, database: Database) -> None:
    job = take_in(database, labelled(3), keep=KeepCritiques.NONE).job_id
    work_off_all(database)
    assert "were not kept" in refused(context, InputError, job, PairRules()).what


def test_an_unknown_job_and_one_that_is_named_twice(context: Context, database: Database) -> None:
    assert "no job 99" in refused(context, NotFound, 99, PairRules()).what
    job = scripted(database, labelled(3))
    assert "named twice" in refused(context, InputError, [job, job], PairRules()).what


def test_an_unfinished_job_unless_asked_for(context: Context, database: Database) -> None:
    job = scripted(database, labelled(24), shards=2)
    error = refused(context, Conflict, job, SftRules())
    assert "is running" in error.what
    assert "--unfinished" in error.hint
    part = build_set(context, "part", job, SftRules(), unfinished=True)
    assert part.counts["steps"]["not judged"] > 0
    judge_ready(database)
    # More was judged since: the same name now means another set.
    with pytest.raises(Conflict, match="another set 'part'") as caught:
        build_set(context, "part", job, SftRules())
    assert "--replace" in caught.value.hint
    whole = build_set(context, "part", job, SftRules(), replace=True)
    assert whole.n_train > part.n_train
    assert "not judged" not in whole.counts["steps"]


def test_a_cancelled_job_unless_asked_for(context: Context, database: Database) -> None:
    job = scripted(database, labelled(24), shards=2)
    control.cancel(context, job)
    assert "is cancelled" in refused(context, Conflict, job, SftRules()).what
    assert build_set(context, "s", job, SftRules(), unfinished=True).created


def test_jobs_of_different_prompts_unless_one_is_given(context: Context, database: Database) -> None:
    other = PromptTemplate.parse("{problem}|{previous_steps}|{now_step}")
    first = scripted(database, labelled(6))
    second = scripted(database, labelled(6), recipe=make_recipe_with(other))
    error = refused(context, InputError, [first, second], SftRules())
    assert f"jobs {first} and {second} were asked with different prompts" in error.what
    assert "--prompt" in error.hint
    build_set(context, "s", [first, second], SftRules(), prompt=other)
    assert get_set(context, "s", SetKind.SFT).prompt == other.source


def make_recipe_with(template: PromptTemplate) -> Recipe:
    return msgspec.structs.replace(make_recipe(k=4), prompt=template.source)


def test_what_a_teacher_wrote_is_trained_on_with_the_judges_prompt(context: Context, database: Database) -> None:
    taught = scripted(database, labelled(6), recipe=make_recipe_with(PromptTemplate.teacher()))
    asked = scripted(database, labelled(6))
    build_set(context, "s", [taught, asked], SftRules())
    assert get_set(context, "s", SetKind.SFT).prompt == PromptTemplate.default().source


def test_a_set_that_filtering_leaves_empty(context: Context, database: Database) -> None:
    one = with_texts(database, [Solution("s", "p", ("a",), -1)], lambda *_: (T[0], T[0]))
    error = refused(context, InputError, one, PairRules())
    assert "1 step unanimous, right" in error.what
    lengths = with_texts(database, [Solution("s", "p", ("a",), -1)], lambda *_: ("long " * 99 + T[0], T[3]))
    assert "--max-length-difference" in refused(context, InputError, lengths, PairRules()).hint
    filtered = with_texts(database, [Solution("s", "p", ("a",), -1)], lambda *_: (T[0], T[3], T[4]))
    error = refused(context, InputError, filtered, PairRules(rule=PairRule.PAPER))
    assert "three valid critiques" in error.what
    assert "--rule" in error.hint


def test_a_set_that_balancing_leaves_empty(context: Context, database: Database) -> None:
    job = with_texts(database, [Solution("s", "p", ("a",), -1)], lambda *_: (T[0], T[3]))
    error = refused(context, InputError, job, PairRules(validation=0.0))
    assert "no row is of a step labelled wrong" in error.what
    assert "--no-balance" in error.hint
    assert build_set(context, "s", job, PairRules(validation=0.0, balance=False)).n_train == 1


def test_labels_of_only_0_and_1_are_not_taken_for_all_correct(context: Context, database: Database) -> None:
    """In many data sets 0 means wrong. Here it means neutral, which counts as correct unless told otherwise."""
    binary = [Solution(f"s{i}", f"p{i}", ("a", "b"), None, (1, 0)) for i in range(6)]
    job = with_texts(database, binary, lambda *_: (T[0], T[3]))
    hint = refused(context, InputError, job, PairRules(validation=0.0)).hint
    assert hint.startswith("if 0 means wrong in your step_labels, add --neutral wrong")
    built = build_set(context, "s", job, SftRules(neutral=Neutral.WRONG, validation=0.0))
    assert {row.step: row.correct for row in rows(database, "s")} == {0: True, 1: False}
    assert built.n_train > 0


def test_a_split_that_would_need_a_problem_on_both_sides(context: Context, database: Database) -> None:
    job = scripted(database, labelled(9, problem="the only one"))
    error = refused(context, InputError, job, SftRules())
    assert "on both sides" in error.what
    assert "--validation" in error.hint
    assert build_set(context, "s", job, SftRules(validation=0.0)).n_validation == 0


def test_building_again_finds_the_set_and_other_rules_do_not(context: Context, database: Database) -> None:
    job = scripted(database, labelled(12))
    first = build_set(context, "s", job, PairRules())
    again = build_set(context, "s", job, PairRules())
    assert (first.created, again.created) == (True, False)
    assert (again.digest, again.counts, again.n_train) == (first.digest, first.counts, first.n_train)
    for rules in (PairRules(max_pairs=1), SftRules()):
        with pytest.raises(Conflict, match="another set 's'"):
            build_set(context, "s", job, rules)
    assert build_set(context, "s", job, SftRules(), replace=True).created
    assert [s.name for s in list_sets(context, SetKind.SFT)] == ["s"]
    assert list_sets(context, SetKind.PAIRS) == []
    with pytest.raises(NotFound, match="of the kind sft"):
        get_set(context, "s", SetKind.PAIRS)
    with pytest.raises(NotFound, match="no set 't'"):
        get_set(context, "t", SetKind.SFT)


def test_a_repair_throws_nothing_away_that_a_set_holds(context: Context, database: Database) -> None:
    job = scripted(database, labelled(11))
    build_set(context, "mine", job, SftRules())
    scores = partitions.partition("scores", job)
    run(database, f"UPDATE {scores} SET first_error = first_error + 90 WHERE ord = 3 RETURNING ord")
    with pytest.raises(Conflict, match=r"throw away critiques of job \d+ that the training set 'mine' uses") as caught:
        repair(context, [job])
    assert "rprm-jobs sft delete mine" in caught.value.hint
    assert len(run(database, f"SELECT 1 FROM {scores}")) == 11
    run(database, f"UPDATE {scores} SET first_error = first_error - 90 WHERE ord = 3 RETURNING ord")
    run(database, "UPDATE shards SET n_ok = 99 RETURNING id")
    assert repair(context, [job])[job].dropped == 0
    assert_clean(context, job)


def test_a_job_that_a_set_needs_is_neither_deleted_nor_retried(context: Context, database: Database) -> None:
    solutions = [*labelled(11), Solution("bad", "q", ("x [[scripted:refuse]]",), -1)]
    job = scripted(database, solutions)
    build_set(context, "mine", job, SftRules())
    for act in (control.delete, control.retry):
        with pytest.raises(Conflict, match=r"of job \d+ that the training set 'mine' uses") as caught:
            act(context, job)
        assert "rprm-jobs sft delete mine" in caught.value.hint
    assert_clean(context, job)
    kept = rows(database, "mine")
    delete_set(context, "mine", SetKind.SFT)
    assert nothing_is_left(database)
    assert control.retry(context, job) == 1
    judge_ready(database)
    build_set(context, "mine", job, SftRules())
    assert len(rows(database, "mine")) == len(kept)
    delete_set(context, "mine", SetKind.SFT)
    control.delete(context, job)
    assert run(database, f"SELECT to_regclass('{partitions.partition('scores', job)}') AS found")[0].found is None


def test_a_retry_without_failures_harms_no_set(context: Context, database: Database) -> None:
    job = scripted(database, labelled(6))
    build_set(context, "s", job, SftRules())
    assert control.retry(context, job) == 0


def test_two_builds_of_one_name_at_once_make_one_set(context: Context, database: Database) -> None:
    job = scripted(database, labelled(12))
    outcomes: list[object] = []

    def attempt(seed: int) -> None:
        try:
            outcomes.append(build_set(context, "s", job, PairRules(seed=seed)).created)
        except Conflict as error:
            outcomes.append(error.what)

    threads = [threading.Thread(target=attempt, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(True) == 1
    assert len(outcomes) == 4
    assert len(list_sets(context, SetKind.PAIRS)) == 1
    assert len(run(database, "SELECT 1 FROM pg_class WHERE relname LIKE 'training_rows_s%' AND relkind = 'r'")) == 1
