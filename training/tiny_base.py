"""The weights that the tiny judge starts from: a small Qwen2, trained from nothing on its world's flawless critiques.

Two stages: the world itself, then some foreign text among it, so that a judge ends its critique whatever it is shown.
It stands where a pretrained model stands for a real judge: it can do the arithmetic.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.types import Sampling
from training.folder import write_judge
from training.foreign import draw_foreign, foreign_critique
from training.recipe import SftRecipe
from training.sft import Record, train_sft
from training.source import TRAIN, VALIDATION, RowSource
from training.splits import CLOSING_SEED, TRAINING_SEED, training_stream
from training.teacher import critique
from training.tokenizer import CONTEXT, build_tokenizer
from training.trainer import TrainingPlan

PROMPT = "Problem: {problem}\nPrevious steps:\n{previous_steps}\nNow step:\n{now_step}"
# A critique has 109 tokens.
MAX_NEW_TOKENS = 128


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the model. `heads` divides `width` into heads of 32, the least that vLLM serves on a CPU."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    feed_forward: int = 384


STEPS, WARMUP, DECAY = 4200, 100, 700
CHECKPOINT_EVERY = 500


def recipe_for(steps: int = STEPS, seed: int = TRAINING_SEED) -> SftRecipe:
    """The shipped recipe; another number of steps keeps the constant rate and shortens warm-up and decay to fit."""
    return SftRecipe(
        steps=steps,
        batch=32,
        accumulation=1,
        learning_rate=2e-3,
        weight_decay=0.05,
        warmup=min(WARMUP, steps // 4),
        schedule="warmup_stable_decay",
        decay=min(DECAY, steps // 4),
        floor=0.02,
        beta2=0.95,
        seed=seed,
        pad_to=16,
        evaluate_every=CHECKPOINT_EVERY,
        log_every=50,
    )


CLOSING_STEPS = 160
# Of the second stage's examples, those that show foreign text; some of them are long.
_FOREIGN_SHARE, _LONG_SHARE, _LONGEST = 0.12, 0.05, 100


def closing_recipe(steps: int = CLOSING_STEPS) -> SftRecipe:
    """The second stage: a tenth of the first one's rate, falling all the way."""
    return SftRecipe(
        steps=steps,
        batch=32,
        accumulation=1,
        learning_rate=2e-4,
        weight_decay=0.05,
        warmup=min(WARMUP, steps // 4),
        schedule="cosine",
        beta2=0.95,
        seed=CLOSING_SEED,
        pad_to=16,
        evaluate_every=CHECKPOINT_EVERY,
        log_every=50,
    )


def new_model(tokenizer: Any, shape: Shape, seed: int) -> Any:
    """A randomly initialised Qwen2 in float32."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    model: Any = Qwen2ForCausalLM
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model(config)


def training_records(seed: int) -> Iterator[Record]:
    """Endless prompts and teacher's critiques, rendered as a judge renders them."""
    template = PromptTemplate.parse(PROMPT)
    for judged in training_stream(seed):
        solution, index = judged.solution, judged.index
        prompt = template.render(solution.problem, solution.steps, index)
        yield {"prompt": prompt, "completion": critique(solution, index)}


def closing_records(seed: int) -> Iterator[Record]:
    """Endless examples of the second stage: the world with scrambled steps, and foreign text among it."""
    template, rng, world = PromptTemplate.parse(PROMPT), random.Random(seed), training_stream(seed, plain=0)
    while True:
        if rng.random() < _FOREIGN_SHARE:
            foreign = draw_foreign(rng, _LONGEST) if rng.random() < _LONG_SHARE else draw_foreign(rng)
            prompt = template.render(foreign.problem, foreign.steps, foreign.index)
            yield {"prompt": prompt, "completion": foreign_critique(rng)}
        else:
            judged = next(world)
            prompt = template.render(judged.solution.problem, judged.solution.steps, judged.index)
            yield {"prompt": prompt, "completion": critique(judged.solution, judged.index)}


def generated(records: Callable[[], Iterator[Record]], recipe: SftRecipe) -> RowSource:
    """A stream of generated records as a source; only as many are drawn as the recipe's steps need."""
    counts = {TRAIN: recipe.steps * recipe.batch * recipe.accumulation, VALIDATION: 0}
    return RowSource("generated", "", counts, lambda _: (dict(record) for record in records()))


def save_judge(model: Any, tokenizer: Any, out: Path) -> None:
    """Write a judge folder: weights in float16, tokenizer, prompt, and the judge's own defaults."""
    from transformers import GenerationConfig

    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model.config.update({**ends, "use_cache": True})
    generation: Any = GenerationConfig
    model.generation_config = generation(**ends)
    sampling = Sampling(temperature=0.95, top_p=0.95, max_new_tokens=MAX_NEW_TOKENS)
    write_judge(model.half(), tokenizer, PROMPT, sampling, out)
    (out / "model.safetensors").chmod(0o644)


def build_base(out: Path, world: SftRecipe, closing: SftRecipe, *, resume: bool = False) -> dict[str, Any]:
    """Train and write the weights; returns what each stage took. Checkpoints lie in `out`/checkpoints until done."""
    checkpoints = out / "checkpoints"
    tokenizer = build_tokenizer(PROMPT)
    model = new_model(tokenizer, Shape(), world.seed)
    first = _train(model, tokenizer, partial(training_records, world.seed), world, checkpoints / "world", resume)
    records = partial(closing_records, closing.seed)
    second = _train(model, tokenizer, records, closing, checkpoints / "closing", resume)
    save_judge(model, tokenizer, out)
    shutil.rmtree(checkpoints)
    return {"weights": model.num_parameters(), "world": first, "closing": second}


def _train(
    model: Any, tokenizer: Any, records: Callable[[], Iterator[Record]], recipe: SftRecipe, out: Path, resume: bool
) -> dict[str, Any]:
    began, resumed = time.monotonic(), resume and any(out.glob("checkpoint-*"))
    _, log = train_sft(model, tokenizer, TrainingPlan(generated(records, recipe), recipe, out, resumed))
    losses = [entry["loss"] for entry in log if "loss" in entry]
    return {
        "steps": recipe.steps,
        "examples": recipe.steps * recipe.batch * recipe.accumulation,
        "seed": recipe.seed,
        "note": "resumed from a checkpoint" if resumed else "in one go",
        "minutes": round((time.monotonic() - began) / 60, 1),
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }
