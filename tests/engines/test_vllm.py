"""The vLLM engine, for real, with the shipped judge: one load for the whole module, which the last test kills."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from rprm_jobs.engine import Generation
from rprm_jobs.errors import EngineDied, PromptTooLong, Refused
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import MARKER, find_verdicts, read_verdict
from rprm_jobs.types import Finish, Sampling, Verdict
from tests.support.injections import INJECTIONS
from training.splits import draw_split
from workers.engines import create_engine
from workers.engines.reaper import engine_processes
from workers.engines.vllm.engine import VllmEngine
from workers.parity import SecondPass

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # What vLLM and torch deprecate among themselves.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:(torch|vllm|transformers)(\..*)?"),
]

TINY = resolve_judge("tiny")
SAMPLING = TINY.sampling
STEPS = [(s.problem, s.steps, i) for s in draw_split("held-out", 4) for i in range(len(s.steps))]
TEXTS = [TINY.template.render(*step) for step in STEPS]
# One after the other, so that no batch moves a digit: fewer will do.
COMPARED = TEXTS[::3]
# Sampled on a CPU whether or not there is a GPU, so that the three ways to P(Yes) can be compared.
SMALL = {"max_model_len": "1024", "max_num_seqs": "64"}


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner) -> Iterator[VllmEngine]:
    made = create_engine("vllm", TINY, SMALL)
    assert isinstance(made, VllmEngine)
    info = runner.run(made.start())
    assert (info.name, info.max_model_len) == ("vllm", 1024)
    yield made
    runner.run(made.close())
    assert engine_processes(os.getpid()) == []


async def sample_all(
    engine: VllmEngine, texts: list[str], seeds: range, sampling: Sampling = SAMPLING
) -> list[list[Generation]]:
    return await asyncio.gather(*(engine.sample(engine.encode(text), seeds, sampling) for text in texts))


def test_critiques_end_in_a_verdict_with_its_p_yes(engine: VllmEngine, runner: asyncio.Runner) -> None:
    before = engine.stats()
    made = [g for row in runner.run(sample_all(engine, TEXTS, range(4))) for g in row]
    parsed = [g for g in made if find_verdicts(g.text)]
    assert len(parsed) > len(made) // 2
    for generation in parsed:
        assert generation.finish is Finish.STOP
        assert generation.text.endswith((f"{MARKER} Yes", f"{MARKER} No"))
        assert generation.p_yes is not None
        assert 0 <= generation.p_yes <= 1
    after = engine.stats()
    # Behind each verdict one token more was generated, which showed that the answer was whole.
    assert after.generated_tokens - before.generated_tokens == sum(g.tokens for g in made) + len(parsed)
    assert after.prompt_tokens > before.prompt_tokens
    assert after.prefix_hit_rate is not None
    assert after.prefix_hit_rate > 0.3


def test_a_seed_is_a_critique(engine: VllmEngine, runner: asyncio.Runner) -> None:
    warm = Sampling(temperature=1.5, top_p=1.0, max_new_tokens=SAMPLING.max_new_tokens)
    (in_one_batch,) = runner.run(sample_all(engine, TEXTS[:1], range(6), warm))
    (exclusive,) = runner.run(engine.sample(engine.encode(TEXTS[0]), [5], warm))
    assert exclusive.text == in_one_batch[5].text
    assert len({g.text for g in in_one_batch}) > 1


def test_free_text_ends_where_it_is_told(engine: VllmEngine, runner: asyncio.Runner) -> None:
    prompt = engine.encode(TEXTS[0])
    critiques = runner.run(engine.sample(prompt, range(4), SAMPLING))
    lines = runner.run(engine.sample(prompt, range(4), SAMPLING, stop=["\n"]))
    assert all(line.p_yes is None and line.finish is Finish.STOP for line in lines)
    assert [line.text for line in lines] == [critique.text.partition("\n")[0] + "\n" for critique in critiques]
    whole = runner.run(engine.sample(prompt, range(4), SAMPLING, stop=[]))
    assert all(w.text.startswith(c.text) and w.p_yes is None for w, c in zip(whole, critiques, strict=True))


def test_three_ways_to_p_yes_agree(engine: VllmEngine, runner: asyncio.Runner) -> None:
    greedy = Sampling(temperature=0.0, max_new_tokens=SAMPLING.max_new_tokens)

    async def both() -> list[tuple[Generation, Generation]]:
        other = create_engine("transformers", TINY, {"device": "cpu", "threads": "1", "max_model_len": "1024"})
        await other.start()
        try:
            pairs = []
            for text in COMPARED:
                prompt = engine.encode(text)
                assert other.encode(text).ids == prompt.ids
                (left,), (right,) = await asyncio.gather(
                    engine.sample(prompt, [0], greedy), other.sample(prompt, [0], greedy)
                )
                pairs.append((left, right))
            return pairs
        finally:
            await other.close()

    second = SecondPass(TINY)
    compared = 0
    for text, (ours, theirs) in zip(COMPARED, runner.run(both()), strict=True):
        assert ours.text == theirs.text
        if ours.p_yes is None:
            continue
        assert ours.p_yes == pytest.approx(theirs.p_yes, abs=1e-4)
        assert ours.p_yes == pytest.approx(second.p_yes(text, ours.text), abs=1e-4)
        compared += 1
    assert compared > len(COMPARED) // 2


def test_sampled_critiques_agree_with_a_second_pass(engine: VllmEngine, runner: asyncio.Runner) -> None:
    second = SecondPass(TINY)
    for text, row in zip(TEXTS[:6], runner.run(sample_all(engine, TEXTS[:6], range(3))), strict=True):
        for generation in row:
            if generation.p_yes is not None:
                assert generation.p_yes == pytest.approx(second.p_yes(text, generation.text), abs=1e-4)


def test_words_are_chosen_as_a_plain_forward_does(engine: VllmEngine, runner: asyncio.Runner) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    encoder = PromptEncoder(AutoTokenizer.from_pretrained(TINY.location))
    library: Any = AutoModelForCausalLM
    plain = library.from_pretrained(TINY.location, dtype=torch.float32).eval()
    messages = [TINY.template.message(*step) for step in STEPS[:4]]
    prefills = ("", "Previous: start 340\nNow", f"Consistency: ok\n{MARKER}")
    asked = [(m, p, w) for m in messages for p in prefills for w in (("Yes", "No"), (" Yes", " No"))]

    async def choose() -> list[list[float]]:
        return await asyncio.gather(*(engine.choose(*choice) for choice in asked))

    for choice, logprobs in zip(asked, runner.run(choose()), strict=True):
        ids, tokens = encoder.choice(*choice)
        with torch.no_grad():
            expected = plain(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[tokens].tolist()
        assert logprobs == pytest.approx(expected, abs=1e-3)


def test_the_token_limit_truncates(engine: VllmEngine, runner: asyncio.Runner) -> None:
    (made,) = runner.run(sample_all(engine, TEXTS[:1], range(2), Sampling(max_new_tokens=4)))
    assert [(g.finish, g.tokens, g.p_yes) for g in made] == [(Finish.LENGTH, 4, None)] * 2
    assert {read_verdict(g.text, g.finish) for g in made} == {Verdict.TRUNCATED}


def test_a_prompt_without_room_fails_alone(engine: VllmEngine, runner: asyncio.Runner) -> None:
    prompt = engine.encode(TINY.template.render("p", ["1 + 1 = 2. " * 150], 0))
    with pytest.raises(
        PromptTooLong, match=f"prompt has {len(prompt.ids)} tokens; with room for 64 .* in the judge's 1024"
    ):
        runner.run(engine.sample(prompt, [1], SAMPLING))


def test_sampling_that_vllm_does_not_do_is_refused(engine: VllmEngine, runner: asyncio.Runner) -> None:
    with pytest.raises(Refused, match="temperature"):
        runner.run(engine.sample(engine.encode(TEXTS[0]), [1], Sampling(temperature=3.0)))


def test_a_cancelled_call_is_aborted_in_the_engine(engine: VllmEngine, runner: asyncio.Runner) -> None:
    async def run() -> None:
        wild = Sampling(temperature=2.0, top_p=1.0, max_new_tokens=800)
        call = asyncio.create_task(engine.sample(engine.encode(TEXTS[0]), range(30), wild))
        async with asyncio.timeout(20):
            while engine._llm.output_processor.get_num_unfinished_requests() < 30:
                await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert engine._llm.output_processor.get_num_unfinished_requests() == 0
        await engine.sample(engine.encode(TEXTS[0]), [1], Sampling(max_new_tokens=8))
        generated = engine.stats().generated_tokens
        await asyncio.sleep(1.0)
        assert engine.stats().generated_tokens == generated

    runner.run(run())


@pytest.mark.parametrize("step", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_a_rollout_stays_text(engine: VllmEngine, runner: asyncio.Runner, step: str) -> None:
    encoder = engine._encoder
    assert encoder is not None

    def frame(text: str) -> list[int]:
        return [i for i in engine.encode(text).ids if i in encoder._special]

    text = TINY.template.render("What is 1 + 1?", [step], 0)
    assert step in text
    assert frame(text) == frame(TINY.template.render("What is 1 + 1?", ["1 + 1 = 2"], 0))
    for generation in runner.run(engine.sample(engine.encode(text), range(4), SAMPLING)):
        assert len(find_verdicts(generation.text)) <= 1


def test_a_killed_engine_is_dead_for_every_caller_and_leaves_nothing(
    engine: VllmEngine, runner: asyncio.Runner
) -> None:
    async def run() -> None:
        processes = engine_processes(os.getpid())
        assert processes
        # Halted first, so that no call can finish before the kill.
        processes[0].suspend()
        calls = [asyncio.create_task(engine.sample(engine.encode(text), range(4), SAMPLING)) for text in TEXTS[:4]]
        await asyncio.sleep(0.5)
        processes[0].kill()
        outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)
        assert {type(outcome) for outcome in outcomes} == {EngineDied}
        with pytest.raises(EngineDied):
            await engine.sample(engine.encode(TEXTS[0]), [1], SAMPLING)
        await engine.close()
        assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)

    runner.run(run())
