"""The tiny critic's examples: each names the label's step in its box, and is shown as a critic is asked."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from rprm_jobs.judge.families.critic import CRITIC
from rprm_jobs.judge.paragraphs import boxed_index, last_boxed
from rprm_jobs.judge.prompt import PromptTemplate, format_step
from rprm_jobs.judge.resolve import resolve_judge
from training import tiny_critic
from training.folder import load_tokenizer
from training.splits import CRITIC_SEED, SEEDS, draw_split
from training.tiny_critic import MAX_NEW_TOKENS, PROMPT, critic_prompt, critic_records, recipe_for, whole_critique


def test_a_critique_names_the_first_wrong_step_and_stops_there() -> None:
    for solution in draw_split("held-out", 200):
        critique = whole_critique(solution)
        assert boxed_index(last_boxed(critique), len(solution.steps)) == solution.label
        looked_at = len(solution.steps) if solution.label < 0 else solution.label + 1
        assert critique.count("Conclusion:") == critique.count("Step ") == looked_at
        assert critique.count("Conclusion: bad") == (solution.label >= 0)
        assert all(format_step(step, solution.steps[step]) in critique for step in range(looked_at))


def test_training_shows_what_judging_shows() -> None:
    template = PromptTemplate.parse(PROMPT)
    assert CRITIC.fits(template)
    for solution in draw_split("held-out", 20):
        asked = template.message(solution.problem, solution.steps, len(solution.steps) - 1)
        assert critic_prompt(solution) == asked.text


def test_its_examples_are_its_own_and_right_and_wrong_ones_are_equally_many() -> None:
    assert CRITIC_SEED not in SEEDS.values()
    records = list(itertools.islice(critic_records(CRITIC_SEED), 400))
    right = sum("\\boxed{-1}" in record["completion"] for record in records)
    assert 150 < right < 250
    assert records[:3] == list(itertools.islice(critic_records(CRITIC_SEED), 3))
    tokenizer = load_tokenizer(resolve_judge("tiny"))
    assert max(len(tokenizer.encode(record["completion"])) for record in records) < MAX_NEW_TOKENS
    assert recipe_for(1).warmup == 1


@pytest.mark.engine
@pytest.mark.filterwarnings("default")
def test_what_is_trained_is_a_critic_that_says_how_good_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_critic, "MAX_NEW_TOKENS", 30)
    measured = tiny_critic.build(tmp_path / "c", steps=2, count=4)
    judge = resolve_judge(str(tmp_path / "c"))
    assert (judge.family, judge.template.source) == (CRITIC, PROMPT)
    assert (judge.sampling.temperature, judge.sampling.top_p, judge.sampling.max_new_tokens) == (1.0, 0.9, 30)
    # Thirty tokens hold no answer: each is a miss, and none is left out.
    assert measured["evaluation"] | {"solutions": 4, "f1": 0.0, "without_answer": 4} == measured["evaluation"]
    assert 0 < measured["training"]["last_loss"] < 10
    assert "2 steps of 8 generated solutions" in (tmp_path / "c" / "README.md").read_text()
    assert not (tmp_path / "c" / "checkpoints").exists()
