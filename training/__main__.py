"""`python -m training dpo`: make a judge better with preference pairs, from a set in the store or an export of one."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError, RprmError
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.pairs.rules import SetKind
from rprm_jobs.services.context import open_context
from rprm_jobs.services.training_sets import get_set
from rprm_jobs.settings import load_settings
from training.folder import load_for_training, write_judge
from training.preferences import DpoRecipe, train_dpo
from training.source import Source, from_path, from_set


def main() -> None:
    """Train, write the judge's folder, and print JSON."""
    options = _parser().parse_args()
    try:
        print(json.dumps(_dpo(options), indent=2))
    except RprmError as error:
        print(f"training: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    dpo = parser.add_subparsers(dest="phase", required=True).add_parser("dpo", help=DpoRecipe.__doc__)
    dpo.add_argument("--judge", default="tiny", help="the judge to start from, which is the frozen reference as well")
    dpo.add_argument("--set", help="a set of pairs in the store")
    dpo.add_argument("--data", type=Path, help="an export of one: a folder, .parquet, .jsonl, .jsonl.gz or .jsonl.zst")
    dpo.add_argument("--out", type=Path, required=True, help="the new judge's folder")
    dpo.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    dpo.add_argument("--dtype", default="", help="of the weights written, e.g. bfloat16 [as they were trained]")
    for field in fields(DpoRecipe):
        _add_recipe_option(dpo, field)
    return parser


def _add_recipe_option(parser: argparse.ArgumentParser, field: Any) -> None:
    if field.default is MISSING:
        raise TypeError(f"{field.name} has no default")
    name = f"--{field.name.replace('_', '-')}"
    if isinstance(field.default, bool):
        parser.add_argument(name, action=argparse.BooleanOptionalAction, default=field.default)
    else:
        parser.add_argument(name, type=type(field.default), default=field.default)


def _dpo(options: argparse.Namespace) -> dict[str, Any]:
    if (options.set is None) == (options.data is None):
        raise ConfigError("where are the pairs?", mend="name either --set NAME or --data PATH")
    if (options.out / "rprm_judge.json").exists():
        raise ConfigError("there is a judge already", where=str(options.out), mend="name a new --out")
    recipe = DpoRecipe(**{field.name: getattr(options, field.name) for field in fields(DpoRecipe)})
    if options.data is not None:
        return _train(options, recipe, from_path(options.data, SetKind.PAIRS), None)
    with open_context(load_settings()) as context:
        prompt = get_set(context, options.set, SetKind.PAIRS).prompt
        return _train(options, recipe, from_set(context, options.set, SetKind.PAIRS), prompt)


def _train(options: argparse.Namespace, recipe: DpoRecipe, source: Source, prompt: str | None) -> dict[str, Any]:
    judge = resolve_judge(options.judge)
    template = judge.template if prompt is None else PromptTemplate.parse(prompt)
    model, reference, tokenizer = load_for_training(judge)
    began = time.monotonic()
    log = train_dpo(model, reference, tokenizer, source, recipe, options.out / "checkpoints", resume=options.resume)
    write_judge(model, tokenizer, template.source, judge.sampling, options.out, dtype=options.dtype)
    run = {
        "phase": "dpo",
        "judge": judge.name,
        "data": {"name": source.name, "digest": source.digest, **source.counts},
        "recipe": asdict(recipe),
        "minutes": round((time.monotonic() - began) / 60, 2),
        "log": log,
    }
    (options.out / "run.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    return run | {"out": str(options.out)}


if __name__ == "__main__":
    main()
