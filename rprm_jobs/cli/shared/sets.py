"""What `pairs` and `sft` share: the options of `build`, and the commands `list`, `show`, `export` and `delete`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.command import add_command, excludes
from rprm_jobs.cli.shared.common import print_json, print_json_rows, say
from rprm_jobs.cli.shared.complete import complete_job, complete_set
from rprm_jobs.cli.shared.options import JsonOption, OutputOption
from rprm_jobs.cli.shared.places import not_standard_output
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.pairs.rules import Rules, SetKind
    from rprm_jobs.services.training.export import Rows
    from rprm_jobs.services.training.sets import Built
    from rprm_jobs.store.training.sets import TrainingSet

JobsArgument = Annotated[
    list[int],
    typer.Argument(metavar="JOB", min=1, help="Ids of judged jobs with labels.", autocompletion=complete_job),
]
_JOBS_SHOWN = 6
# A heading of their help.
ROWS = "Which rows"


def _set_name(name: str) -> str:
    """Check the name of a set. Raises ConfigError."""
    if not name.strip() or not name.isprintable():
        raise ConfigError(f"{name!r} is no name for a set", hint="choose one with letters or digits: --name first")
    return name


NameOption = Annotated[str, typer.Option("--name", metavar="NAME", help="The set's name.", callback=_set_name)]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The set's name.", autocompletion=complete_set)]
NeutralOption = Annotated[
    str,
    typer.Option("--neutral", help="What neutral steps count as: correct, wrong or skip.", rich_help_panel=ROWS),
]
BalanceOption = Annotated[
    bool,
    typer.Option(
        "--balance/--no-balance", help="Keep as many rows of correct as of wrong steps.", rich_help_panel=ROWS
    ),
]
ValidationOption = Annotated[
    float,
    typer.Option(
        "--validation",
        metavar="SIZE",
        help="Size of the validation split: a share below 1, or a number of rows.",
        rich_help_panel=ROWS,
    ),
]
SetSeedOption = Annotated[
    int, typer.Option("--seed", help="Seed of the order of rows and problems.", rich_help_panel=ROWS)
]
ShownPromptOption = Annotated[
    Path | None,
    typer.Option(
        "--prompt", metavar="FILE", help="The prompt in the rows.", show_default="the jobs' own", rich_help_panel=ROWS
    ),
]
UnfinishedOption = Annotated[bool, typer.Option("--unfinished", help="Use also jobs that are running or cancelled.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace the set that has this name.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show the counts and store nothing.")]


def common_rules(neutral: str, balance: bool, validation: float, seed: int) -> dict[str, Any]:
    """What both kinds of rules have. Raises ConfigError for an unknown --neutral."""
    from rprm_jobs.pairs.labels import Neutral

    if neutral not in list(Neutral):
        raise ConfigError(
            f"there is no choice --neutral {neutral}", hint=f"say --neutral {' or --neutral '.join(Neutral)}"
        )
    return {"neutral": Neutral(neutral), "balance": balance, "validation": validation, "seed": seed}


def build_set(
    jobs: list[int], name: str, rules: Rules, prompt: Path | None, *, unfinished: bool, replace: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Build the set, and show what became of every step and critique."""
    from rprm_jobs.judge.prompt import PromptTemplate
    from rprm_jobs.services.training.sets import BuildRequest, build

    template = None if prompt is None else PromptTemplate.load(prompt)
    request = BuildRequest(name, tuple(jobs), rules, template, unfinished, replace, dry_run)
    with connected() as context:
        built = build(context, request)
    if as_json:
        print_json(asdict(built))
    else:
        _announce(built)
        _print_counts(built.counts)


def _announce(built: Built) -> None:
    how = "would have" if built.dry_run else "has" if built.created else "(found: the same rules and jobs) has"
    say(f"set {built.name} {how} {counted(built.n_train, 'row')} to train on and {built.n_validation:,} to validate")


# The way of a row: labels, steps and critiques lead to rows, and those go to train or validation.
_GROUPS = ("labels", "steps", "critiques", "rows", "problems")
_WITHIN = ("correct", "neutral", "wrong", "cut by balancing", "train", "validation")


def _place(order: Sequence[str]) -> Callable[[str], int]:
    return lambda name: order.index(name) if name in order else len(order)


def _print_counts(counts: Any) -> None:
    from rprm_jobs.cli.shared.tables import Table, print_table

    table = Table(("of", "what", "count"), left=("what",))
    for group in sorted(counts, key=_place(_GROUPS)):
        by_reason, shown = counts[group], group
        # What has no place of its own stands behind, the largest first.
        for what in sorted(by_reason, key=lambda what: (_place(_WITHIN)(what), -by_reason[what])):
            table.add_row(shown, what, f"{by_reason[what]:,}")
            shown = ""
    print_table(table)


def add_common(app: typer.Typer, kind: SetKind) -> None:
    """Add `list`, `show`, `export` and `delete` for sets of this kind."""
    add_command(app, _list(kind), f"rprm-jobs {kind} list", name="list")
    add_command(app, _show(kind), f"rprm-jobs {kind} show first --rows 3", name="show")
    add_command(
        app,
        _export(kind),
        f"rprm-jobs {kind} export first -o rows.jsonl",
        f"rprm-jobs {kind} export first --folder data/",
        name="export",
        rules=(excludes("folder", "output", "split"),),
    )
    add_command(app, _delete(kind), f"rprm-jobs {kind} delete first", name="delete")


def _as_json(listed: TrainingSet) -> dict[str, Any]:
    return {**asdict(listed), "rules": listed.rules.to_builtins(), "jobs": [job for job, _ in listed.jobs]}


def _list(kind: SetKind) -> Callable[..., None]:
    def command(as_json: JsonOption = False) -> None:
        """List the sets, newest first."""
        from rprm_jobs.cli.shared.tables import Table, cut_list, print_table
        from rprm_jobs.services.training.sets import list_sets

        with connected() as context:
            sets = list_sets(context, kind)
        if as_json:
            print_json([_as_json(training_set) for training_set in sets])
            return
        table = Table(("name", "train", "validation", "jobs", "digest"), left=("jobs", "digest"))
        for training_set in sets:
            jobs = cut_list([job for job, _ in training_set.jobs], _JOBS_SHOWN)
            rows = f"{training_set.n_train:,}", f"{training_set.n_validation:,}"
            table.add_row(training_set.name, *rows, jobs, training_set.digest[:12])
        print_table(table)

    return command


def _show(kind: SetKind) -> Callable[..., None]:
    def command(
        name: NameArgument,
        rows: Annotated[int, typer.Option("--rows", metavar="N", min=0, help="Number of rows to show.")] = 1,
        as_json: JsonOption = False,
    ) -> None:
        """Show a set's rules, counts and first rows."""
        from itertools import islice

        from rprm_jobs.services.training import export
        from rprm_jobs.services.training.sets import get_set

        with connected() as context:
            training_set = get_set(context, name, kind)
            first = list(islice(export.rows(context, name, kind, "train"), rows))
        if as_json:
            print_json({**_as_json(training_set), "rows": first})
            return
        splits = f"{training_set.n_train:,} train, {training_set.n_validation:,} validation"
        print(f"{training_set.name}: {splits}, digest {training_set.digest[:12]}")
        print("rules: " + ", ".join(f"{key} {value}" for key, value in training_set.rules.to_builtins().items()))
        _print_counts(training_set.counts)
        for row in first:
            for key, value in row.items():
                print(f"--- {key}\n{value}")

    return command


def _export(kind: SetKind) -> Callable[..., None]:
    def command(
        name: NameArgument,
        output: OutputOption = "-",
        split: Annotated[str, typer.Option("--split", metavar="NAME", help="train or validation.")] = "train",
        folder: Annotated[
            Path | None,
            typer.Option(
                "--folder",
                metavar="FOLDER",
                help="Write both splits, as datasets.load_dataset reads them.",
                callback=not_standard_output("pairs"),
            ),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Write a set's rows with TRL's column names."""
        from rprm_jobs.services.training import export

        with connected() as context:
            if as_json and folder is None and output == "-":
                rows = export.rows(context, name, kind, split)
                print_json_rows({"name": name, "output": output}, rows, lambda count: {"rows": {split: count}})
                return
            if folder is not None:
                done = export.export_folder(context, name, kind, folder, _with_bar)
            else:
                done = export.export_file(context, name, kind, split, output, _with_bar)
        if folder is None and output == "-":
            return
        if as_json:
            print_json({"name": name, **asdict(done)})
        else:
            counts = ", ".join(f"{counted(count, 'row')} ({split})" for split, count in done.rows.items())
            say(f"{counts} in {done.output}")

    return command


def _with_bar(rows: Rows) -> Rows:
    """The rows with a progress bar, if stderr is a terminal and stdout, where rows may be written, is not."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        return rows
    from rich.console import Console
    from rich.progress import track

    return iter(track(rows, "writing", console=Console(stderr=True), transient=True))


def _delete(kind: SetKind) -> Callable[..., None]:
    def command(name: NameArgument, as_json: JsonOption = False) -> None:
        """Delete a set; its jobs stay.

        Building it again gives the same rows.
        """
        from rprm_jobs.services.training.sets import delete_set

        with connected() as context:
            delete_set(context, name, kind)
        if as_json:
            print_json({"name": name, "deleted": True})
        else:
            say(f"set {name} is deleted; its jobs stay")

    return command
