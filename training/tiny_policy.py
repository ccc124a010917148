"""The tiny policy: `python -m training.tiny_policy --out FOLDER`.

A small Qwen2 that solves the arithmetic chains which the tiny judges judge, a step a paragraph. It starts from the
weights of a tiny judge, which know the world's words and numbers, and learns from a careless solver: a share of all
steps is wrong, so picking among its solutions, or searching over its steps, has something to win. A build that was cut
goes on when the command is given again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rprm_jobs.judge.card import POLICY_CARD
from rprm_jobs.judge.policy import PolicyCard, write_policy_card
from rprm_jobs.judge.resolve import resolve_judge
from training import tiny_base
from training.careless import draw_careless
from training.folder import load_model, load_tokenizer, write_model
from training.recipe import SftRecipe
from training.sft import Record, train_sft
from training.splits import POLICY_SEED
from training.trainer import TrainingPlan

STEPS, WARMUP = 1500, 50
_WRONG_SHARE = 0.35
# The answer is what the last step comes to. At a temperature below 1 it would err less often than it has learnt to.
_CARD = PolicyCard(
    prompt="{problem}", separator="\n\n", answer_pattern=r"=(\d+)\.$", temperature=1.0, top_p=1.0, max_new_tokens=128
)


_README = """# {name}

A policy for trying and testing rprm-jobs anywhere: a Qwen2 of {weights:,} weights (float16) that solves the arithmetic
chains which the tiny judges judge as long as their values stay below 100, a step a paragraph, and is wrong often. It
is asked with the problem alone, and its final answer is what its last step comes to (`rprm_policy.json`). It knows
nothing but this world.

## Recipe
`python -m training.tiny_policy --out FOLDER`: TRL's SFTTrainer from the weights of the judge `{base}`, every example
generated and seen once, {wrong:.0%} of their steps with an error. {steps:,} steps, {examples:,} examples, seed {seed},
{minutes} minutes on 2 cores ({note}); the loss fell from {first_loss:.3g} to {last_loss:.3g} nats a token.

## Measured
`python -m benchmarks.policy_table` has it solve 200 problems that it has not seen; the project's README quotes it.
"""


def recipe_for(steps: int = STEPS, seed: int = POLICY_SEED) -> SftRecipe:
    """The shipped recipe: that of the judges' world, a little slower, and with less to lose when it is cut."""
    return replace(
        tiny_base.recipe_for(steps, seed), learning_rate=1.5e-3, warmup=min(WARMUP, steps // 4), evaluate_every=100
    )


def records(seed: int) -> Iterator[Record]:
    """Endless problems and solutions of the careless solver."""
    rng = random.Random(seed)
    while True:
        solution = draw_careless(rng, _WRONG_SHARE)
        yield {"prompt": _CARD.prompt.replace("{problem}", solution.problem),
               "completion": _CARD.separator.join(solution.steps)}  # fmt: skip


def build(out: Path, recipe: SftRecipe, base: str = "tiny") -> dict[str, Any]:
    """Train from the weights of the judge `base` and write the policy's folder; returns what it took."""
    checkpoints = out / "checkpoints"
    resumed, began = any(checkpoints.glob("checkpoint-*")), time.monotonic()
    judge = resolve_judge(base)
    tokenizer, model = load_tokenizer(judge), load_model(judge.location)
    source = tiny_base.generated(partial(records, recipe.seed), recipe)
    _, log = train_sft(model, tokenizer, TrainingPlan(source, recipe, checkpoints, resumed))
    write_model(model.half(), tokenizer, out)
    write_policy_card(_CARD, out / POLICY_CARD)
    shutil.rmtree(checkpoints)
    losses = [float(entry["loss"]) for entry in log if "loss" in entry]
    record = {
        "note": "resumed from a checkpoint" if resumed else "in one go",
        "weights": model.num_parameters(),
        "base": judge.name,
        "steps": recipe.steps,
        "examples": recipe.steps * recipe.batch * recipe.accumulation,
        "seed": recipe.seed,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }
    (out / "measured.json").write_text(json.dumps({"training": record}, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(card_of(out.name, record), encoding="utf-8")
    return record


def card_of(name: str, record: dict[str, Any]) -> str:
    """The policy's card, from what its training took."""
    return _README.format(name=name, wrong=_WRONG_SHARE, **record)


def main() -> None:
    """Build the policy and print what it took as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default="tiny", help="the judge whose weights it starts from")
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    print(json.dumps(build(options.out, recipe_for(options.steps), options.base), indent=2))


if __name__ == "__main__":
    main()
