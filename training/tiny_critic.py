"""The tiny critic: `tiny`'s weights, taught to read a whole solution: `python -m training.tiny_critic --out FOLDER`.

It quotes one step after the other, writes the checks of `tiny` behind each, stops at the first that is wrong, and
answers with its index, from 0, in a box (ProcessBench's protocol). A quoted step stands as `tiny` is shown the one that
it judges, so there is little for it to learn. A training that was cut goes on when the command is given again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rprm_jobs.evaluation.processbench import score
from rprm_jobs.judge.paragraphs import boxed_index, last_boxed
from rprm_jobs.judge.prompt import format_step
from rprm_jobs.judge.resolve import resolve_judge
from training.evaluate import EvaluatedJudge, padded
from training.folder import load_model, load_tokenizer, write_model
from training.recipe import SftRecipe
from training.sft import Record, train_sft
from training.splits import CRITIC_SEED, draw_split
from training.teacher import analyse, conclude
from training.tiny_base import generated
from training.trainer import TrainingPlan
from training.world import ChainSolution, draw_solution

PROMPT = "Problem: {problem}\nPrevious steps:\n{numbered_steps}"
# Seven steps of at most 120 tokens each, and the answer.
MAX_NEW_TOKENS = 1000
STEPS = 2000
README = """# tiny-critic

A critic of whole solutions, for trying and testing rprm-jobs anywhere: the weights of `{base}`, taught to go through
all steps of a solution of the arithmetic world and to name the first wrong one in a box, as ProcessBench asks critics.

Trained by `python -m training.tiny_critic --out FOLDER`: {steps:,} steps of {batch} generated solutions, seed {seed},
{minutes} minutes on 2 shared cores ({note}); loss {first_loss:.3g} to {last_loss:.3g} nats a token. It knows nothing
but that world.

| on {solutions} held-out solutions | F1 | error accuracy | correct accuracy | without an answer |
|---|---|---|---|---|
| one critique, the likeliest text | {f1:.1f} | {error_acc:.1f} | {correct_acc:.1f} | {without_answer} |
"""


def critic_prompt(solution: ChainSolution) -> str:
    """The user message for a whole solution."""
    steps = "\n".join(format_step(index, text) for index, text in enumerate(solution.steps))
    return PROMPT.replace("{problem}", solution.problem).replace("{numbered_steps}", steps)


def whole_critique(solution: ChainSolution) -> str:
    """The flawless critique: every step up to the first wrong one with its checks, and that one's index in a box."""
    parts, wrong = list[str](), -1
    for index in range(len(solution.steps)):
        analyses = analyse(solution, index)
        checks = conclude(analyses, correct=analyses.correct).rpartition("\n")[0]
        parts.append(f"Now step:\n{format_step(index, solution.steps[index])}\n{checks}")
        if not analyses.correct:
            wrong = index
            break
    return "\n".join([*parts, f"\\boxed{{{wrong}}}"])


def critic_records(seed: int) -> Iterator[Record]:
    """Endless whole solutions, right and wrong ones in equal parts, each with its flawless critique."""
    rng = random.Random(seed)
    while True:
        solution = draw_solution(rng, wrong=rng.random() < 0.5)
        yield {"prompt": critic_prompt(solution), "completion": whole_critique(solution)}


def recipe_for(steps: int) -> SftRecipe:
    """A quarter of the base's rate: the checks are known, where to look is new."""
    return SftRecipe(
        steps=steps,
        batch=8,
        accumulation=1,
        learning_rate=5e-4,
        weight_decay=0.05,
        warmup=min(20, max(1, steps // 4)),
        schedule="cosine",
        beta2=0.95,
        seed=CRITIC_SEED,
        pad_to=16,
        evaluate_every=20,
        log_every=min(5, steps),
    )


def build(out: Path, steps: int = STEPS, *, judge: str = "tiny", count: int = 400) -> dict[str, Any]:
    """Train from the judge's weights, write the critic's folder, and measure it; what it took and how good it is."""
    base, checkpoints, began = resolve_judge(judge), out / "checkpoints", time.monotonic()
    tokenizer, model = load_tokenizer(base), load_model(base.location)
    recipe, resumed = recipe_for(steps), any(checkpoints.glob("checkpoint-*"))
    source = generated(partial(critic_records, recipe.seed), recipe)
    _, log = train_sft(model, tokenizer, TrainingPlan(source, recipe, checkpoints, resumed))
    write_critic(model.half(), tokenizer, out)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    record = {
        "weights": model.num_parameters(),
        "base": judge,
        "steps": steps,
        "batch": recipe.batch,
        "seed": recipe.seed,
        "note": "resumed from a checkpoint" if resumed else "in one go",
        "minutes": round((time.monotonic() - began) / 60, 1),
        "first_loss": float(losses[0]),
        "last_loss": float(losses[-1]),
    }
    measured = {"training": record, "evaluation": evaluate(out, count)}
    (out / "measured.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(README.format(**record, **measured["evaluation"]), encoding="utf-8")
    shutil.rmtree(checkpoints)
    return measured


def evaluate(folder: Path, count: int, *, batch: int = 64) -> dict[str, Any]:
    """F1 of one greedy critique of each of `count` held-out solutions; one without an answer is a miss."""
    critic, solutions = EvaluatedJudge.load(folder), draw_split("held-out", count)
    predictions = [
        prediction
        for start in range(0, count, batch)
        for prediction in _predictions(critic, solutions[start : start + batch])
    ]
    result = score([solution.label for solution in solutions], predictions)
    return {
        "solutions": count, "f1": round(result.f1, 1), "error_acc": round(result.error_acc, 1),
        "correct_acc": round(result.correct_acc, 1), "without_answer": predictions.count(None),
    }  # fmt: skip


def _predictions(critic: EvaluatedJudge, solutions: Sequence[ChainSolution]) -> list[int | None]:
    import torch

    inputs = padded(critic, [critic.encoder.encode(critic_prompt(solution)) for solution in solutions])
    with torch.inference_mode():
        out = critic.model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
    texts = [critic.encoder.decode(row) for row in out[:, inputs["input_ids"].shape[1] :].tolist()]
    return [boxed_index(last_boxed(text), len(each.steps)) for text, each in zip(texts, solutions, strict=True)]


def write_critic(model: Any, tokenizer: Any, out: Path) -> None:
    """Weights, tokenizer, prompt, and the card that says that it judges whole solutions; the card last."""
    write_model(model, tokenizer, out)
    (out / "prompt.txt").write_text(PROMPT, encoding="utf-8")
    card = {"family": "critic", "prompt": "prompt.txt", "max_new_tokens": MAX_NEW_TOKENS}
    card |= {"temperature": 1.0, "top_p": 0.9}
    (out / "rprm_judge.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Train the critic and print JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default="tiny", help="the judge whose weights it starts from")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--count", type=int, default=400, help="held-out solutions of the measurement")
    options = parser.parse_args()
    print(json.dumps(build(options.out, options.steps, judge=options.base, count=options.count), indent=2))


if __name__ == "__main__":
    main()
