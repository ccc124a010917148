"""An estimate adds up what a submission would really hold, and learns from what the store has seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from rprm_jobs.errors import InputError
from rprm_jobs.formats import ReadOptions
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.estimate import estimate
from rprm_jobs.services.jobs.like import Measured
from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
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


def finished_job(
    context: Context, *, critiques: int, tokens: int, seconds: int = 60, words: int = 0, recipe: Recipe | None = None
) -> None:
    """A job of 4 solutions and 12 steps that has taken so much; `words` make its steps longer."""
    solutions = made.make_solutions(4)
    if words:
        solutions = [replace(s, steps=tuple(f"{step} {'word ' * words}" for step in s.steps)) for s in solutions]
    job = made.take_in(context.database, solutions, recipe or made.make_recipe(k=2), shard=4).job_id
    with context.database.transaction() as connection:
        connection.execute(
            text(
                "UPDATE shards SET state = 'done', critiques_done = :critiques, tokens_done = :tokens, n_ok = 4,"
                " claimed_at = now() - make_interval(secs => :seconds), finished_at = now() WHERE job_id = :job"
            ),
            {"job": job, "critiques": critiques, "tokens": tokens, "seconds": seconds},
        )


def test_it_learns_from_finished_jobs_and_says_how_far_they_lie_apart(context: Context, tmp_path: Path) -> None:
    finished_job(context, critiques=24, tokens=2400)
    finished_job(context, critiques=24, tokens=3600)
    path = made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(2))
    cost = estimate(context, (str(path),), made.make_recipe(k=10), ReadOptions(), keep=KEEP)
    assert cost.measured
    assert cost.tokens_per_critique == Measured(125, 100, 150, 2)
    assert (cost.critiques, cost.critique_tokens, cost.critique_tokens_range) == (60, 60 * 125, (6000, 9000))
    assert cost.tokens_per_s == pytest.approx(50, rel=0.01)
    assert cost.seconds == pytest.approx(150, rel=0.01)


@pytest.mark.parametrize("unlike", ["length", "prompt", "sampling", "judge"])
def test_unlike_jobs_say_nothing_of_a_critiques_length(context: Context, tmp_path: Path, unlike: str) -> None:
    recipe = made.make_recipe(k=2)
    others = {
        "length": recipe,
        "prompt": msgspec.structs.replace(recipe, prompt=recipe.prompt + "\n"),
        "sampling": made.make_recipe(k=2, max_new_tokens=17),
        "judge": msgspec.structs.replace(recipe, queue="rprm.another"),
    }
    finished_job(context, critiques=24, tokens=999_999, words=50 if unlike == "length" else 0, recipe=others[unlike])
    path = made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(2))
    cost = estimate(context, (str(path),), recipe, ReadOptions(), keep=KEEP)
    assert (cost.measured, cost.critique_tokens) == (False, 12 * 600)
    finished_job(context, critiques=24, tokens=2400)
    cost = estimate(context, (str(path),), recipe, ReadOptions(), keep=KEEP)
    assert cost.tokens_per_critique == Measured(100, 100, 100, 1)


def test_an_early_stop_is_learnt_from_jobs_that_stop_alike(context: Context, tmp_path: Path) -> None:
    adaptive = msgspec.structs.replace(made.make_recipe(k=10), stopping={"kind": "adaptive"})
    path = made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(2))
    finished_job(context, critiques=120, tokens=12_000, recipe=made.make_recipe(k=10))
    unknown = estimate(context, (str(path),), adaptive, ReadOptions(), keep=KEEP)
    assert (unknown.critiques, unknown.most_critiques, unknown.critiques_per_step) == (60, 60, None)
    finished_job(context, critiques=48, tokens=4800, recipe=adaptive)
    finished_job(context, critiques=72, tokens=7200, recipe=adaptive)
    known = estimate(context, (str(path),), adaptive, ReadOptions(), keep=KEEP)
    assert known.critiques_per_step == Measured(5, 4, 6, 2)
    assert (known.critiques, known.most_critiques, known.critique_tokens_range) == (30, 60, (2400, 3600))


@pytest.mark.parametrize("family", ["qwen-prm", "math-shepherd", "skywork-prm", "eurus-prm"])
def test_a_judge_that_scores_reads_each_solution_once(context: Context, tmp_path: Path, family: str) -> None:
    solutions = made.make_solutions(5)
    path = made.write_jsonl(tmp_path / "x.jsonl", solutions)
    recipe = make_recipe(resolve_judge("scripted", family), k=None)
    cost = estimate(context, (str(path),), recipe, ReadOptions(), keep=KEEP, count_tokens=len)
    texts = sum(len(s.problem) + sum(map(len, s.steps)) for s in solutions)
    assert (cost.writes, cost.critiques, cost.critique_tokens, cost.seconds) == (False, 15, 0, None)
    # What is beside the text: the frame, and a number for each step. No step is read twice.
    assert isinstance(recipe.judge_family, ScoreFamily)
    frame = recipe.judge_family.frame_characters
    assert texts + 5 * frame < cost.prompt_tokens < texts + 5 * frame + 15 * 12
    assert cost.prompt_tokens == cost.distinct_prompt_tokens
    writes = estimate(context, (str(path),), made.make_recipe(k=1), ReadOptions(), keep=KEEP)
    assert cost.bytes < writes.bytes
    finished_job(context, critiques=12, tokens=4000, recipe=recipe)
    again = estimate(context, (str(path),), recipe, ReadOptions(), keep=KEEP)
    assert (again.critique_tokens, again.critique_tokens_range) == (0, None)


@pytest.mark.parametrize(
    ("family", "critiques"), [("critic", 40), ("critic-scores", 40), ("thinkprm", 120), ("genprm", 120)]
)
def test_critiques_are_counted_by_what_a_family_judges_at_once(
    context: Context, tmp_path: Path, family: str, critiques: int
) -> None:
    solutions = made.make_solutions(5)
    path = made.write_jsonl(tmp_path / "x.jsonl", solutions)
    recipe = make_recipe(resolve_judge("scripted", family), k=8)
    cost = estimate(context, (str(path),), recipe, ReadOptions(), keep=KEEP, count_tokens=len)
    assert (cost.solutions, cost.steps, cost.critiques, cost.most_critiques) == (5, 15, critiques, critiques)
    # A whole solution is read once.
    assert (cost.prompt_tokens == cost.distinct_prompt_tokens) is (critiques == 40)
    submitted = submit(context, SubmitRequest((str(path),), recipe))
    assert submitted.critiques == critiques


def test_behind_a_screen_it_learns_from_cascades(context: Context, tmp_path: Path) -> None:
    path = made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(2))
    cascade = make_recipe(resolve_judge("scripted"), k=10, stopping={"kind": "cascade", "weight": 2.0})
    assert estimate(context, (str(path),), cascade, ReadOptions(), keep=KEEP).critiques == 60
    finished_job(context, critiques=24, tokens=2400, recipe=cascade)
    cost = estimate(context, (str(path),), cascade, ReadOptions(), keep=KEEP)
    assert (cost.critiques, cost.most_critiques, cost.critiques_per_step) == (12, 60, Measured(2, 2, 2, 1))


def test_nothing_to_judge_is_an_error(context: Context, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("nonsense\n")
    with pytest.raises(InputError, match="no solution to judge"):
        estimate(context, (str(tmp_path / "x.jsonl"),), made.make_recipe(), ReadOptions(), keep=KEEP)
