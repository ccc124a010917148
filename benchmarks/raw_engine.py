"""Our job against the bare engine: `python -m benchmarks.raw_engine`, vLLM, the tiny judge, the same prompts, K=8.

The bare side is one `LLM.generate` call over all prompts with the same seeds, stop strings and two log-probabilities a
token. Ours is a job: queue, Postgres, verdicts, texts and recording included. Engine start and a warm-up are left out
of both; they run one after the other, each with the machine to itself.
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
from rprm_jobs.judge.recipe import critique_seed
from rprm_jobs.judge.resolve import resolve_judge
from workers.engines.reaper import engine_processes, kill

_WARM_UP = 8


def main() -> None:
    """Parse, run both sides, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=80)
    parser.add_argument("-k", type=int, default=8)
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.raw:
        print(json.dumps(_raw(args.raw, args.k)), flush=True)
        # vLLM's offline engine waits at exit for a core that nobody has told to stop.
        kill(engine_processes(os.getpid()))
        return
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = write_rows(Path(folder) / "solutions.jsonl", made_rows(args.solutions))
        command = [sys.executable, "-m", "benchmarks.raw_engine", "--raw", str(rows), "-k", str(args.k)]
        raw = json.loads(harness.run_measured(command, harness.environment("", QUIET)).stdout.splitlines()[-1])
        with serving(Path(folder)) as served:
            ours = served.run_job(rows, args.k)
    ratio = ours["tokens_per_s"] / raw["tokens_per_s"]
    harness.report("raw_engine", before, {"k": args.k, "raw": raw, "ours": ours, "tokens_per_s_ratio": round(ratio, 3)})


def _raw(rows: Path, k: int) -> dict[str, Any]:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    from vllm import LLM, SamplingParams

    from rprm_jobs.judge.encode import PromptEncoder
    from rprm_jobs.judge.verdict import STOP_STRINGS

    judge = resolve_judge("tiny")
    llm = LLM(judge.location, dtype="float32", enforce_eager=True, enable_chunked_prefill=False, block_size=32)
    encoder = PromptEncoder(llm.get_tokenizer())
    prompts, params = [], []
    for row in map(json.loads, rows.read_text().splitlines()):
        for index in range(len(row["steps"])):
            ids = encoder.encode(judge.template.render(row["problem"], row["steps"], index))
            for number in range(k):
                prompts.append({"prompt_token_ids": ids})
                params.append(
                    SamplingParams(
                        temperature=judge.sampling.temperature, top_p=judge.sampling.top_p,
                        max_tokens=judge.sampling.max_new_tokens, seed=critique_seed(0, row["id"], index, number),
                        stop=list(STOP_STRINGS), include_stop_str_in_output=True,
                        logprob_token_ids=[encoder.yes_id, encoder.no_id], flat_logprobs=True,
                    )
                )  # fmt: skip
    llm.generate(prompts[-_WARM_UP:], params[-_WARM_UP:], use_tqdm=False)
    started = time.perf_counter()
    outputs = llm.generate(prompts, params, use_tqdm=False)
    seconds = time.perf_counter() - started
    tokens = sum(len(output.outputs[0].token_ids) for output in outputs)
    return {
        "critiques": len(outputs),
        "seconds": round(seconds, 2),
        "tokens": tokens,
        "tokens_per_s": round(tokens / seconds),
    }


if __name__ == "__main__":
    main()
