"""The options of `python -m training sft|dpo`: those of every training, and each field of the phase's recipe."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from rprm_jobs.errors import ConfigError
from rprm_jobs.pairs.rules import SetKind
from training.recipe import DpoRecipe, SftRecipe, TrainingRecipe

# By phase, as rprm_jobs.store.training.runs has them: that module takes long to import.
SFT, DPO = "sft", "dpo"
RECIPES: dict[str, type[TrainingRecipe]] = {SFT: SftRecipe, DPO: DpoRecipe}
KINDS = {SFT: SetKind.SFT, DPO: SetKind.PAIRS}
_DTYPES = ("float32", "bfloat16", "float16")
_HELP = {
    SFT: "learn critiques that agree with the label (the paper's cold start)",
    DPO: "prefer critiques that agree with the label to those that do not (the paper's meta-optimisation)",
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


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ConfigErrors, said as those of all other commands."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As the parser's own, but each phase refuses what it does not know, for it knows what could be meant."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError."""
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        near = get_close_matches(unknown[1], self._option_string_actions, 1) if unknown else []
        meant = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(_said(message), hint=f"{meant}{self.prog} --help")


_SAID = (
    (r"unrecognized arguments: ([^-]\S*)", r"too many arguments: \1"),
    (r"unrecognized arguments: ([^\s=]+).*", r"there is no option \1"),
    (r"argument ([^\s/]+)(?:/\S+)?: invalid int value: (.*)", r"\1: \2 is not a whole number"),
    (r"argument ([^\s/]+)(?:/\S+)?: invalid float value: (.*)", r"\1: \2 is not a number"),
    (r"argument ([^\s/]+)(?:/\S+)?: invalid choice: (.*) \(choose from (.*)\)", r"\1: \2 is none of \3"),
    (r"argument ([^\s/]+)(?:/\S+)?: expected one argument", r"\1 has no value"),
    (r"argument ([^\s/]+)(?:/\S+)?: ignored explicit argument (.*)", r"\1 takes no value: \2"),
)


def _said(message: str) -> str:
    for pattern, words in _SAID:
        if re.fullmatch(pattern, message):
            return re.sub(pattern, words, message)
    return message


def training_parser() -> argparse.ArgumentParser:
    """The options of all phases; `phase` says which. Its errors are ConfigErrors."""
    parser = _Parser(prog="rprm-jobs train", description="Train a judge.", allow_abbrev=False)
    phases = parser.add_subparsers(dest="phase", required=True)
    for phase in RECIPES:
        phases.add_parser(
            phase, help=_HELP[phase], description=_HELP[phase], parents=[phase_parser(phase)], allow_abbrev=False
        )
    return parser


def phase_parser(phase: str) -> _Parser:
    """The options of one phase."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    _add_options(parser, phase)
    for field in fields(RECIPES[phase]):
        _add_recipe_option(parser.add_argument, field.name, field.default)
    return parser


def _add_options(parser: argparse.ArgumentParser, phase: str) -> None:
    start = "the model or judge to start from" + (", the frozen reference as well" if phase == DPO else "")
    parser.add_argument("--judge", "--model", default="tiny", help=f"{start}: a shipped judge, a folder, a hub id")
    parser.add_argument("--set", help=f"a set in the store (rprm-jobs {KINDS[phase].value} build)")
    parser.add_argument(
        "--data", type=Path, help="an export of one: a folder, .parquet, .jsonl, .jsonl.gz or .jsonl.zst"
    )
    parser.add_argument("--out", type=Path, help="the new judge's folder, which must be named")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--restart", action="store_true", help="begin again where --out has checkpoints, which go")
    parser.add_argument("--check", action="store_true", help="print the recipe, and train nothing")
    parser.add_argument("--dtype", default="", choices=_DTYPES, help="type of the weights written [the judge's own]")
    if phase == DPO:
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
