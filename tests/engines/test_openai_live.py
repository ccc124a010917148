"""The engine behind HTTP against a real `vllm serve` with the shipped judge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from rprm_jobs.engine import Generation
from rprm_jobs.errors import EngineError, PromptTooLong
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import MARKER, find_verdicts
from rprm_jobs.types import Finish, Sampling
from tests.support.injections import INJECTIONS
from tests.support.vllm_server import vllm_server
from training.splits import draw_split
from workers.engines import create_engine
from workers.engines.openai.engine import OpenaiEngine
from workers.parity import SecondPass

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

TINY = resolve_judge("tiny")
TEXTS = [TINY.template.render(s.problem, s.steps, i) for s in draw_split("held-out", 3) for i in range(len(s.steps))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with vllm_server(TINY.location, tmp_path_factory.mktemp("vllm") / "serve.log") as url:
        yield url


@pytest.fixture(scope="module")
def engine(server: str, runner: asyncio.Runner) -> Iterator[OpenaiEngine]:
    made = create_engine("openai", TINY, {"base_url": server})
    assert isinstance(made, OpenaiEngine)
    info = runner.run(made.start())
    assert info.max_model_len == 1024
    yield made
    runner.run(made.close())


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    from transformers import AutoTokenizer

    return PromptEncoder(AutoTokenizer.from_pretrained(TINY.location))


def test_p_yes_agrees_with_a_second_pass(engine: OpenaiEngine, runner: asyncio.Runner) -> None:
    async def run() -> list[list[object]]:
        return await asyncio.gather(*(engine.sample(engine.encode(t), range(3), TINY.sampling) for t in TEXTS))

    second = SecondPass(TINY)
    made = [(text, g) for text, row in zip(TEXTS, runner.run(run()), strict=True) for g in row]
    parsed = [(text, g) for text, g in made if find_verdicts(g.text)]
    assert len(parsed) > len(made) // 2
    for text, generation in parsed:
        assert generation.finish is Finish.STOP
        assert generation.text.endswith((f"{MARKER} Yes", f"{MARKER} No"))
        assert generation.p_yes == pytest.approx(second.p_yes(text, generation.text), abs=1e-4)


def test_it_agrees_with_the_transformers_engine(engine: OpenaiEngine, runner: asyncio.Runner) -> None:
    greedy = Sampling(temperature=0.0, max_new_tokens=TINY.sampling.max_new_tokens)

    async def run() -> list[tuple[Generation, Generation]]:
        other = create_engine("transformers", TINY, {"device": "cpu", "threads": "1", "max_model_len": "1024"})
        await other.start()
        try:
            ours = await asyncio.gather(*(engine.sample(engine.encode(t), [0], greedy) for t in TEXTS))
            theirs = await asyncio.gather(*(other.sample(other.encode(t), [0], greedy) for t in TEXTS))
        finally:
            await other.close()
        return [(one[0], another[0]) for one, another in zip(ours, theirs, strict=True)]

    for served, local in runner.run(run()):
        assert served.text == local.text
        assert local.p_yes is not None
        assert served.p_yes == pytest.approx(local.p_yes, abs=1e-4)


def test_a_seed_is_a_critique(engine: OpenaiEngine, runner: asyncio.Runner) -> None:
    warm = Sampling(temperature=1.5, top_p=1.0, max_new_tokens=100)
    prompt = engine.encode(TEXTS[0])
    in_one_batch = runner.run(engine.sample(prompt, range(5), warm))
    (exclusive,) = runner.run(engine.sample(prompt, [4], warm))
    assert exclusive.text == in_one_batch[4].text
    assert len({g.text for g in in_one_batch}) > 1


def test_the_token_limit_truncates(engine: OpenaiEngine, runner: asyncio.Runner) -> None:
    (made,) = runner.run(engine.sample(engine.encode(TEXTS[0]), [1], Sampling(max_new_tokens=4)))
    assert (made.finish, made.tokens, made.p_yes) == (Finish.LENGTH, 4, None)


def test_a_prompt_over_the_window_names_its_numbers(
    engine: OpenaiEngine, encoder: PromptEncoder, runner: asyncio.Runner
) -> None:
    text = TINY.template.render("p", ["1 + 1 = 2. " * 150], 0)
    with pytest.raises(PromptTooLong, match="must fit in the judge's 1024") as caught:
        runner.run(engine.sample(engine.encode(text), [1], TINY.sampling))
    # The server stops counting once it knows that the prompt is too long.
    assert 1024 < caught.value.tokens <= len(encoder.encode(text))


def test_a_critique_is_as_long_as_the_window_lets_it(
    engine: OpenaiEngine, encoder: PromptEncoder, runner: asyncio.Runner
) -> None:
    text = "1"
    while len(encoder.encode(text)) < 900:
        text += " 1"
    wild = Sampling(temperature=2.0, top_p=1.0, max_new_tokens=4096)
    made = runner.run(engine.sample(engine.encode(text), range(4), wild))
    cut = [g for g in made if g.finish is Finish.LENGTH]
    assert {g.tokens for g in cut} <= {1024 - len(encoder.encode(text))}


@pytest.mark.parametrize("step", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_a_rollout_is_text_to_the_server(
    engine: OpenaiEngine, encoder: PromptEncoder, runner: asyncio.Runner, step: str
) -> None:
    prompt = engine.encode(TINY.template.render("What is 1 + 1?", [step], 0))
    before = engine.stats().prompt_tokens
    (made,) = runner.run(engine.sample(prompt, [1], TINY.sampling))
    # Token for token what the message is when nothing in it can be special.
    assert engine.stats().prompt_tokens - before == len(encoder.encode(prompt.text))
    assert len(find_verdicts(made.text)) <= 1


def test_a_model_the_server_has_not_is_refused_at_start(server: str, runner: asyncio.Runner) -> None:
    made = create_engine("openai", TINY, {"base_url": server, "model": "other"})
    with pytest.raises(EngineError, match="no such address or model"):
        runner.run(made.start())


def test_logprobs_the_server_does_not_give_are_refused_at_start(server: str, runner: asyncio.Runner) -> None:
    made = create_engine("openai", TINY, {"base_url": server, "top_logprobs": "500"})
    with pytest.raises(EngineError, match="top_logprobs"):
        runner.run(made.start())
