"""The transformers engine on a judge made on the spot: what a critique depends on, where it ends, and how it fails."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.engine import Generation
from rprm_jobs.errors import EngineDied, PromptTooLong, Refused
from rprm_jobs.judge.families.thinkprm import OPENING
from rprm_jobs.judge.resolve import Judge, resolve_judge
from rprm_jobs.judge.verdict import MARKER, find_verdicts, read_verdict
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Finish, Message, Sampling, Verdict
from tests.support.injections import INJECTIONS
from tests.support.judges import render
from workers.engines import create_engine
from workers.engines.transformers.engine import TransformersEngine
from workers.parity import SecondPass
from workers.tasks.budget import Budget
from workers.tasks.judge import judge_solutions
from workers.tasks.spec import JudgeSpec
from workers.tasks.thinkprm import ThinkJudge

pytestmark = pytest.mark.engine

SAMPLING = Sampling(max_new_tokens=96)
TEXTS = [render(f"What is {n} + {n}?", *[f"{n} + {n} = {2 * n}."] * (1 + n % 3)) for n in range(12)]


def new_engine(judge: Judge, **options: str) -> TransformersEngine:
    engine = create_engine("transformers", judge, {"device": "cpu", "threads": "1", **options})
    assert isinstance(engine, TransformersEngine)
    return engine


@pytest.fixture(scope="module")
def engine(drilled: Judge, runner: asyncio.Runner) -> Iterator[TransformersEngine]:
    engine = new_engine(drilled)
    runner.run(engine.start())
    yield engine
    runner.run(engine.close())


async def sample_all(
    engine: TransformersEngine, texts: list[str], seeds: range, sampling: Sampling = SAMPLING
) -> list[list[Generation]]:
    return await asyncio.gather(*(engine.sample(engine.encode(text), seeds, sampling) for text in texts))


def same(left: list[Generation], right: list[Generation]) -> bool:
    def close(a: float | None, b: float | None) -> bool:
        return a == b or (a is not None and b is not None and abs(a - b) < 1e-5)

    return all(a.text == b.text and close(a.p_yes, b.p_yes) for a, b in zip(left, right, strict=True))


def test_critiques_end_in_a_verdict_with_its_p_yes(engine: TransformersEngine, runner: asyncio.Runner) -> None:
    made = [g for row in runner.run(sample_all(engine, TEXTS, range(8))) for g in row]
    verdicts = [read_verdict(g.text, g.finish) for g in made]
    parsed = [g for g in made if find_verdicts(g.text)]
    assert len(parsed) > 60
    assert {Verdict.YES, Verdict.NO} <= set(verdicts)
    for generation in parsed:
        assert generation.finish is Finish.STOP
        assert generation.text.endswith(("? Yes", "? No"))
        assert generation.p_yes is not None
        assert 0.2 < generation.p_yes < 0.8
        assert generation.tokens > 5


def test_a_critique_depends_on_prompt_and_seed_alone(
    drilled: Judge, engine: TransformersEngine, runner: asyncio.Runner
) -> None:
    in_one_batch = runner.run(sample_all(engine, TEXTS, range(6)))
    exclusive = [runner.run(engine.sample(engine.encode(text), [5], SAMPLING)) for text in TEXTS]
    assert all(same(one, many[5:]) for one, many in zip(exclusive, in_one_batch, strict=True))
    assert len({g.text for row in in_one_batch for g in row}) > 10

    async def in_a_small_batch() -> list[list[Generation]]:
        small = new_engine(drilled, max_batch="5")
        await small.start()
        try:
            return await sample_all(small, TEXTS, range(6))
        finally:
            await small.close()

    assert all(same(a, b) for a, b in zip(runner.run(in_a_small_batch()), in_one_batch, strict=True))


def test_prompts_of_very_different_lengths_share_a_batch(engine: TransformersEngine, runner: asyncio.Runner) -> None:
    texts = [render("p", "1 + 1 = 2. " * n) for n in (1, 60, 2, 30, 1)]
    in_one_batch = runner.run(sample_all(engine, texts, range(3)))
    exclusive = [runner.run(engine.sample(engine.encode(text), range(3), SAMPLING)) for text in texts]
    assert all(same(a, b) for a, b in zip(exclusive, in_one_batch, strict=True))


def test_p_yes_is_that_of_a_second_pass(drilled: Judge, engine: TransformersEngine, runner: asyncio.Runner) -> None:
    prompt = engine.encode(TEXTS[3])
    parsed = [g for g in runner.run(engine.sample(prompt, range(4), SAMPLING)) if g.p_yes is not None]
    assert parsed
    second = SecondPass(drilled)
    for generation in parsed:
        assert generation.p_yes == pytest.approx(second.p_yes(TEXTS[3], generation.text), abs=1e-4)


def test_temperature_zero_takes_the_likeliest_whatever_the_seed(
    engine: TransformersEngine, runner: asyncio.Runner
) -> None:
    greedy = Sampling(temperature=0.0, max_new_tokens=96)
    (made,) = runner.run(sample_all(engine, TEXTS[:1], range(4), greedy))
    assert len({g.text for g in made}) == 1


def test_the_token_limit_truncates(engine: TransformersEngine, runner: asyncio.Runner) -> None:
    (made,) = runner.run(sample_all(engine, TEXTS[:1], range(3), Sampling(max_new_tokens=4)))
    assert [(g.finish, g.tokens, g.p_yes) for g in made] == [(Finish.LENGTH, 4, None)] * 3
    assert {read_verdict(g.text, g.finish) for g in made} == {Verdict.TRUNCATED}


def test_a_prompt_without_room_for_a_critique_names_both_numbers(
    engine: TransformersEngine, runner: asyncio.Runner
) -> None:
    prompt = engine.encode(render("p", "1 + 1 = 2. " * 150))
    with pytest.raises(
        PromptTooLong, match=f"prompt has {len(prompt.ids)} tokens; with room for 64 .* in the judge's 1024"
    ):
        runner.run(engine.sample(prompt, [1], SAMPLING))


def test_the_critique_is_cut_where_the_window_ends(engine: TransformersEngine, runner: asyncio.Runner) -> None:
    text = "1"
    while len(engine.encode(text).ids) < 950:
        text += " 1"
    prompt = engine.encode(text)
    made = runner.run(engine.sample(prompt, range(4), Sampling(temperature=5.0, top_p=1.0, max_new_tokens=500)))
    cut = [g for g in made if g.finish is Finish.LENGTH]
    assert cut
    assert {g.tokens for g in cut} == {1024 - len(prompt.ids)}


def test_a_cancelled_call_leaves_the_batch(engine: TransformersEngine, runner: asyncio.Runner) -> None:
    async def run() -> None:
        wild = Sampling(temperature=5.0, top_p=1.0, max_new_tokens=900)
        call = asyncio.create_task(engine.sample(engine.encode(TEXTS[0]), range(40), wild))
        while engine.rows_in_flight == 0:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        deadline = time.monotonic() + 10
        while engine.rows_in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert engine.rows_in_flight == 0
        assert len(await engine.sample(engine.encode(TEXTS[1]), [1], SAMPLING)) == 1

    runner.run(run())


def test_stats_count_tokens_and_shared_prompts(engine: TransformersEngine, runner: asyncio.Runner) -> None:
    before = engine.stats()
    (made,) = runner.run(sample_all(engine, TEXTS[:1], range(8)))
    after = engine.stats()
    assert after.generated_tokens - before.generated_tokens == sum(g.tokens for g in made)
    assert after.prompt_tokens - before.prompt_tokens == 8 * len(engine.encode(TEXTS[0]).ids)
    assert after.prefix_hit_rate is not None
    assert 0.3 < after.prefix_hit_rate < 1


@pytest.mark.parametrize("step", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_a_rollout_stays_text(engine: TransformersEngine, runner: asyncio.Runner, step: str) -> None:
    def frame(text: str) -> list[int]:
        return [i for i in engine.encode(text).ids if i in special]

    assert engine._encoder is not None
    special = engine._encoder._special
    text = render("What is 1 + 1?", step)
    assert step in text
    assert frame(text) == frame(render("What is 1 + 1?", "1 + 1 = 2"))
    for generation in runner.run(engine.sample(engine.encode(text), range(6), SAMPLING)):
        assert len(find_verdicts(generation.text)) <= 1
        assert generation.text.count(MARKER) == len(find_verdicts(generation.text))


def test_a_crash_in_the_decoding_thread_reaches_every_caller(drilled: Judge, runner: asyncio.Runner) -> None:
    async def run() -> list[list[Generation] | BaseException]:
        engine = new_engine(drilled)
        await engine.start()
        assert engine._batcher is not None
        model = engine._batcher._decoder._model
        calls = [asyncio.create_task(engine.sample(engine.encode(text), range(40), SAMPLING)) for text in TEXTS]
        await asyncio.sleep(0.05)
        model.register_forward_pre_hook(_break)
        outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
        with pytest.raises(EngineDied, match="CUDA error: device-side assert"):
            await engine.sample(engine.encode(TEXTS[0]), [1], SAMPLING)
        await engine.close()
        return outcomes

    outcomes = runner.run(run())
    died = [o for o in outcomes if isinstance(o, EngineDied)]
    assert died
    assert all(isinstance(o, list | EngineDied) for o in outcomes)


def _break(*_: Any) -> None:
    raise RuntimeError("CUDA error: device-side assert triggered")


def test_closing_answers_who_still_waits(drilled: Judge, runner: asyncio.Runner) -> None:
    async def run() -> None:
        engine = new_engine(drilled)
        await engine.start()
        wild = Sampling(temperature=5.0, top_p=1.0, max_new_tokens=900)
        call = asyncio.create_task(engine.sample(engine.encode(TEXTS[0]), range(40), wild))
        await asyncio.sleep(0.05)
        await engine.close()
        with pytest.raises(EngineDied):
            await asyncio.wait_for(call, 10)
        with pytest.raises(EngineDied):
            await engine.sample(engine.encode(TEXTS[0]), [1], SAMPLING)

    runner.run(run())


def test_free_text_ends_where_it_is_told(engine: TransformersEngine, runner: asyncio.Runner) -> None:
    prompt = engine.encode(TEXTS[0])
    critiques = runner.run(engine.sample(prompt, range(6), SAMPLING))
    lines = runner.run(engine.sample(prompt, range(6), SAMPLING, stop=["\n"]))
    assert all(line.p_yes is None for line in lines)
    # The same seeds draw the same tokens, so a line is how the critique begins.
    for critique, line in zip(critiques, lines, strict=True):
        first, newline, _ = critique.text.partition("\n")
        assert line.text == first + newline
    whole = runner.run(engine.sample(prompt, range(6), SAMPLING, stop=[]))
    assert all(w.text.startswith(c.text) and w.p_yes is None for w, c in zip(whole, critiques, strict=True))


@pytest.fixture(scope="module")
def plain(drilled_folder: Path) -> Any:
    """The judge as transformers loads it, in float32."""
    from transformers import AutoModelForCausalLM

    library: Any = AutoModelForCausalLM
    return library.from_pretrained(drilled_folder).eval()


def plain_logprobs(plain: Any, drilled: Judge, text: str, prefill: str, words: tuple[str, ...]) -> list[float]:
    """By one forward pass over the chat frame and the answer so far: what the first token of each word gets."""
    import torch
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(drilled.location)
    framed = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
    )
    answers = [tokenizer.encode(framed + prefill + word, add_special_tokens=False) for word in words]
    same = next(n for n, column in enumerate(zip(*answers, strict=False)) if len(set(column)) > 1)
    with torch.no_grad():
        logits = plain(torch.tensor([answers[0][:same]])).logits[0, -1]
    logprobs = logits.log_softmax(-1)
    return [float(logprobs[answer[same]]) for answer in answers]


@pytest.mark.parametrize("words", [("Yes", "No"), (" Yes", " No"), ("yes", "no"), ("Yes", "No", "7")])
def test_words_are_chosen_as_a_plain_forward_does(
    drilled: Judge, plain: Any, engine: TransformersEngine, runner: asyncio.Runner, words: tuple[str, ...]
) -> None:
    prefills = ["", "so it is ", "**Judgement**: $\\boxed{", "line\n\nline \U0001f600 ки <|im_end|>\n", "word " * 60]

    async def choose() -> list[list[float]]:
        asked = [engine.choose(Message(text), prefill, words) for text in TEXTS[:3] for prefill in prefills]
        # Beside critiques that are being written.
        answers, _ = await asyncio.gather(asyncio.gather(*asked), sample_all(engine, TEXTS[:4], range(3)))
        return answers

    chosen = runner.run(choose())
    for (text, prefill), logprobs in zip(itertools.product(TEXTS[:3], prefills), chosen, strict=True):
        if "<|im_end|>" not in prefill:
            assert logprobs == pytest.approx(plain_logprobs(plain, drilled, text, prefill, words), abs=1e-4)


def test_a_choice_without_room_or_without_a_difference_is_refused(
    engine: TransformersEngine, runner: asyncio.Runner
) -> None:
    with pytest.raises(PromptTooLong):
        runner.run(engine.choose(Message(TEXTS[0]), "word " * 2000, ("Yes", "No")))
    with pytest.raises(Refused, match="apart"):
        runner.run(engine.choose(Message(TEXTS[0]), "", ("Yes", "Yes, no")))


def test_thinkprms_score_is_that_of_a_plain_forward(
    drilled: Judge, plain: Any, engine: TransformersEngine, runner: asyncio.Runner
) -> None:
    judge = resolve_judge(drilled.location, "thinkprm,decision-temperature=1.7")
    recipe = make_recipe(judge, k=2, max_new_tokens=12)
    steps = ("1 + 1 = 2.", "2\n+ 2 = 4. \U0001f600")
    scores: list[Any] = []
    work = JudgeSpec.of(recipe, 0)
    solution = StoredSolution(0, "s", "What is it?", steps)
    judging = judge_solutions(engine, Budget(8), work, [solution], scores.append, lambda: False, ThinkJudge)
    assert runner.run(judging)
    for critique in scores[0].critiques:
        asked = work.template.render("What is it?", steps, critique.step)
        before = OPENING + critique.text.removesuffix("yes").removesuffix("no")
        yes, no = plain_logprobs(plain, drilled, asked, before, ("yes", "no"))
        assert critique.p_yes == pytest.approx(1 / (1 + math.exp((no - yes) / 1.7)), abs=1e-4)
    assert len(scores[0].critiques) == 4
