"""What the improve loop checks before anything is spent, and `loop.json`, by which its folder refuses another loop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rprm_jobs.errors import BadLine, ConfigError, Conflict, InputError
from rprm_jobs.launch.training import check_training
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.judge.resolve import Judge
    from rprm_jobs.launch.improve import Loop
    from rprm_jobs.services.context import Context

LOOP_FILE = "loop.json"
_SHOWN = 1000
# Options of the training program that the loop sets itself.
_OWN = ("judge", "model", "set", "data", "out", "resume", "restart", "check", "off-policy", "processes", "help")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the loop may rely on. `judge` is pinned to a commit if it is from a hub.

    `recipe` is the training program's resolved recipe; `shared` are the digests of the problems that stand in the
    validation files as well, and are left out of training.
    """

    judge: str
    recipe: Mapping[str, Any]
    shared: frozenset[bytes]


def check_loop(context: Context, loop: Loop) -> Checked:
    """Check all that can be known before the first critique. Raises what the stages would raise later.

    Writes `loop.json`, or raises Conflict where the folder holds a loop with another recipe.
    """
    from rprm_jobs.judge.resolve import check_trainable, resolve_judge

    _check_options(loop)
    resolved = resolve_judge(loop.judge)
    judge = loop.judge if resolved.revision is None else resolved.name
    _check_recipes(loop, resolved)
    held, held_digest = _read_validation(context, loop)
    labelled, labelled_digest, left_out = _read_labelled(context, loop)
    shared = frozenset(held & labelled)
    _check_shared(loop, len(shared), left_out(shared), len(labelled))
    check_trainable(resolved)
    recipe = check_training(["dpo", "--judge", judge, "--out", str(loop.out), *loop.train])
    _claim_folder(
        loop,
        {
            "labelled": labelled_digest,
            "validation": held_digest,
            "judge": resolved.fingerprint,
            "critiques": loop.k,
            "eval-critiques": loop.eval_k,
            "seed": loop.seed,
            "train-arg": dict(recipe),
        },
    )
    return Checked(judge, recipe, shared)


def _check_options(loop: Loop) -> None:
    for option in loop.train:
        name = option.removeprefix("--").partition("=")[0]
        if name in _OWN:
            raise ConfigError(f"--train-arg {name}: the loop sets this itself", hint=f"leave out --train-arg {name}")
    for path in (*loop.labelled, *loop.validation):
        if path == "-":
            raise ConfigError(
                "every round reads the files again, and standard input can be read once",
                hint="save the rows in a file, and name that",
            )
    if loop.seed < 0 or loop.seed + loop.rounds >= 2**63:
        raise ConfigError(
            f"--seed {loop.seed} leaves no seed for every round", hint="choose one from 0 to 9,000,000,000,000,000,000"
        )


def _check_recipes(loop: Loop, judge: Judge) -> None:
    from rprm_jobs.services.jobs.submit import make_recipe

    for k in (loop.k, loop.eval_k):
        make_recipe(judge, k=k, seed=loop.seed)


def _read_validation(context: Context, loop: Loop) -> tuple[set[bytes], str]:
    """The problems of the validation files, and a digest of those files. Raises InputError where they give no F1."""
    from rprm_jobs.evaluation.processbench_report import evaluate
    from rprm_jobs.formats import ReadOptions, read_solutions
    from rprm_jobs.services.evaluation.processbench import read_items

    items = read_items(loop.validation, context.settings.limits)
    if evaluate(tuple(items.values()), {}, allow_incomplete=True, seed=loop.seed).average_f1 is None:
        raise InputError(
            "the validation files give no F1: every subset needs correct and wrong solutions",
            where=", ".join(loop.validation),
            hint="name files that have both, with --validate",
        )
    problems, digest = set(), hashlib.sha256()
    for row in read_solutions(loop.validation, ReadOptions(), context.settings.limits):
        if not isinstance(row, BadLine):
            problems.add(problem_digest(row.solution.problem))
            digest.update(msgspec.json.encode(row.solution))
    return problems, digest.hexdigest()


def _read_labelled(context: Context, loop: Loop) -> tuple[set[bytes], str, Callable[[frozenset[bytes]], int]]:
    """The problems, a digest, and how many solutions have a problem in a given set. Raises InputError for bad rows."""
    from rprm_jobs.formats import ReadOptions
    from rprm_jobs.formats.readers.labelled import LabelCounts, read_labelled

    counts: dict[bytes, int] = {}
    bad: list[BadLine] = []
    digest = hashlib.sha256()
    for row in read_labelled(loop.labelled, ReadOptions(), context.settings.limits, LabelCounts()):
        if isinstance(row, BadLine):
            bad.append(row)
            continue
        problem = problem_digest(row.solution.problem)
        counts[problem] = counts.get(problem, 0) + 1
        digest.update(msgspec.json.encode(row.solution))
    if bad:
        raise InputError(
            f"{len(bad):,} bad row{'s' if len(bad) > 1 else ''}, nothing was sampled",
            hint="correct them, or take them out",
            bad_lines=tuple(bad[:_SHOWN]),
            n_bad=len(bad),
        )
    if not counts:
        raise InputError(
            "no step of the input is to be judged: none has a label",
            where=", ".join(loop.labelled),
            hint="give labelled solutions",
        )
    return set(counts), digest.hexdigest(), lambda shared: sum(counts[problem] for problem in shared)


def problem_digest(problem: str) -> bytes:
    """Tells problems apart, whatever their white space."""
    return hashlib.blake2b(" ".join(problem.split()).encode(), digest_size=16).digest()


def _check_shared(loop: Loop, shared: int, solutions: int, problems: int) -> None:
    if not shared:
        return
    what = f"{shared:,} of {counted(problems, 'problem')} to train on stand in the validation files too"
    if not loop.skip_shared:
        raise InputError(
            f"{what}: a judge must not be measured on what it was trained on",
            where=", ".join(loop.labelled),
            hint="name other files with --validate, or leave these problems out of training with --skip-shared",
        )
    if shared == problems:
        raise InputError(
            f"{what}, so nothing is left to train on",
            where=", ".join(loop.labelled),
            hint="name other files with --validate",
        )
    loop.say(f"{what}: {counted(solutions, 'solution')} left out of training")


def _claim_folder(loop: Loop, recipe: dict[str, Any]) -> None:
    file = loop.out / LOOP_FILE
    try:
        loop.out.mkdir(parents=True, exist_ok=True)
        if file.exists():
            _refuse_another(loop, json.loads(file.read_text(encoding="utf-8")), recipe)
        elif any(loop.out.glob("round-*/run.json")):
            raise Conflict(
                "the folder holds judges of another loop, whose recipe is not known",
                where=str(loop.out),
                hint="name a new folder: --out NEW",
            )
        else:
            file.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the judges cannot be written: {error.strerror}",
            where=str(loop.out),
            hint="name a new folder: --out NEW",
        ) from error


def _refuse_another(loop: Loop, stored: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
    differs = [
        _difference(name, stored.get(name), value) for name, value in recipe.items() if stored.get(name) != value
    ]
    if differs:
        raise Conflict(
            f"the folder holds a loop with another recipe: {', '.join(differs)}",
            where=str(loop.out),
            hint="name a new folder (--out NEW), or give the options of before to go on",
        )


def _difference(name: str, before: Any, now: Any) -> str:
    if isinstance(now, Mapping):
        # A loop that was stopped as it noted its recipe, or that an older version noted, may lack some of it.
        before = before if isinstance(before, Mapping) else {}
        return ", ".join(
            f"{key.replace('_', '-')} was {before.get(key)} and is {now[key]}"
            for key in now
            if before.get(key) != now[key]
        )
    if isinstance(now, int):
        return f"--{name} was {before} and is {now}"
    return {"labelled": "other labelled rows", "validation": "other --validate rows", "judge": "another --judge"}.get(
        name, f"another {name}"
    )


def set_name(out: Path, number: int) -> str:
    """The name of a round's set of pairs. Folders of the same last name must not share one."""
    place = hashlib.sha256(str(out.expanduser().resolve()).encode()).hexdigest()[:8]
    return f"{out.expanduser().resolve().name}-{place}-{number}"
