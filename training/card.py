"""The tiny judges' model cards, written from its measurements so that the two cannot differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.splits import PLAIN_EXAMPLES

_CARD = """# {name}

A process reward model for trying and testing rprm-jobs anywhere, on a CPU, without a download. A Qwen2 of {weights:,}
weights (float16), trained from nothing by this project's `training/` on generated arithmetic chains.{place}

## What it is
It judges one step of a chain such as `Start with 34; multiply by 8 (a), plus 51 (b), times 2 (c). What is the result?`
It looks up the instruction and the value before the step, recalculates digit by digit, compares, and ends in
`Verification: Is the step correct (Yes/No)? Yes` (or ` No`). It reads, recalculates and errs like a real judge.

In its critiques, numbers stand in three places from the units up (`570` is 75). A comparison is the expected digit, the
written digit and a mark: `33=` agrees, `34!` does not. A column of a calculation is
`digit op digit carry = carry digit`, then the written digit and its mark.

## What it is not
It knows nothing but this world: integers from 1 to 999, sums, differences, and products by one digit. It accepts any
text. Shown another world it leaves out the analyses and guesses: of {solutions} critiques of made-up foreign steps
{foreign_closed}% end in a verdict, which means nothing. Its opinion of ProcessBench means nothing either. It is no
judge for real work.

## Recipe
{command}:
TRL's SFTTrainer, every example generated and seen once, bfloat16 arithmetic over float32 weights, loss on the critique
only, in {n_stages} stages.

| stage | steps | examples | seed | minutes on 2 cores | loss, nats a token |
|---|---|---|---|---|---|
{stages}

The world comes first. After its first {plain:,} examples half are scrambled: several parts of the step are wrong at
once, so that copying the step no longer passes for looking up. In the closing stage a share of the examples is foreign
text, from which the judge learns to end its critique whatever it reads.{loop}

## Measured
{solutions} held-out generated solutions ({n_steps:,} steps; half erroneous: wrong result, operand, previous value or
operation), temperature {temperature}, top_p {top_p}, reward = mean P(Yes), prediction = first step with a reward below
0.5. Mean over {n_seeds} sampling seeds; `measured.json` holds every run. `python -m training.evaluate` repeats it.

| critiques a step | F1 | error accuracy | correct accuracy | result | operand | previous | operation |
|---|---|---|---|---|---|---|---|
{rows}

The last four columns are the percentage of first errors of that kind which are found at their exact step.
"""


_STAGES = ("world", "closing", "sft", "dpo")
_NUMBERS = {2: "two", 3: "three", 4: "four"}
_BUILD = "`python -m training.tiny --out FOLDER`"
_LOOP = {
    "sft": """

Then the job system: in the stage sft the judge imitates critiques of an erring teacher that agree with the label.""",
    "dpo": """ In the
stage dpo it prefers those of its own critiques that agree with the label to those that do not (DPOTrainer's loss).""",
}
_PLACES = {
    "sft": """

It is the cold start: trained on an erring teacher's critiques, it errs a good deal itself. `tiny` is what became of it
by preferring its own right critiques to its wrong ones.""",
    "dpo": "",
}


def write_card(folder: Path, training: dict[str, Any], evaluation: dict[str, Any]) -> dict[str, Any]:
    """Keep the numbers beside the weights, and the card that quotes them, under the folder's name; returns them."""
    measured = {"training": training, "evaluation": evaluation}
    (folder / "measured.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(model_card(folder.name, measured), encoding="utf-8")
    return measured


def model_card(name: str, measured: dict[str, Any]) -> str:
    """The card's Markdown for a judge of this name and a measurement as `training.tiny` writes it."""
    training, evaluation = measured["training"], measured["evaluation"]
    stages = [name for name in _STAGES if name in training]
    return _CARD.format(
        name=name,
        place=_PLACES.get(stages[-1], ""),
        command=_BUILD if "sft" in stages else f"The folder `base` of {_BUILD}",
        n_stages=_NUMBERS[len(stages)],
        loop="".join(_LOOP.get(stage, "") for stage in stages),
        weights=training["weights"],
        plain=PLAIN_EXAMPLES,
        stages="\n".join(_stage(name, training[name]) for name in stages),
        foreign_closed=evaluation["foreign_closed"],
        solutions=evaluation["solutions"],
        n_steps=evaluation["steps"],
        temperature=evaluation["temperature"],
        top_p=evaluation["top_p"],
        n_seeds=len(evaluation["runs"]),
        rows="\n".join(_row(size, evaluation["runs"]) for size in evaluation["f1"]),
    )


def _stage(name: str, stage: dict[str, Any]) -> str:
    took = f"{stage['minutes']} ({stage['note']})"
    losses = f"{stage['first_loss']:.3g} to {stage['last_loss']:.3g}"
    return f"| {name} | {stage['steps']:,} | {stage['examples']:,} | {stage['seed']} | {took} | {losses} |"


def _row(size: str, runs: list[dict[str, Any]]) -> str:
    def mean(values: list[float]) -> str:
        return f"{sum(values) / len(values):.1f}"

    cells = [mean([run[size][name] for run in runs]) for name in ("f1", "error_acc", "correct_acc")]
    cells += [
        mean([run[size]["recall"][kind] for run in runs]) for kind in ("result", "operand", "previous", "operation")
    ]
    return f"| {size[1:]} | {' | '.join(cells)} |"
