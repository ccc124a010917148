"""The shipped policy: small, of the judges' world, right often and wrong often."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from rprm_jobs.evaluation.answers import stated_answer
from rprm_jobs.judge.policy import PROBLEM, resolve_policy, shipped_policies
from training.splits import as_problem, draw_split
from training.tiny_policy import card_of
from workers.engines import create_engine

EXAMPLES = Path(__file__).parents[3] / "examples" / "problems.jsonl"


def test_the_folder_is_complete_and_small() -> None:
    assert shipped_policies() == ["tiny-policy"]
    folder = Path(resolve_policy("tiny-policy").model.location)
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert files.keys() >= {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja", "rprm_policy.json", "measured.json", "README.md",
    }  # fmt: skip
    assert sum(files.values()) < 2_500_000
    measured = json.loads((folder / "measured.json").read_text())
    assert (folder / "README.md").read_text() == card_of("tiny-policy", measured["training"])


def test_the_example_problems_are_the_split_that_they_say() -> None:
    rows = [json.loads(line) for line in EXAMPLES.read_text("utf-8").splitlines()]
    assert rows == [as_problem("problems", n, one) for n, one in enumerate(draw_split("problems", len(rows)))]
    assert len(rows) == 24


@pytest.mark.engine
@pytest.mark.slow
def test_it_is_right_often_and_wrong_often() -> None:
    policy = resolve_policy("tiny-policy")
    problems = [as_problem("problems", n, one) for n, one in enumerate(draw_split("problems", 24))]

    async def run() -> list[list[str]]:
        engine = create_engine("transformers", policy.model, {})
        await engine.start()
        try:
            prompts = [engine.encode(policy.card.prompt.replace(PROBLEM, row["problem"])) for row in problems]
            made = await asyncio.gather(
                *(engine.sample(prompt, range(4), policy.sampling, stop=[]) for prompt in prompts)
            )
        finally:
            await engine.close()
        return [[one.text for one in group] for group in made]

    found = [
        (stated_answer(text, policy.card.answer_pattern), row["answer"])
        for texts, row in zip(asyncio.run(run()), problems, strict=True)
        for text in texts
    ]
    assert sum(stated is not None for stated, _ in found) >= 0.9 * len(found)
    right = sum(stated == answer for stated, answer in found) / len(found)
    assert 0.1 < right < 0.9
