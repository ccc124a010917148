"""The two jobs of a storm: one judged by the scripted engine, one over HTTP by a server. What must come out of each."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.storm_server import MODEL, ODD, REFUSED, WITHOUT_P_YES, critique
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.resolve import ENDPOINT, resolve_judge
from rprm_jobs.judge.verdict import find_verdicts
from rprm_jobs.store.session import Database
from rprm_jobs.types import Solution
from tests.support import jobs as synthetic
from tests.support.store import run

K, STEPS, SHARD = 2, 3, 20
# What becomes of a rollout that ends its worker, its engine, or is refused by a server that answers all others.
_SCRIPTED_MARKS = {
    "[[scripted:exit]]": "quarantined",
    "[[scripted:died]]": "quarantined",
    "[[scripted:refuse]]": "failed",
}
_SERVED_MARKS = {REFUSED: "failed", **dict.fromkeys((*WITHOUT_P_YES, *ODD), "ok")}
# The engine keeps this much of a seed for the server.
_SEED_BITS = 0x7FFFFFFF
# Of a reward that came as a log-probability.
_ROUNDING = 1e-6


@dataclass
class StormJob:
    """Its solutions and recipe; `marked` are the solutions with a marker and the status that each must get.

    `worker` are the arguments of its workers; rewards may differ by `rounding`.
    """

    solutions: list[Solution]
    recipe: Recipe
    marked: dict[str, str]
    worker: tuple[str, ...]
    rounding: float = 0.0
    id: int = 0

    def take_in(self, database: Database) -> int:
        """Store it; its id."""
        self.id = synthetic.take_in(database, self.solutions, self.recipe, shard=SHARD).job_id
        return self.id

    def expected(self) -> dict[str, list[float | None]]:
        """The rewards that an undisturbed run gives to every solution that must be ok."""
        ok = [solution for solution in self.solutions if self.marked.get(solution.id, "ok") == "ok"]
        if self.recipe.judge == synthetic.JUDGE.name:
            return synthetic.expected_rewards(ok, self.recipe)
        return {solution.id: _served_rewards(solution, self.recipe) for solution in ok}

    def compare(self, database: Database) -> dict[str, Any]:
        """How many outcomes are lost, doubled and changed, and how many there are of each status."""
        outcomes = synthetic.outcomes(database, self.id)
        counts = run(database, f"SELECT count(*) AS n, count(DISTINCT ord) AS d FROM scores_j{self.id}")[0]
        statuses = [outcome.status for outcome in outcomes.values()]
        return {
            "lost": sum(status is None for status in statuses)
            + sum(outcomes[id_].status != status for id_, status in self.marked.items()),
            "doubled": counts.n - counts.d,
            "changed_rewards": sum(
                not _same(outcomes[id_].rewards, rewards, self.rounding) for id_, rewards in self.expected().items()
            ),
            "statuses": {str(status): statuses.count(status) for status in sorted(set(statuses), key=str)},
        }


def scripted_job(count: int, poison: int, seed: int, rate: float) -> StormJob:
    """Judged in the worker's own process, `rate` critiques a second; `poison` rollouts of each bad kind."""
    solutions, marked = _solutions(count, poison, seed, _SCRIPTED_MARKS)
    worker = ("--judge", synthetic.JUDGE.name, "--engine-arg", f"rate={rate}")
    return StormJob(solutions, synthetic.make_recipe(k=K, seed=seed), marked, worker)


def served_job(count: int, poison: int, seed: int, rate: float, url: str) -> StormJob:
    """Judged by the server at `url`, with so many requests at a time that it keeps about the same pace."""
    judge = resolve_judge(f"{ENDPOINT}{MODEL}")
    solutions, marked = _solutions(count, poison, seed + 1, _SERVED_MARKS)
    recipe = msgspec.structs.replace(
        synthetic.make_recipe(k=K, seed=seed),
        judge=judge.name,
        fingerprint=judge.fingerprint,
        queue=judge.queue,
        prompt=judge.template.source,
    )
    options = {"base_url": url, "tries": 4, "deadline_s": 60, "concurrency": max(1, round(rate / 20))}
    pairs = [word for key, value in options.items() for word in ("--engine-arg", f"{key}={value}")]
    return StormJob(solutions, recipe, marked, ("--judge", judge.name, "--engine", "openai", *pairs), _ROUNDING)


def _solutions(count: int, poison: int, seed: int, marks: Mapping[str, str]) -> tuple[list[Solution], dict[str, str]]:
    ords = random.Random(seed).sample(range(count), poison * len(marks))
    marked = dict(zip(ords, list(marks) * poison, strict=True))
    solutions = synthetic.make_solutions(count, steps=STEPS, seed=seed, marks=marked)
    return solutions, {f"s{ord_}": marks[mark] for ord_, mark in marked.items()}


def _served_rewards(solution: Solution, recipe: Recipe) -> list[float | None]:
    template = PromptTemplate.parse(recipe.prompt)
    rewards: list[float | None] = []
    for step in range(len(solution.steps)):
        prompt = template.render(solution.problem, solution.steps, step)
        seeds = [synthetic.seed_of(recipe, solution, step, k) & _SEED_BITS for k in range(recipe.k)]
        written = [critique(prompt, seed) for seed in seeds]
        votes = [
            float(find_verdicts(generation.text)[-1][1] == "Yes") if generation.p_yes is None else generation.p_yes
            for generation in written
        ]
        rewards.append(math.fsum(votes) / len(votes))
    return rewards


def _same(rewards: list[float | None] | None, expected: list[float | None], rounding: float) -> bool:
    if rewards is None or len(rewards) != len(expected):
        return False
    return all(
        reward is not None and right is not None and abs(reward - right) <= rounding
        for reward, right in zip(rewards, expected, strict=True)
    )
