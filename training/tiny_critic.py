"""The tiny critic: `tiny`'s weights, taught to read a whole solution: `python -m training.tiny_critic --out FOLDER`.

It writes the checks of `tiny` for one step after the other, stops at the first that is wrong, and answers with its
index, from 0, in a box (ProcessBench's protocol). It is shown numbered steps in the words that `tiny` knows, so what is
new to it is only where to look. A training that was cut goes on when the command is given again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rprm_jobs.judge.prompt import format_step
from rprm_jobs.judge.resolve import resolve_judge
from training.folder import load_model, load_tokenizer, write_model
from training.sft import Record, SftRecipe, train_sft
from training.splits import CRITIC_SEED
from training.teacher import analyse, conclude
from training.tiny_base import generated
from training.trainer import TrainingPlan
from training.world import ChainSolution, draw_solution

PROMPT = "Problem: {problem}\nPrevious steps:\n{numbered_steps}"
# Seven steps of at most 100 tokens each, and the answer.
MAX_NEW_TOKENS = 900
# An estimate: after 80 steps it writes in the right form and reads most numbers wrong; it was not trained further.
STEPS = 2000


def critic_prompt(solution: ChainSolution) -> str:
    """The user message for a whole solution."""
    steps = "\n".join(format_step(index, text) for index, text in enumerate(solution.steps))
    return PROMPT.replace("{problem}", solution.problem).replace("{numbered_steps}", steps)


def whole_critique(solution: ChainSolution) -> str:
    """The flawless critique: the checks of every paragraph up to the first that is wrong, and its index in a box."""
    parts, wrong = list[str](), -1
    for index in range(len(solution.steps)):
        analyses = analyse(solution, index)
        checks = conclude(analyses, correct=analyses.correct).rpartition("\n")[0]
        parts.append(f"Step {index + 1}:\n{checks}")
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
        log_every=5,
    )


def build(out: Path, steps: int = STEPS, *, judge: str = "tiny") -> dict[str, Any]:
    """Train from the judge's weights and write the critic's folder; what it took."""
    base, checkpoints, began = resolve_judge(judge), out / "checkpoints", time.monotonic()
    tokenizer, model = load_tokenizer(base), load_model(base.location)
    recipe, resumed = recipe_for(steps), any(checkpoints.glob("checkpoint-*"))
    source = generated(partial(critic_records, recipe.seed), recipe)
    _, log = train_sft(model, tokenizer, TrainingPlan(source, recipe, checkpoints, resumed))
    write_critic(model.half(), tokenizer, out)
    shutil.rmtree(checkpoints)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    return {
        "weights": model.num_parameters(),
        "from": judge,
        "steps": steps,
        "examples": steps * recipe.batch,
        "seed": recipe.seed,
        "note": "resumed from a checkpoint" if resumed else "in one go",
        "minutes": round((time.monotonic() - began) / 60, 1),
        "first_loss": float(losses[0]),
        "last_loss": float(losses[-1]),
    }


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
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    print(json.dumps(build(options.out, options.steps), indent=2))


if __name__ == "__main__":
    main()
