"""A scoring job against the bare pooling engine: `python -m benchmarks.raw_pooling`, vLLM, a two-class head, same ids.

The bare side is one `LLM.encode` call over all solutions. Ours is a job: reading, queue, Postgres, one verdict a step
and recording included. Engine start and a warm-up are left out of both. The sides take turns, so that what else the
machine does falls on both, and the figure is the median of the rounds' ratios; CPU seconds are of all processes of a
side but the database's. The judge is a narrow Qwen2 of random weights with Qwen2.5-Math-PRM's head, since only the
time counts: with 2 layers a solution takes the engine 2 ms, which no judge of billions of weights does; more layers
take as much longer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks import harness
from benchmarks.served import QUIET, Served, made_rows, serving, write_rows
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
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.other:
        _answer_rounds(args.judge, args.other)
        return
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder:
        judge = _build(Path(folder), args.layers)
        rows = write_rows(Path(folder) / "solutions.jsonl", made_rows(args.solutions))
        with serving(Path(folder), judge=judge) as served, _other_side(judge, rows) as other:
            rounds = [_round(served, other, rows, args.solutions) for _ in range(args.rounds)]
    settings = {"solutions": args.solutions, "layers": args.layers, "rounds": rounds}
    ratios = [pair["solutions_per_s_ours_over_raw"] for pair in rounds]
    harness.report("raw_pooling", before, {**settings, "solutions_per_s_ours_over_raw": median(ratios)})


def _round(served: Served, other: subprocess.Popen[str], rows: Path, solutions: int) -> dict[str, Any]:
    """Both sides, one after the other."""
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.write("go\n")
    other.stdin.flush()
    theirs = json.loads(other.stdout.readline())
    cpu = _tree_cpu(served.pid)
    ours = served.run_job(rows, None, reuse=False)
    ours |= {
        "cpu_seconds": round(_tree_cpu(served.pid) - cpu, 2),
        "solutions_per_s": round(solutions / ours["seconds"], 1),
    }
    ratio = round(ours["solutions_per_s"] / theirs["solutions_per_s"], 3)
    return {"theirs": theirs, "ours": ours, "solutions_per_s_ours_over_raw": ratio}


@contextmanager
def _other_side(judge: str, rows: Path) -> Iterator[subprocess.Popen[str]]:
    """The bare engine in a process of its own, loaded and warm; it runs once for each line that it is sent."""
    command = [sys.executable, "-m", "benchmarks.raw_pooling", "--other", str(rows), "--judge", judge]
    environment = harness.environment("", QUIET)
    other = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    try:
        if other.stdout.readline() != "ready\n":
            raise RuntimeError("the bare engine did not start")
        yield other
    finally:
        other.stdin.close()
        other.wait(60)


def _tree_cpu(pid: int) -> float:
    """CPU seconds of the process and all below it."""
    process = psutil.Process(pid)
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return float(sum(used.user + used.system for used in times))


def _build(root: Path, layers: int) -> str:
    from tests.support.score_models import BY_FAMILY, build_folder

    return str(build_folder(root, BY_FAMILY["qwen-prm"], layers=layers))


def _answer_rounds(judge: str, rows: Path) -> None:
    """A line of JSON for each line of standard input."""
    run = _raw(judge, rows)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(run()), flush=True)
    # vLLM's offline engine waits at exit for a core that nobody has told to stop.
    kill(engine_processes(os.getpid()))


def _raw(judge: str, rows: Path) -> Callable[[], dict[str, Any]]:
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

    def run() -> dict[str, Any]:
        cpu, started = _tree_cpu(os.getpid()), time.perf_counter()
        llm.encode(prompts, params, pooling_task=task, use_tqdm=False)
        seconds = time.perf_counter() - started
        rate = round(len(prompts) / seconds, 1)
        return {
            "seconds": round(seconds, 2),
            "solutions_per_s": rate,
            "cpu_seconds": round(_tree_cpu(os.getpid()) - cpu, 2),
        }

    return run


if __name__ == "__main__":
    main()
