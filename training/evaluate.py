"""Measures a judge on held-out generated solutions: ProcessBench-style F1 at several K, and recall per kind of error.

`python -m training.evaluate --judge FOLDER` prints JSON. Critiques are sampled with transformers on CPU, as the
judge's own defaults say; the first K of a step's critiques serve for every smaller K. On text from outside its world
only one thing is measured: whether the critique ends in a verdict.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rprm_jobs.aggregation import first_error
from rprm_jobs.evaluation.metrics import THRESHOLD
from rprm_jobs.evaluation.processbench import score
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.verdict import p_yes, verdict_place
from training.foreign import draw_foreign
from training.splits import SEEDS, draw_split
from training.world import ERROR_KINDS, ChainSolution

KS = (1, 2, 4, 8)


@dataclass(frozen=True)
class EvaluatedJudge:
    """A loaded judge folder: `rprm_judge.json` names its prompt and its sampling defaults."""

    model: Any
    tokenizer: Any
    encoder: PromptEncoder
    template: PromptTemplate
    settings: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> EvaluatedJudge:
        """Load for CPU in float32."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        settings = json.loads((folder / "rprm_judge.json").read_text(encoding="utf-8"))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        template = PromptTemplate.load(folder / settings["prompt"])
        return cls(model.eval(), tokenizer, PromptEncoder(tokenizer), template, settings)


def sample_p_yes(judge: EvaluatedJudge, prompts: Sequence[str], seed: int, batch: int = 256) -> list[float | None]:
    """P(Yes) of one sampled critique per prompt, in order; None where the critique has no verdict."""
    import torch

    torch.manual_seed(seed)
    encoded = [judge.encoder.encode(prompt) for prompt in prompts]
    order = sorted(range(len(encoded)), key=lambda at: len(encoded[at]))
    values: list[float | None] = [None] * len(encoded)
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        for place, value in zip(places, _sample_batch(judge, [encoded[at] for at in places]), strict=True):
            values[place] = value
    return values


def _sample_batch(judge: EvaluatedJudge, prompts: list[list[int]]) -> list[float | None]:
    import torch

    settings, batch = judge.settings, padded(judge, prompts)
    with torch.inference_mode():
        out = judge.model.generate(
            **batch,
            max_new_tokens=settings["max_new_tokens"],
            do_sample=True,
            temperature=settings["temperature"],
            top_p=settings["top_p"],
            top_k=0,
            output_logits=True,
            return_dict_in_generate=True,
        )
    width = batch["input_ids"].shape[1]
    return [_read(judge, row.tolist(), out.logits, at) for at, row in enumerate(out.sequences[:, width:])]


def padded(judge: EvaluatedJudge, prompts: Sequence[list[int]]) -> dict[str, Any]:
    """What `generate` takes for these prompts: ids and mask [prompts, longest], padded on the left."""
    import torch

    width, pad = max(map(len, prompts)), judge.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    return {"input_ids": ids, "attention_mask": mask, "pad_token_id": pad}


def _read(judge: EvaluatedJudge, ids: list[int], logits: Any, row: int) -> float | None:
    place = verdict_place(judge.encoder.decode(ids), ids, judge.encoder.decode)
    if place is None:
        return None
    logprobs = logits[place][row].log_softmax(-1)
    return p_yes(float(logprobs[judge.encoder.yes_id]), float(logprobs[judge.encoder.no_id]))


def judge_solutions(
    judge: EvaluatedJudge, solutions: Sequence[ChainSolution], k: int, seed: int
) -> list[list[list[float | None]]]:
    """P(Yes) of `k` critiques for each step of each solution, as `[solution][step][critique]`."""
    prompts = [
        judge.template.render(solution.problem, solution.steps, index)
        for solution in solutions
        for index in range(len(solution.steps))
        for _ in range(k)
    ]
    values = iter(sample_p_yes(judge, prompts, seed))
    return [[[next(values) for _ in range(k)] for _ in solution.steps] for solution in solutions]


def rewards_at(values: Sequence[Sequence[Sequence[float | None]]], k: int) -> list[list[float | None]]:
    """Mean P(Yes) over the parsed ones of each step's first `k` critiques; None where none is parsed."""
    return [[_mean([value for value in step[:k] if value is not None]) for step in steps] for steps in values]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def measure(judge: EvaluatedJudge, solutions: Sequence[ChainSolution], k: int, seed: int) -> dict[str, Any]:
    """All the numbers of one sampling seed."""
    values = judge_solutions(judge, solutions, k, seed)
    labels = [solution.label for solution in solutions]
    report: dict[str, Any] = {"seed": seed, "unparsed": sum(v is None for s in values for t in s for v in t)}
    for size in (size for size in KS if size <= k):
        predictions = [first_error(rewards, THRESHOLD) for rewards in rewards_at(values, size)]
        report[f"k{size}"] = _rounded(asdict(score(labels, predictions))) | {"recall": _recall(solutions, predictions)}
    return report


def _recall(solutions: Sequence[ChainSolution], predictions: Sequence[int | None]) -> dict[str, float]:
    """Percent of the solutions with each kind of error whose first error is found exactly."""
    hits_by_kind: dict[str, list[bool]] = {kind: [] for kind in ERROR_KINDS}
    for solution, predicted in zip(solutions, predictions, strict=True):
        if solution.kind is not None:
            hits_by_kind[solution.kind].append(predicted == solution.label)
    return _rounded({kind: 100 * sum(hits) / len(hits) for kind, hits in hits_by_kind.items() if hits})


def foreign_closed(judge: EvaluatedJudge, count: int) -> float:
    """Percent of `count` critiques of foreign steps, never seen in training, that end in a verdict."""
    rng = random.Random(SEEDS["held-out"])
    drawn = [draw_foreign(rng) for _ in range(count)]
    prompts = [judge.template.render(each.problem, each.steps, each.index) for each in drawn]
    values = sample_p_yes(judge, prompts, seed=1, batch=32)
    return round(100 * sum(value is not None for value in values) / count, 2)


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: round(number, 2) for name, number in numbers.items()}


def evaluate(folder: Path, *, count: int = 400, k: int = 4, seeds: Sequence[int] = (1, 2)) -> dict[str, Any]:
    """Measure the judge in `folder` on `count` held-out solutions, once per seed, and `count` foreign steps."""
    judge, solutions = EvaluatedJudge.load(folder), draw_split("held-out", count)
    runs = [measure(judge, solutions, k, seed) for seed in seeds]
    sizes = [size for size in KS if size <= k]
    return {
        "solutions": count,
        "steps": sum(len(solution.steps) for solution in solutions),
        "temperature": judge.settings["temperature"],
        "top_p": judge.settings["top_p"],
        "f1": {f"k{size}": round(sum(run[f"k{size}"]["f1"] for run in runs) / len(runs), 2) for size in sizes},
        "foreign_closed": foreign_closed(judge, count),
        "runs": runs,
    }


def main() -> None:
    """Measure a judge folder on held-out generated solutions and print JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--judge", type=Path, default=Path("rprm_jobs/judges/tiny"))
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("-k", type=int, default=4, help="critiques per step")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print(json.dumps(evaluate(options.judge, count=options.count, k=options.k, seeds=options.seeds), indent=2))


if __name__ == "__main__":
    main()
