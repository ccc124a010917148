"""`python -m workers.parity`: is P(Yes) of the generating pass the paper's number?

The paper generates with one library, then runs prompt and critique through transformers once more and takes the softmax
of the two answers' logits at the verdict. Here both are done on the same critiques, and the differences are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rprm_jobs.engine import Engine, Generation
from rprm_jobs.errors import EngineError, InputError, RprmError
from rprm_jobs.formats import InputRow, ReadOptions, read_solutions
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.recipe import critique_seed
from rprm_jobs.judge.resolve import Judge, check_has_weights, resolve_judge
from rprm_jobs.judge.verdict import find_verdicts
from rprm_jobs.settings import Limits
from rprm_jobs.types import Message
from workers.engines import create_writer
from workers.engines.extras import require
from workers.engines.options import parse_engine_args


class SecondPass:
    """The judge in transformers, float32, one critique at a time: independent of every engine."""

    def __init__(self, judge: Judge) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if judge.adapter is not None:
            require("peft", engine="transformers", extra="lora")
        tokenizer = AutoTokenizer.from_pretrained(judge.location, revision=judge.revision)
        self._encoder = PromptEncoder(tokenizer)
        library: Any = AutoModelForCausalLM
        self._model = library.from_pretrained(judge.location, revision=judge.revision, dtype=torch.float32)
        if judge.adapter is not None:
            from peft import PeftModel

            # Not merged: the engines' weights are.
            self._model = PeftModel.from_pretrained(self._model, judge.adapter).eval()
        self._model.to("cuda" if torch.cuda.is_available() else "cpu")

    def p_yes(self, message: str | Message, critique: str) -> float:
        """P(Yes) in [0, 1] at the last verdict of `critique`, which answers the user message `message`."""
        import torch

        before = critique[: find_verdicts(critique)[-1].start(1)].removeprefix(self._encoder.opening)
        ids = [*self._encoder.encode(message), *self._encoder.answer_context(before)]
        with torch.inference_mode():
            logits = self._model(input_ids=torch.tensor([ids], device=self._model.device)).logits[0, -1].float()
        return float(logits[[self._encoder.yes_id, self._encoder.no_id]].softmax(-1)[0])


@dataclass(frozen=True, slots=True)
class Parity:
    """`largest_difference` of P(Yes) over all critiques with a verdict; `calls_that_differ`: on another side of 0.5."""

    engine: str
    steps: int
    critiques: int
    without_verdict: int
    largest_difference: float
    mean_difference: float
    calls_that_differ: int
    tolerance: float
    passed: bool


def draw_steps(files: Sequence[str], count: int, seed: int) -> list[tuple[str, str, tuple[str, ...], int]]:
    """`(id, problem, steps, index)` of steps drawn evenly from all. Raises InputError when there is none."""
    steps = [
        (row.solution.id, row.solution.problem, row.solution.steps, index)
        for row in read_solutions(files, ReadOptions(), Limits())
        if isinstance(row, InputRow)
        for index in range(len(row.solution.steps))
    ]
    if not steps:
        raise InputError("there is no step to judge", where=", ".join(files), hint="name a file of solutions")
    return random.Random(seed).sample(steps, min(count, len(steps)))


async def _generate(
    engine: Engine, judge: Judge, steps: Sequence[tuple[str, str, tuple[str, ...], int]], k: int, seed: int
) -> tuple[str, list[tuple[str | Message, Generation]]]:
    info = await engine.start()
    try:

        async def judge_step(
            id_: str, problem: str, texts: tuple[str, ...], index: int
        ) -> list[tuple[str | Message, Generation]]:
            message = judge.template.message(problem, texts, index)
            seeds = [critique_seed(seed, id_, index, number) for number in range(k)]
            generations = await engine.sample(engine.encode(message), seeds, judge.sampling)
            return [(message, generation) for generation in generations]

        groups = await asyncio.gather(*(judge_step(*step) for step in steps))
    finally:
        await engine.close()
    return f"{info.name} {info.version}", [pair for group in groups for pair in group]


def compare(
    judge: Judge, engine: Engine, files: Sequence[str], *, k: int, steps: int, seed: int, tolerance: float
) -> Parity:
    """Judge `steps` drawn steps with `engine` and read every critique a second time. Raises EngineError, JudgeError."""
    drawn = draw_steps(files, steps, seed)
    name, critiques = asyncio.run(_generate(engine, judge, drawn, k, seed))
    second = SecondPass(judge)
    read = [(message, critique) for message, critique in critiques if critique.p_yes is not None]
    if not read:
        raise EngineError("no critique had a verdict with a P(Yes)", hint="try a judge that ends its critiques")
    pairs = [(critique.p_yes or 0.0, second.p_yes(message, critique.text)) for message, critique in read]
    differences = [abs(first - again) for first, again in pairs]
    differ = sum((first < 0.5) != (again < 0.5) for first, again in pairs)
    largest = max(differences)
    return Parity(
        engine=name,
        steps=len(drawn),
        critiques=len(critiques),
        without_verdict=len(critiques) - len(read),
        largest_difference=largest,
        mean_difference=sum(differences) / len(differences),
        calls_that_differ=differ,
        tolerance=tolerance,
        passed=largest <= tolerance and differ == 0,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m workers.parity", description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--judge", default="tiny")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--engine-arg", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("-k", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    try:
        judge = resolve_judge(args.judge)
        check_has_weights(judge)
        engine = create_writer(args.engine, judge, parse_engine_args(args.engine_arg))
        result = compare(
            judge, engine, args.files, k=args.k, steps=args.steps, seed=args.seed, tolerance=args.tolerance
        )
    except RprmError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if args.json:
        print(json.dumps(asdict(result)))
    else:
        print(
            f"{result.engine}: {result.critiques} critiques of {result.steps} steps,"
            f" {result.without_verdict} without a verdict"
        )
        print(f"  largest difference of P(Yes) {result.largest_difference:.2e} (mean {result.mean_difference:.2e})")
        print(f"  calls that differ {result.calls_that_differ}")
        print("  passed" if result.passed else f"  NOT within {result.tolerance:g}")
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
