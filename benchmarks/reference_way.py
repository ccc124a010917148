"""The reference's way against ours: `python -m benchmarks.reference_way`, the tiny judge, the same 50 solutions.

The reference generates with vLLM, loads the model again in transformers, and runs prompt and critique through it once
more, one critique at a time, to read P(Yes). Ours is a job whose P(Yes) comes from the generating pass. `batched` lets
the reference generate everything in one call; `by_step` generates step by step, K critiques at a time. The start of
vLLM is left out of all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.offline import Asked, Step, compare, offline_engine, steps_of
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import find_verdicts


def main() -> None:
    """Parse, run both sides, print."""
    compare("reference_way", __doc__, 50, _reference, _ratios)


def _reference(asked: Asked) -> dict[str, Any]:
    llm = offline_engine(asked.judge)
    steps = steps_of(llm, asked)
    llm.generate(steps[0].prompts, steps[0].params, use_tqdm=False)
    everything = Step("", [p for step in steps for p in step.prompts], [p for step in steps for p in step.params])
    batched_s, texts = _timed_generation(llm, [everything])
    by_step_s, _ = _timed_generation(llm, steps)
    load_s, second_s = _second_pass([step.message for step in steps for _ in range(asked.k)], texts, asked.judge)
    return {
        "critiques": len(texts),
        "batched_generation_seconds": round(batched_s, 2),
        "by_step_generation_seconds": round(by_step_s, 2),
        "load_seconds": round(load_s, 2),
        "second_pass_seconds": round(second_s, 2),
    }


def _timed_generation(llm: Any, calls: Sequence[Step]) -> tuple[float, list[str]]:
    started, texts = time.perf_counter(), list[str]()
    for call in calls:
        texts += [output.outputs[0].text for output in llm.generate(call.prompts, call.params, use_tqdm=False)]
    return time.perf_counter() - started, texts


def _second_pass(messages: list[str], texts: list[str], judge: str) -> tuple[float, float]:
    """Seconds to load the judge in transformers, and to read every critique that has a verdict, one by one."""
    from workers.parity import SecondPass

    started = time.perf_counter()
    second = SecondPass(resolve_judge(judge))
    loaded = time.perf_counter()
    for message, text in zip(messages, texts, strict=True):
        if find_verdicts(text):
            second.p_yes(message, text)
    return loaded - started, time.perf_counter() - loaded


def _ratios(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    again = theirs["load_seconds"] + theirs["second_pass_seconds"]
    return {
        f"{way}_over_ours": round((theirs[f"{way}_generation_seconds"] + again) / ours["seconds"], 2)
        for way in ("batched", "by_step")
    }


if __name__ == "__main__":
    main()
