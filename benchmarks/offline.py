"""vLLM's offline engine as the other side of a comparison: the same prompts, seeds and sampling as our job has.

It runs in a process of its own, before our side, each with the machine to itself.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.served import QUIET, made_rows, serving, write_rows
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.recipe import critique_seed
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import STOP_STRINGS
from workers.engines.reaper import engine_processes, kill

Json = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One step to judge: its message, and a prompt and sampling parameters for each of its critiques."""

    message: str
    prompts: list[Any]
    params: list[Any]


@dataclass(frozen=True)
class Asked:
    """What both sides are asked for: a file of solutions, critiques a step, the judge, and tokens at most of each."""

    rows: Path
    k: int
    judge: str
    max_new_tokens: int | None


def compare(
    name: str, doc: str, solutions: int, other: Callable[[Asked], Json], ratios: Callable[[Json, Json], Json]
) -> None:
    """Run `other(asked)` in a child, then our job on the same rows; print both and `ratios(other, ours)`."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--solutions", type=int, default=solutions)
    parser.add_argument("-k", type=int, default=8)
    parser.add_argument("--rows", type=Path, help="judge the first solutions of this JSONL, not generated ones")
    parser.add_argument("--judge", default="tiny", help="a folder, or a shipped judge")
    parser.add_argument("--max-new-tokens", type=int, help="of a critique (default: the judge's own)")
    parser.add_argument("--other", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.other:
        print(json.dumps(other(Asked(args.other, args.k, args.judge, args.max_new_tokens))), flush=True)
        # vLLM's offline engine waits at exit for a core that nobody has told to stop.
        kill(engine_processes(os.getpid()))
        return
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = write_rows(Path(folder) / "solutions.jsonl", _solutions(args.rows, args.solutions))
        command = [sys.executable, "-m", f"benchmarks.{name}", "--other", str(rows), *sys.argv[1:]]
        theirs = json.loads(harness.run_measured(command, harness.environment("", QUIET)).stdout.splitlines()[-1])
        with serving(Path(folder), judge=args.judge) as served:
            ours = served.run_job(rows, args.k, max_new_tokens=args.max_new_tokens)
    sizes = {"solutions": args.solutions, "of": args.rows.name if args.rows else "made", "k": args.k}
    sizes |= {"judge": Path(args.judge).name, "max_new_tokens": args.max_new_tokens}
    harness.report(name, before, {**sizes, "theirs": theirs, "ours": ours, **ratios(theirs, ours)})


def _solutions(file: Path | None, count: int) -> list[Json]:
    if file is None:
        return made_rows(count)
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, count)]


def offline_engine(judge: str) -> Any:
    """`vllm.LLM` of the judge, with the arguments that our engine gives on a CPU."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    from vllm import LLM

    location = resolve_judge(judge).location
    return LLM(location, dtype="float32", enforce_eager=True, enable_chunked_prefill=False, block_size=32)


def steps_of(llm: Any, asked: Asked, **params: Any) -> list[Step]:
    """All steps of all solutions; `params` are more of vLLM's SamplingParams."""
    judge = resolve_judge(asked.judge)
    limit = asked.max_new_tokens or judge.sampling.max_new_tokens
    more = {"temperature": judge.sampling.temperature, "top_p": judge.sampling.top_p, "max_tokens": limit, **params}
    encoder = PromptEncoder(llm.get_tokenizer())
    return [
        _step(encoder, judge.template.render(row["problem"], row["steps"], index), row["id"], index, asked.k, more)
        for row in map(json.loads, asked.rows.read_text().splitlines())
        for index in range(len(row["steps"]))
    ]


def _step(encoder: PromptEncoder, message: str, id_: str, index: int, k: int, more: Mapping[str, Any]) -> Step:
    from vllm import SamplingParams

    params = [
        SamplingParams(
            seed=critique_seed(0, id_, index, number),
            stop=list(STOP_STRINGS),
            include_stop_str_in_output=True,
            **more,
        )
        for number in range(k)
    ]
    return Step(message, [{"prompt_token_ids": encoder.encode(message)}] * k, params)
