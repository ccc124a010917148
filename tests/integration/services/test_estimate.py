"""An estimate adds up what a submission would really hold, and learns from what the store has seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from rprm_jobs.errors import InputError
from rprm_jobs.formats import ReadOptions
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.estimate import estimate
from rprm_jobs.types import KeepCritiques
from tests.support import jobs as made

pytestmark = pytest.mark.integration

KEEP = KeepCritiques.ALL


def test_it_counts_what_would_be_rendered(context: Context, tmp_path: Path) -> None:
    solutions = made.make_solutions(5)
    path = made.write_jsonl(tmp_path / "x.jsonl", solutions)
    with path.open("a") as file:
        file.write("nonsense\n")
    recipe = made.make_recipe(k=4)
    cost = estimate(context, (str(path),), recipe, ReadOptions(), keep=KEEP, tokens_per_s=100, count_tokens=len)
    template = made.JUDGE.template
    rendered = [len(template.render(s.problem, s.steps, i)) for s in solutions for i in range(len(s.steps))]
    assert (cost.solutions, cost.steps, cost.critiques, cost.refused) == (5, 15, 60, 1)
    assert cost.prompt_tokens == sum(rendered)
    assert cost.distinct_prompt_tokens < cost.prompt_tokens
    assert (cost.critique_tokens, cost.seconds, cost.measured) == (36_000, 360.0, False)


def test_without_a_speed_the_time_is_unknown(context: Context, tmp_path: Path) -> None:
    path = made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(1))
    cost = estimate(context, (str(path),), made.make_recipe(), ReadOptions(), keep=KEEP)
    assert cost.seconds is None


def test_it_learns_from_finished_shards(context: Context, tmp_path: Path) -> None:
    job = made.take_in(context.database, made.make_solutions(4), made.make_recipe(k=2)).job_id
    with context.database.transaction() as connection:
        connection.execute(
            text(
                "UPDATE shards SET state = 'done', critiques_done = 24, tokens_done = 2400,"
                " claimed_at = now() - interval '60 s', finished_at = now() WHERE job_id = :job"
            ),
            {"job": job},
        )
    path = made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(2))
    cost = estimate(context, (str(path),), made.make_recipe(k=10), ReadOptions(), keep=KEEP)
    assert cost.measured
    assert cost.critique_tokens == 60 * 100
    assert cost.tokens_per_s == pytest.approx(40, rel=0.01)
    assert cost.seconds == pytest.approx(150, rel=0.01)


def test_nothing_to_judge_is_an_error(context: Context, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("nonsense\n")
    with pytest.raises(InputError, match="no solution to judge"):
        estimate(context, (str(tmp_path / "x.jsonl"),), made.make_recipe(), ReadOptions(), keep=KEEP)
