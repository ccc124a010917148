"""Every scoring family in an engine against a plain forward pass: `python -m benchmarks.engine_parity --engine vllm`.

Tiny random models in the published folders, float32, on one device. Printed for each family: the largest difference
between a reward of ours and of the reference, over solutions of 1 to 60 steps with line breaks and Unicode, or why the
engine does not have it. With `--model-only` vLLM's model is loaded in this process and asked without an engine, which
takes a minute for all families in place of half a minute for each.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks import harness
from rprm_jobs.errors import RprmError
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.score_models import BY_FAMILY, PROBLEM, SOLUTIONS, Published, build_folder
from tests.support.score_reference import Reference
from tests.support.vllm_model import VllmModel, one_process
from workers.engines import create_engine
from workers.tasks.score import rewards_of

Score = Callable[[Any, ScoreFamily], list[list[float]]]


def main() -> None:
    """Parse, run every family, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--family", action="append", choices=sorted(BY_FAMILY), help="repeatable; all if left out")
    parser.add_argument("--model-only", action="store_true", help="vllm: the model alone, without an engine")
    args = parser.parse_args()
    if args.engine == "vllm":
        # One process fewer to start for each family; vLLM takes it on a CPU only so.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    before = harness.machine()
    score = _by_model if args.model_only else _by_engine
    with tempfile.TemporaryDirectory() as root, one_process() if args.model_only else nullcontext():
        families = {
            name: _compare(args.engine, name, Path(root), score) for name in args.family or _all(args.model_only)
        }
    engine = f"{args.engine}'s model" if args.model_only else args.engine
    harness.report("engine_parity", before, {"engine": engine, "families": families})


def _all(model_only: bool) -> list[str]:
    """Every scoring family; a log-ratio is of two engines, and no model of its own."""
    return [name for name in BY_FAMILY if not (model_only and name == "eurus-prm")]


def _compare(engine: str, name: str, root: Path, score: Score) -> dict[str, Any]:
    folder, other = build_folder(root / name, BY_FAMILY[name], seed=1), None
    if name == "eurus-prm":
        other = build_folder(root / name, Published("rprm", "reference", "Qwen2ForCausalLM"), seed=2)
    judge = resolve_judge(str(folder), None if other is None else f"{name},reference={other}")
    options = {"distributed_executor_backend": "uni"} if engine == "vllm" else {}
    assert isinstance(judge.family, ScoreFamily)
    try:
        ours = score(create_engine(engine, judge, options), judge.family)
    except RprmError as error:
        return {"refused": error.what}
    reference = Reference(folder, other)
    theirs = [reference.rewards(name, PROBLEM, steps) for steps in SOLUTIONS.values()]
    pairs = [pair for rewards in zip(ours, theirs, strict=True) for pair in zip(*rewards, strict=True)]
    spread = max(b for _, b in pairs) - min(b for _, b in pairs)
    most = max(abs(a - b) for a, b in pairs)
    return {"steps": len(pairs), "largest_difference": most, "spread_of_rewards": spread}


def _by_engine(scorer: Any, family: ScoreFamily) -> list[list[float]]:
    async def scored() -> list[list[float]]:
        await scorer.start()
        try:
            return [await rewards_of(scorer, family, PROBLEM, steps) for steps in SOLUTIONS.values()]
        finally:
            await scorer.close()

    return asyncio.run(scored())


def _by_model(scorer: Any, family: ScoreFamily) -> list[list[float]]:
    model = VllmModel(scorer, family)
    return [model.rewards(PROBLEM, steps) for steps in SOLUTIONS.values()]


if __name__ == "__main__":
    main()
