"""`python -m training sft|dpo`: make a judge of a model, or a better one of a judge, from a set or an export of one."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError, RprmError
from rprm_jobs.judge.resolve import check_has_weights, resolve_judge
from rprm_jobs.pairs.rules import SetKind
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.services.training.sets import check_sampled_by, get_set
from rprm_jobs.settings import load_settings
from rprm_jobs.store.training.runs import Phase
from training.folder import CARD
from training.phases import Training, train
from training.preferences import DpoRecipe
from training.recipe import TrainingRecipe
from training.sft import SftRecipe
from training.source import RowSource, from_path, from_set
from training.trainer import check_names

_RECIPES: dict[Phase, type[TrainingRecipe]] = {Phase.SFT: SftRecipe, Phase.DPO: DpoRecipe}
_KINDS = {Phase.SFT: SetKind.SFT, Phase.DPO: SetKind.PAIRS}
_DTYPES = ("float32", "bfloat16", "float16")
_HELP = {
    Phase.SFT: "learn critiques that agree with the label (the paper's cold start)",
    Phase.DPO: "prefer critiques that agree with the label to those that do not (the paper's meta-optimisation)",
}


# What each field of a recipe is, for a person.
_ABOUT = {
    "epochs": "passes over the rows",
    "steps": "optimiser steps; 0: as many as the epochs take",
    "batch": "rows at once on each process",
    "accumulation": "batches of one optimiser step",
    "learning_rate": "the highest learning rate",
    "weight_decay": "AdamW's weight decay",
    "beta2": "AdamW's beta2",
    "warmup": "steps in which the learning rate rises",
    "schedule": "how the learning rate falls: cosine, linear, constant, ...",
    "seed": "of all that is random",
    "bf16": "compute in bfloat16 where the machine does",
    "gradient_checkpointing": "compute activations again instead of keeping them, which saves memory",
    "pad_to": "lengths are padded to a multiple of so many tokens",
    "decay": "warmup_stable_decay: steps at the end in which the learning rate falls",
    "floor": "warmup_stable_decay: the last learning rate, as a share of the highest",
    "lora_rank": "rank of an adapter of all linear layers; 0: train all weights",
    "lora_alpha": "the adapter's scale",
    "evaluate_every": "steps between evaluations on the validation split",
    "evaluate_rows": "rows of the validation split to evaluate at most",
    "patience": "evaluations without a lower loss after which training stops",
    "log_every": "steps between log entries",
    "report_to": "tensorboard, wandb, ... or none",
    "beta": "strength of the pull to the judge it starts from",
    "sft_weight": "weight of the chosen critique's own loss",
}


def main() -> None:
    """Train, write the judge's folder, and print JSON."""
    options = _parser().parse_args()
    try:
        result = _run(options)
    except RprmError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if result is not None:
        print(json.dumps(result, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__, allow_abbrev=False)
    phases = parser.add_subparsers(dest="phase", required=True)
    for phase in _RECIPES:
        phases.add_parser(
            phase.value, help=_HELP[phase], description=_HELP[phase], parents=[phase_parser(phase)], allow_abbrev=False
        )
    return parser


def phase_parser(name: str) -> argparse.ArgumentParser:
    """The options of one phase."""
    phase = Phase(name)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_options(parser, phase)
    for field in fields(_RECIPES[phase]):
        _add_recipe_option(parser.add_argument, field.name, field.default)
    return parser


def _add_options(parser: argparse.ArgumentParser, phase: Phase) -> None:
    start = "the model or judge to start from" + (", the frozen reference as well" if phase is Phase.DPO else "")
    parser.add_argument("--judge", "--model", default="tiny", help=f"{start}: a shipped judge, a folder, a hub id")
    parser.add_argument("--set", help=f"a set in the store (rprm-jobs {_KINDS[phase].value} build)")
    parser.add_argument(
        "--data", type=Path, help="an export of one: a folder, .parquet, .jsonl, .jsonl.gz or .jsonl.zst"
    )
    parser.add_argument("--out", type=Path, required=True, help="the new judge's folder")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--restart", action="store_true", help="begin again where --out has checkpoints, which go")
    parser.add_argument("--check", action="store_true", help="print the recipe, and train nothing")
    parser.add_argument("--dtype", default="", choices=_DTYPES, help="type of the weights written [the judge's own]")
    if phase is Phase.DPO:
        parser.add_argument("--off-policy", action="store_true", help="take pairs that another judge has written")


def _add_recipe_option(add: Any, name: str, default: Any) -> None:
    option = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        on_or_off = "on" if default else "off"
        add(option, action=argparse.BooleanOptionalAction, default=default, help=f"{_ABOUT[name]} [{on_or_off}]")
    else:
        add(option, type=type(default), default=default, metavar=_metavar(default), help=f"{_ABOUT[name]} [{default}]")


def _metavar(default: Any) -> str:
    return {int: "N", float: "X"}.get(type(default), "NAME")


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    phase = Phase(options.phase)
    recipe = _RECIPES[phase](**{field.name: getattr(options, field.name) for field in fields(_RECIPES[phase])})
    if options.check:
        check_names(recipe)
        return {"recipe": asdict(recipe)}
    _refuse_without_effect(options)
    if (options.set is None) == (options.data is None):
        raise ConfigError("where are the rows?", hint="name either --set NAME or --data PATH")
    if (options.out / CARD).exists():
        raise ConfigError("there is a judge already", where=str(options.out), hint="name a new --out")
    settings = load_settings()
    if settings.database_url is None and options.data is not None:
        return _trained(options, phase, recipe, from_path(options.data, _KINDS[phase]), None)
    with open_context(settings) as context:
        return _trained(options, phase, recipe, _source(options, phase, context), context)


def _refuse_without_effect(options: argparse.Namespace) -> None:
    """Raise ConfigError for an option that changes nothing beside the others."""
    words = {word.partition("=")[0] for word in sys.argv[1:]}
    for option, idle, why in (
        ("--off-policy", options.data is not None, "with --data: who wrote those rows is not known"),
        ("--lora-alpha", not options.lora_rank, "without --lora-rank"),
        ("--epochs", bool(options.steps), "with --steps"),
    ):
        if option in words and idle:
            raise ConfigError(f"{option} has no effect {why}", hint=f"leave out {option}")


def _source(options: argparse.Namespace, phase: Phase, context: Context) -> RowSource:
    if options.data is not None:
        return from_path(options.data, _KINDS[phase])
    if phase is Phase.DPO and not options.off_policy:
        check_sampled_by(context, options.set, resolve_judge(options.judge))
    return from_set(context, options.set, _KINDS[phase])


def _trained(
    options: argparse.Namespace, phase: Phase, recipe: TrainingRecipe, source: RowSource, context: Context | None
) -> dict[str, Any] | None:
    judge = resolve_judge(options.judge)
    check_has_weights(judge)
    prompt = judge.template.source
    if context is not None and options.set is not None:
        prompt = get_set(context, options.set, _KINDS[phase]).prompt
    training = Training(
        phase, judge, source, recipe, prompt, options.out, resume=options.resume, restart=options.restart,
        dtype=options.dtype,
    )  # fmt: skip
    return train(training, context)


if __name__ == "__main__":
    main()
