"""A scoring job against the bare pooling engine: `python -m benchmarks.raw_pooling`, vLLM, a two-class head, same ids.

The bare side is one `LLM.encode` call over all solutions. Ours is a job: queue, Postgres, one verdict a step and
recording included. Engine start and a warm-up are left out of both; they run one after the other. The judge is a
narrow Qwen2 of random weights with Qwen2.5-Math-PRM's head, since only the time counts: with 2 layers a solution takes
the engine 2 ms, which no judge of billions of weights does; more layers take as much longer.
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
from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from workers.engines.reaper import engine_processes, kill


def main() -> None:
    """Parse, run both sides, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--other", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--judge", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.other:
        print(json.dumps(_raw(args.judge, args.other)), flush=True)
        # vLLM's offline engine waits at exit for a core that nobody has told to stop.
        kill(engine_processes(os.getpid()))
        return
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder:
        judge = _build(Path(folder), args.layers)
        rows = write_rows(Path(folder) / "solutions.jsonl", made_rows(args.solutions))
        command = [sys.executable, "-m", "benchmarks.raw_pooling", "--other", str(rows), "--judge", judge]
        theirs = json.loads(harness.run_measured(command, harness.environment("", QUIET)).stdout.splitlines()[-1])
        with serving(Path(folder), judge=judge) as served:
            ours = served.run_job(rows, None)
    ours["solutions_per_s"] = round(args.solutions / ours["seconds"], 1)
    ratio = round(ours["solutions_per_s"] / theirs["solutions_per_s"], 3)
    harness.report(
        "raw_pooling",
        before,
        {
            "solutions": args.solutions,
            "layers": args.layers,
            "theirs": theirs,
            "ours": ours,
            "solutions_per_s_ours_over_raw": ratio,
        },
    )


def _build(root: Path, layers: int) -> str:
    from tests.support.score_models import BY_FAMILY, build_folder

    return str(build_folder(root, BY_FAMILY["qwen-prm"], layers=layers))


def _raw(judge: str, rows: Path) -> dict[str, Any]:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    from transformers import AutoTokenizer
    from vllm import LLM, PoolingParams
    from vllm.config import PoolerConfig

    task: Any = "token_classify"
    llm: Any = LLM(
        judge,
        runner="pooling",
        dtype="float32",
        enforce_eager=True,
        enable_chunked_prefill=False,
        enable_prefix_caching=False,
        block_size=32,
        pooler_config=PoolerConfig(task=task, pooling_type="ALL", use_activation=False),
    )
    family = resolve_judge(judge).family
    assert isinstance(family, ScoreFamily)
    encoder = SolutionEncoder(AutoTokenizer.from_pretrained(judge), family)
    solutions = [json.loads(line) for line in rows.read_text().splitlines()]
    prompts = [{"prompt_token_ids": list(encoder.encode(row["problem"], row["steps"]).ids)} for row in solutions]
    params = PoolingParams(use_activation=False)
    llm.encode(prompts[:32], params, pooling_task=task, use_tqdm=False)
    started = time.perf_counter()
    llm.encode(prompts, params, pooling_task=task, use_tqdm=False)
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 2), "solutions_per_s": round(len(prompts) / seconds, 1)}


if __name__ == "__main__":
    main()
