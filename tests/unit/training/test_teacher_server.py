"""The erring teacher behind OpenAI's protocol, asked by the engine that asks any such server."""

from __future__ import annotations

import asyncio

from rprm_jobs.engine import Generation
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.judge.verdict import find_verdicts
from rprm_jobs.types import Sampling
from training.teacher_server import teaching
from training.tiny import cold_rows
from workers.engines import create_engine

JUDGE = Judge("teacher", "local/teacher", None, PromptTemplate.default(), Sampling(), "0" * 64)


async def asked(url: str, prompts: list[str], seeds: range) -> list[list[Generation]]:
    engine = create_engine("openai", JUDGE, {"base_url": url, "top_logprobs": "0"})
    await engine.start()
    try:
        return await asyncio.gather(*(engine.sample(engine.encode(text), seeds, Sampling()) for text in prompts))
    finally:
        await engine.close()


def test_it_answers_what_it_was_given_by_seed_and_nothing_else() -> None:
    _, critics = cold_rows(40)
    prompts = list(critics)
    with teaching(critics) as url:
        first, again = (asyncio.run(asked(url, prompts, range(4))) for _ in range(2))
        ((unknown,),) = asyncio.run(asked(url, ["What is this?"], range(1)))
    assert [[g.text for g in row] for row in first] == [[g.text for g in row] for row in again]
    assert any(len({g.text for g in row}) > 1 for row in first)
    assert all(len(find_verdicts(g.text)) == 1 for row in first for g in row)
    assert find_verdicts(unknown.text) == []


def test_the_cold_rows_label_what_the_teacher_knows() -> None:
    rows, critics = cold_rows(50)
    labels = [label for row in rows for label in row["step_labels"] if label is not None]
    assert len(labels) == len(critics)
    assert set(labels) == {1, -1}
    assert len({row["id"] for row in rows}) == len(rows)
    assert cold_rows(50)[0] == rows
