"""What `python -m training` does with its options: checks them, opens the store, and trains."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, fields
from typing import Any

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.resolve import check_trainable, resolve_judge
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.services.training.sets import check_sampled_by, get_set
from rprm_jobs.settings import load_settings
from rprm_jobs.store.training.runs import Phase
from training.folder import CARD
from training.options import KINDS, RECIPES
from training.phases import Training, train
from training.recipe import TrainingRecipe
from training.source import RowSource, from_path, from_set
from training.trainer import check_names

# The one schedule that has these options.
_DECAYING = "warmup_stable_decay"


def run(options: argparse.Namespace) -> dict[str, Any] | None:
    """Train, and return what was trained; with --check the recipe. None in all processes but the first."""
    phase = Phase(options.phase)
    recipe = RECIPES[phase](**{field.name: getattr(options, field.name) for field in fields(RECIPES[phase])})
    _refuse_without_effect(options)
    if options.check:
        check_names(recipe)
        return {"recipe": asdict(recipe)}
    if options.out is None:
        raise ConfigError("--out is missing", hint="name the new judge's folder: --out FOLDER")
    if str(options.out) == "-":
        raise ConfigError("--out -: a judge is no stream", hint="name the new judge's folder: --out FOLDER")
    if (options.set is None) == (options.data is None):
        raise ConfigError("where are the rows?", hint="name either --set NAME or --data PATH")
    if (options.out / CARD).exists():
        raise ConfigError("there is a judge already", where=str(options.out), hint="name a new --out")
    settings = load_settings()
    if settings.database_url is None and options.data is not None:
        return _trained(options, phase, recipe, from_path(options.data, KINDS[phase]), None)
    with open_context(settings) as context:
        return _trained(options, phase, recipe, _source(options, phase, context), context)


def _refuse_without_effect(options: argparse.Namespace) -> None:
    """Raise ConfigError for an option that changes nothing beside the others."""
    words = {word.partition("=")[0] for word in sys.argv[1:]}
    for option, idle, why in (
        ("--off-policy", options.data is not None, "with --data: who wrote those rows is not known"),
        ("--lora-alpha", not options.lora_rank, "without --lora-rank"),
        ("--epochs", bool(options.steps), "with --steps"),
        ("--decay", options.schedule != _DECAYING, f"without --schedule {_DECAYING}"),
        ("--floor", options.schedule != _DECAYING, f"without --schedule {_DECAYING}"),
    ):
        if option in words and idle:
            raise ConfigError(f"{option} has no effect {why}", hint=f"leave out {option}")


def _source(options: argparse.Namespace, phase: Phase, context: Context) -> RowSource:
    if options.data is not None:
        return from_path(options.data, KINDS[phase])
    if phase is Phase.DPO and not options.off_policy:
        judge = resolve_judge(options.judge)
        check_trainable(judge)
        check_sampled_by(context, options.set, judge)
    return from_set(context, options.set, KINDS[phase])


def _trained(
    options: argparse.Namespace, phase: Phase, recipe: TrainingRecipe, source: RowSource, context: Context | None
) -> dict[str, Any] | None:
    judge = resolve_judge(options.judge)
    check_trainable(judge)
    prompt = judge.template.source
    if context is not None and options.set is not None:
        prompt = get_set(context, options.set, KINDS[phase]).prompt
    training = Training(
        phase, judge, source, recipe, prompt, options.out, resume=options.resume, restart=options.restart,
        dtype=options.dtype,
    )  # fmt: skip
    return train(training, context)
