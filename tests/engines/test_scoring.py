"""Every scoring family, with tiny random weights in the published folders, against a plain forward pass of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rprm_jobs.errors import ConfigError, EngineDied, JudgeError, PromptTooLong
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.families.table import ROWS
from rprm_jobs.judge.resolve import Judge, resolve_judge
from tests.support.score_models import (
    BY_FAMILY,
    HOSTILE,
    PROBLEM,
    PUBLISHED,
    SOLUTIONS,
    Published,
    build_folder,
    build_tokenizer,
)
from tests.support.score_reference import Reference
from workers.engines import create_engine
from workers.engines.transformers.scorer import TransformersScorer
from workers.tasks.score import rewards_of

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Running:
    """An engine with its judge, its folder, and the other model where there is one."""

    judge: Judge
    scorer: TransformersScorer
    reference: Reference
    runner: asyncio.Runner

    def rewards(self, steps: list[str], problem: str = PROBLEM) -> list[float]:
        family = self.judge.family
        assert isinstance(family, ScoreFamily)
        return self.runner.run(rewards_of(self.scorer, family, problem, steps))


@pytest.fixture(scope="module", params=[published.family for published in PUBLISHED])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner
) -> Iterator[Running]:
    published, root = BY_FAMILY[request.param], tmp_path_factory.mktemp("judges")
    folder, other = build_folder(root, published, seed=1), None
    if published.family == "eurus-prm":
        other = build_folder(root, Published("rprm", "reference", "Qwen2ForCausalLM"), seed=2)
    judge = resolve_judge(str(folder), None if other is None else f"eurus-prm,reference={other}")
    scorer = create_engine("transformers", judge, {"device": "cpu", "threads": "1", "max_batch_tokens": "600"})
    assert isinstance(scorer, TransformersScorer)
    runner.run(scorer.start())
    yield Running(judge, scorer, Reference(folder, other), runner)
    runner.run(scorer.close())


def test_every_scoring_family_is_tried_here() -> None:
    assert set(BY_FAMILY) == {row.family.name for row in ROWS if isinstance(row.family, ScoreFamily)}


def test_scores_are_those_of_the_published_code(running: Running) -> None:
    for steps in SOLUTIONS.values():
        expected = running.reference.rewards(running.judge.family.name, PROBLEM, steps)
        # A log-ratio is scaled down to next to nothing.
        near = 1e-7 if running.judge.family.name == "eurus-prm" else 1e-4
        assert running.rewards(steps) == pytest.approx(expected, abs=near)


def test_a_batch_changes_nothing_and_a_step_depends_on_those_before_it(running: Running) -> None:
    async def all_at_once() -> list[list[tuple[float, ...]]]:
        prompts = [running.scorer.encode_solution(PROBLEM, steps) for steps in SOLUTIONS.values()]
        return await asyncio.gather(*map(running.scorer.score, prompts))

    for steps, outputs in zip(SOLUTIONS.values(), running.runner.run(all_at_once()), strict=True):
        single = running.runner.run(running.scorer.score(running.scorer.encode_solution(PROBLEM, steps)))
        assert [value for row in outputs for value in row] == pytest.approx(
            [value for row in single for value in row], abs=1e-4
        )
    first, second = running.rewards(["1 + 1 = 2.", "So 2."]), running.rewards(["1 + 1 = 3.", "So 2."])
    assert first[1] != pytest.approx(second[1], abs=1e-9)


@pytest.mark.parametrize("steps", [HOSTILE, ["ок", *HOSTILE, "7"]], ids=["alone", "among others"])
def test_what_a_rollout_says_is_text(running: Running, steps: list[str]) -> None:
    scorer, added = running.scorer, running.reference.tokenizer.added_tokens_decoder
    plain = ["a"] * len(steps)
    prompt, other = scorer.encode_solution(PROBLEM, steps), scorer.encode_solution(PROBLEM, plain)
    assert sum(i in added for i in prompt.ids) == sum(i in added for i in other.ids)
    assert list(prompt.places) == sorted(set(prompt.places))
    if running.judge.family.name not in ("reason-eval", "reason-eval-34b", "eurus-prm", "rlhflow-prm"):
        # Each step is read at the family's own tag, and at no tag of the rollout's.
        assert len({prompt.ids[place] for place in prompt.places}) == 1
    assert len(running.rewards(steps)) == len(steps)
    assert len(running.rewards(plain, problem=HOSTILE[0])) == len(steps)


def test_a_solution_beyond_the_window_is_refused_and_never_cut(running: Running) -> None:
    with pytest.raises(PromptTooLong, match="must fit in the judge's 2048"):
        running.rewards(["word " * 2000])


@pytest.mark.parametrize("family", ["qwen-prm", "pqm", "math-shepherd", "pure-prm", "rlhflow-prm", "math-psa"])
def test_a_tokenizer_without_the_tag_is_refused(tmp_path: Path, runner: asyncio.Runner, family: str) -> None:
    tokenizer = build_tokenizer(words=(), specials=("<|im_start|>", "<|im_end|>"))
    if family == "rlhflow-prm":
        tokenizer.chat_template = None
    folder = build_folder(tmp_path, BY_FAMILY[family], tokenizer=tokenizer)
    scorer = create_engine("transformers", resolve_judge(str(folder)), {})
    with pytest.raises(JudgeError, match="no chat template" if family == "rlhflow-prm" else "has no token") as caught:
        runner.run(scorer.start())
    assert caught.value.hint


@pytest.mark.parametrize(
    ("folder_of", "family", "words"),
    [
        ("qwen-prm", "reason-eval", "it is no model of family reason-eval: Qwen2ForProcessRewardModel"),
        ("pure-prm", "math-shepherd", "it is no model of family math-shepherd"),
        ("math-shepherd", "qwen-prm", "MistralForCausalLM is not Qwen2ForProcessRewardModel"),
        ("qwen-prm", "rprm", "it writes no critiques"),
    ],
)
def test_a_family_of_another_kind_is_refused_at_once(tmp_path: Path, folder_of: str, family: str, words: str) -> None:
    folder = build_folder(tmp_path, BY_FAMILY[folder_of])
    with pytest.raises(JudgeError, match=words) as caught:
        resolve_judge(str(folder), family)
    assert "--family" in caught.value.hint


def test_a_head_with_another_number_of_classes_is_refused(tmp_path: Path, runner: asyncio.Runner) -> None:
    folder = build_folder(tmp_path, BY_FAMILY["reason-eval"])
    scorer = create_engine("transformers", resolve_judge(str(folder), "reason-eval,outputs=4"), {})
    with pytest.raises(JudgeError, match="3 outputs, and family reason-eval reads 4"):
        runner.run(scorer.start())


def test_a_reference_of_another_vocabulary_is_refused(tmp_path: Path, runner: asyncio.Runner) -> None:
    folder = build_folder(tmp_path, BY_FAMILY["eurus-prm"])
    other = build_folder(tmp_path, BY_FAMILY["math-psa"], tokenizer=build_tokenizer(words=("ки", "abc")))
    for reference, words in ((str(other), "do not read the same ids"), (str(tmp_path / "none"), "cannot be used")):
        scorer = create_engine("transformers", resolve_judge(str(folder), f"eurus-prm,reference={reference}"), {})
        with pytest.raises(JudgeError, match=words):
            runner.run(scorer.start())


def test_an_engine_that_dies_answers_everybody(tmp_path: Path, runner: asyncio.Runner) -> None:
    scorer = create_engine("transformers", resolve_judge(str(build_folder(tmp_path, BY_FAMILY["pqm"]))), {})
    assert isinstance(scorer, TransformersScorer)
    runner.run(scorer.start())

    def break_down(*_: object) -> None:
        raise MemoryError("no more")

    scorer._read = break_down  # type: ignore[method-assign]

    async def score_all() -> list[object]:
        prompts = [scorer.encode_solution(PROBLEM, steps) for steps in SOLUTIONS.values()]
        return await asyncio.gather(*map(scorer.score, prompts), return_exceptions=True)

    assert {type(outcome) for outcome in runner.run(score_all())} == {EngineDied}
    runner.run(scorer.close())


def test_an_endpoint_says_by_name_what_it_cannot_do(tmp_path: Path) -> None:
    judge = resolve_judge(str(build_folder(tmp_path, BY_FAMILY["qwen-prm"])))
    with pytest.raises(ConfigError, match="'openai' cannot score with family qwen-prm"):
        create_engine("openai", judge, {"base_url": "http://127.0.0.1:9/v1"})
