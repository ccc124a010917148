"""The audit of training sets: rows that no longer stand on critiques are found, and no repair judges over them."""

from __future__ import annotations

import pytest

from rprm_jobs.errors import Conflict
from rprm_jobs.pairs.rules import PairRules, Rules, SetKind, SftRules
from rprm_jobs.services.context import Context
from rprm_jobs.services.training.sets import delete_set
from rprm_jobs.services.upkeep.audit import audit, repair
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep.audit import SET_CHECKS
from tests.integration.pairs.test_build import labelled
from tests.support.jobs import assert_clean
from tests.support.store import run
from tests.support.training import build_set, judge_ready, rows, scripted

pytestmark = pytest.mark.integration

# Places are of one row of the set.
CASES = [
    ("critiques are gone", "DELETE FROM verdicts_j{j} WHERE (ord, step, k) = ({ord}, {step}, {chosen})"),
    ("critiques are gone", "DELETE FROM verdicts_j{j} WHERE (ord, step, k) = ({ord}, {step}, {rejected})"),
    ("critiques are gone", "DELETE FROM critiques_j{j} WHERE ord = {ord}"),
    ("critiques are gone", "UPDATE training_rows SET chosen = 99 WHERE (ord, step) = ({ord}, {step})"),
    ("and the verdicts of", "UPDATE verdicts_j{j} SET verdict = CASE verdict WHEN 'yes' THEN 'no' ELSE 'yes' END"
     " WHERE (ord, step, k) = ({ord}, {step}, {chosen})"),
    ("and the verdicts of", "UPDATE training_rows SET chosen = rejected, rejected = chosen WHERE ord = {ord}"),
    ("and the verdicts of", "UPDATE training_rows SET correct = NOT correct WHERE ord = {ord}"),
    ("that a training set was built with", "DELETE FROM training_rows WHERE ord = {ord}"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "damage"), CASES)
def test_a_row_without_its_critiques_is_found_and_not_judged_over(
    context: Context, database: Database, check: str, damage: str
) -> None:
    job = scripted(database, labelled(11))
    build_set(context, "mine", job, PairRules())
    assert_clean(context, job)
    row = rows(database, "mine")[0]
    places = {"j": job, "ord": row.ord, "step": row.step, "chosen": row.chosen, "rejected": row.rejected}
    run(database, damage.format(**places) + " RETURNING 1")
    (found,) = audit(context, [job])
    (finding,) = [one for one in found.findings if check in one.check]
    assert "pairs mine: " in finding.examples[0]
    with pytest.raises(Conflict, match=f"of job {job} that the training set 'mine' uses") as caught:
        repair(context, [job])
    assert "rprm-jobs pairs delete mine" in caught.value.hint
    delete_set(context, "mine", SetKind.PAIRS)
    repair(context, [job])
    judge_ready(database)
    assert_clean(context, job)


def test_every_check_is_seen_to_find_something() -> None:
    assert [check for check in SET_CHECKS if not any(part in check for part, _ in CASES)] == []


@pytest.mark.parametrize("rules", [PairRules(), SftRules()])
def test_another_jobs_rows_are_not_this_jobs_fault(context: Context, database: Database, rules: Rules) -> None:
    one, other = scripted(database, labelled(11)), scripted(database, labelled(11, seed=1))
    for name, job in (("one", one), ("other", other)):
        build_set(context, name, job, rules)
    row = rows(database, "other")[0]
    run(database, f"DELETE FROM critiques_j{other} WHERE ord = {row.ord} RETURNING 1")
    first, second = audit(context)
    assert (first.job_id, first.findings) == (one, ())
    assert {finding.check.split(":")[1] for finding in second.findings} == {
        " rows of training sets whose critiques are gone",
        " critique texts that the job keeps",
    }
