"""The scripted engine: critiques as a function of prompt and seed, votes spread as on real data, faults on demand."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from rprm_jobs.engine import Generation
from rprm_jobs.errors import ConfigError, EngineDied, PromptTooLong, Refused
from rprm_jobs.judge.families.table import FAMILIES
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import read_verdict
from rprm_jobs.types import Finish, Sampling, Verdict
from workers import engines
from workers.engines import choose_engine, create_engine
from workers.engines.scripted.engine import ScriptedEngine

JUDGE = resolve_judge("scripted")


async def judged(step: str, seeds: range | list[int], *, before: str = "", **options: str) -> list[Generation]:
    engine = create_engine("scripted", JUDGE, options)
    await engine.start()
    steps = [before, step] if before else [step]
    text = JUDGE.template.render("What is 1 + 1?", steps, len(steps) - 1)
    return await engine.sample(engine.encode(text), seeds, Sampling())


def sample(step: str, seeds: range | list[int] = range(3), **options: str) -> list[Generation]:
    return asyncio.run(judged(step, seeds, **options))


def test_a_critique_is_a_function_of_prompt_and_seed() -> None:
    in_one_batch = sample("1 + 1 = 2", [5, 6, 7])
    assert sample("1 + 1 = 2", [7]) == in_one_batch[2:]
    assert sample("1 + 1 = 3", [5, 6, 7]) != in_one_batch


def test_the_verdict_agrees_with_p_yes_and_the_text_has_the_asked_length() -> None:
    for generation in sample("1 + 1 = 2", range(500), text_chars="333"):
        assert len(generation.text) == 333
        verdict = read_verdict(generation.text, generation.finish)
        assert generation.p_yes is not None
        assert (verdict is Verdict.YES) == (generation.p_yes > 0.5)
        assert generation.finish is Finish.STOP


def test_votes_are_spread_as_on_real_data() -> None:
    async def count() -> Counter[int]:
        engine = create_engine("scripted", JUDGE, {"text_chars": "80"})
        await engine.start()
        votes: Counter[int] = Counter()
        for i in range(3000):
            made = await engine.sample(engine.encode(f"prompt {i}"), range(10), Sampling())
            votes[sum((g.p_yes or 0) > 0.5 for g in made)] += 1
        return votes

    votes = asyncio.run(count())
    assert 0.42 < votes[10] / 3000 < 0.58
    assert 0.05 < votes[0] / 3000 < 0.13
    assert 0.10 < sum(votes[i] for i in range(3, 8)) / 3000 < 0.25


def test_a_token_limit_below_the_text_truncates() -> None:
    async def run() -> list[Generation]:
        engine = create_engine("scripted", JUDGE, {})
        await engine.start()
        return await engine.sample(engine.encode("x"), [1], Sampling(max_new_tokens=20))

    (generation,) = asyncio.run(run())
    assert generation.finish is Finish.LENGTH
    assert generation.tokens == 20
    assert generation.p_yes is None


@pytest.mark.parametrize(
    ("marker", "error"),
    [
        ("memory", MemoryError),
        ("systemexit", SystemExit),
        ("died", EngineDied),
        ("refuse", Refused),
        ("too-long", PromptTooLong),
        ("no-such-marker", ConfigError),
    ],
)
def test_a_marker_in_the_judged_step_causes_its_fault(marker: str, error: type[BaseException]) -> None:
    with pytest.raises(error):
        sample(f"1 + 1 = 2 [[scripted:{marker}]]")


def test_a_marker_in_an_earlier_step_does_nothing() -> None:
    assert len(sample("1 + 1 = 2", before="[[scripted:died]]")) == 3


def test_a_fault_once_happens_once(tmp_path: Path) -> None:
    marker = f"[[scripted:died-once:{tmp_path / 'seen'}]]"
    with pytest.raises(EngineDied):
        sample(marker)
    assert len(sample(marker)) == 3


def test_exit_ends_the_process_without_clean_up() -> None:
    code = (
        "import asyncio; from rprm_jobs.judge.resolve import resolve_judge; from rprm_jobs.types import Sampling\n"
        "from workers.engines import create_engine\n"
        "async def main():\n"
        "    engine = create_engine('scripted', resolve_judge('scripted'), {}); await engine.start()\n"
        "    await engine.sample(engine.encode('[[scripted:exit]]'), [1], Sampling())\n"
        "asyncio.run(main())"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False
    )
    assert done.returncode == 137


def test_outcomes_on_demand() -> None:
    assert {read_verdict(g.text, g.finish) for g in sample("[[scripted:unparsed]]")} == {Verdict.UNPARSED}
    assert {read_verdict(g.text, g.finish) for g in sample("[[scripted:truncated]]")} == {Verdict.TRUNCATED}
    assert {read_verdict(g.text, g.finish) for g in sample("[[scripted:no]]", range(50))} == {Verdict.NO}
    assert {g.p_yes for g in sample("[[scripted:no-logprobs]]")} == {None}


def test_rate_limits_the_whole_engine_and_slow_one_step() -> None:
    async def run() -> float:
        engine = create_engine("scripted", JUDGE, {"rate": "100"})
        await engine.start()
        began = time.monotonic()
        await asyncio.gather(*(engine.sample(engine.encode(str(i)), range(5), Sampling()) for i in range(4)))
        return time.monotonic() - began

    assert 0.19 < asyncio.run(run()) < 0.4
    began = time.monotonic()
    sample("[[scripted:slow:0.2]]")
    assert time.monotonic() - began > 0.2


def test_a_cancelled_call_gives_its_share_of_the_rate_back() -> None:
    async def run() -> float:
        engine = create_engine("scripted", JUDGE, {"rate": "10"})
        await engine.start()
        call = asyncio.create_task(engine.sample(engine.encode("a"), range(100), Sampling()))
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        began = time.monotonic()
        await engine.sample(engine.encode("b"), [1], Sampling())
        return time.monotonic() - began

    assert asyncio.run(run()) < 0.5


def test_a_prompt_over_the_window_is_a_fact_about_the_prompt() -> None:
    with pytest.raises(PromptTooLong, match="must fit in the judge's 100"):
        sample("1 + 1 = 2", max_model_len="100")


def test_it_is_fast_enough_for_load_trials() -> None:
    async def run() -> float:
        engine = create_engine("scripted", JUDGE, {"text_chars": "2000"})
        await engine.start()
        prompts = [engine.encode(f"{i} " + "x" * 2000) for i in range(500)]
        began = time.process_time()
        for prompt in prompts:
            await engine.sample(prompt, range(10), Sampling())
        return 5000 / (time.process_time() - began)

    assert asyncio.run(run()) > 10_000


@pytest.mark.parametrize("options", [{"delay": "1"}, {"delay_s": "soon"}, {"rate": "-1"}])
def test_a_wrong_option_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"delay_s|rate"):
        create_engine("scripted", JUDGE, options)


def test_names_of_engines() -> None:
    assert choose_engine(JUDGE) == "scripted"
    assert isinstance(create_engine("auto", JUDGE, {}), ScriptedEngine)
    with pytest.raises(ConfigError, match="scripted"):
        create_engine("gpt", JUDGE, {})


@pytest.mark.parametrize("gpu", [True, False])
def test_where_there_is_a_gpu_vllm_runs_whatever_judges_there_are(monkeypatch: pytest.MonkeyPatch, gpu: bool) -> None:
    monkeypatch.setattr(engines, "has_module", lambda _name: True)
    monkeypatch.setattr(engines, "has_gpu", lambda: gpu)
    for published in FAMILIES.values():
        judge = replace(JUDGE, location="/a/folder", family=published.family)
        assert choose_engine(judge) == ("vllm" if gpu else "transformers")


def test_the_scripted_policy_writes_steps_and_an_answer() -> None:
    async def written(stop: list[str], seeds: range) -> list[Generation]:
        engine = create_engine("scripted", JUDGE, {})
        await engine.start()
        return await engine.sample(engine.encode("How much?"), seeds, Sampling(), stop=stop)

    whole = asyncio.run(written([], range(50)))
    assert all(one.p_yes is None and one.finish is Finish.STOP for one in whole)
    assert all(one.text.split("\n\n")[-1].startswith("So the answer is \\boxed{") for one in whole)
    assert len({one.text.count("\n\n") for one in whole}) > 3
    steps = asyncio.run(written(["\n\n"], range(50)))
    for one, step in zip(whole, steps, strict=True):
        first, gap, _ = one.text.partition("\n\n")
        assert step.text == first + gap
    assert asyncio.run(written([], range(5, 6))) == whole[5:6]
