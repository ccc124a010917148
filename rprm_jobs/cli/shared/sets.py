"""What `pairs` and `sft` share: the options of a build, and `list`, `show`, `export` and `delete` of a kind of set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rprm_jobs.cli.shared.common import JsonOption, connected, print_json, say
from rprm_jobs.errors import ConfigError

if TYPE_CHECKING:
    from rprm_jobs.pairs.rules import Rules, SetKind
    from rprm_jobs.services.training.export import Rows
    from rprm_jobs.services.training.sets import Built
    from rprm_jobs.store.training.sets import TrainingSet

JobsArgument = Annotated[list[int], typer.Argument(metavar="JOB...", min=1, help="Judged jobs with labels.")]
NameOption = Annotated[str, typer.Option("--name", help="The set's name.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The set's name.")]
NeutralOption = Annotated[str, typer.Option("--neutral", help="What neutral steps count as: correct, wrong or skip.")]
BalanceOption = Annotated[
    bool, typer.Option("--balance/--no-balance", help="As many rows of correct as of wrong steps.")
]
ValidationOption = Annotated[
    float, typer.Option("--validation", help="The validation split: a share below 1, or a number of rows.")
]
SetSeedOption = Annotated[int, typer.Option("--seed", help="Of the order of rows and of problems.")]
ShownPromptOption = Annotated[
    Path | None, typer.Option("--prompt", help="The prompt that training shows [the one of the jobs].")
]
UnfinishedOption = Annotated[bool, typer.Option("--unfinished", help="Use jobs that still run, or were cancelled.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Build anew what has this name already.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count, and keep nothing.")]


def common_rules(neutral: str, balance: bool, validation: float, seed: int) -> dict[str, Any]:
    """What both kinds of rules have. Raises ConfigError for an unknown --neutral."""
    from rprm_jobs.pairs.labels import Neutral

    if neutral not in list(Neutral):
        raise ConfigError(f"--neutral {neutral}: there is no such choice", hint=f"say one of {', '.join(Neutral)}")
    return {"neutral": Neutral(neutral), "balance": balance, "validation": validation, "seed": seed}


def build_set(
    jobs: list[int], name: str, rules: Rules, prompt: Path | None, *, unfinished: bool, replace: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Build, and say what became of every step and critique."""
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
    say(f"set {built.name} {how} {built.n_train:,} rows to train on and {built.n_validation:,} to validate")


def _print_counts(counts: Any) -> None:
    from rprm_jobs.cli.shared.tables import new_table, print_table

    table = new_table("of", "what", "count", left=("what",))
    for group, found in counts.items():
        for what, count in sorted(found.items(), key=lambda one: -one[1]):
            table.add_row(group, what, f"{count:,}")
            group = ""
    print_table(table)


def add_common(app: typer.Typer, kind: SetKind) -> None:
    """Add `list`, `show`, `export` and `delete` for sets of this kind."""
    app.command("list")(_list(kind))
    app.command("show")(_show(kind))
    app.command("export")(_export(kind))
    app.command("delete")(_delete(kind))


def _as_json(found: TrainingSet) -> dict[str, Any]:
    return {**asdict(found), "rules": found.rules.to_builtins(), "jobs": [job for job, _ in found.jobs]}


def _list(kind: SetKind) -> Callable[..., None]:
    def command(as_json: JsonOption = False) -> None:
        """List the sets, newest first."""
        from rprm_jobs.cli.shared.tables import new_table, print_table
        from rprm_jobs.services.training.sets import list_sets

        with connected() as context:
            found = list_sets(context, kind)
        if as_json:
            print_json([_as_json(one) for one in found])
            return
        table = new_table("name", "train", "validation", "jobs", "digest", left=("jobs", "digest"))
        for one in found:
            jobs = ", ".join(str(job) for job, _ in one.jobs)
            table.add_row(one.name, f"{one.n_train:,}", f"{one.n_validation:,}", jobs, one.digest[:12])
        print_table(table)

    return command


def _show(kind: SetKind) -> Callable[..., None]:
    def command(
        name: NameArgument,
        rows: Annotated[int, typer.Option("--rows", min=0, help="How many rows to show.")] = 1,
        as_json: JsonOption = False,
    ) -> None:
        """Show a set's rules, counts and first rows."""
        from itertools import islice

        from rprm_jobs.services.training import export
        from rprm_jobs.services.training.sets import get_set

        with connected() as context:
            found = get_set(context, name, kind)
            first = list(islice(export.rows(context, name, kind, "train"), rows))
        if as_json:
            print_json({**_as_json(found), "rows": first})
            return
        print(f"{found.name}: {found.n_train:,} train, {found.n_validation:,} validation, digest {found.digest[:12]}")
        print("rules: " + ", ".join(f"{key} {value}" for key, value in found.rules.to_builtins().items()))
        _print_counts(found.counts)
        for row in first:
            for key, value in row.items():
                print(f"--- {key}\n{value}")

    return command


def _export(kind: SetKind) -> Callable[..., None]:
    def command(
        name: NameArgument,
        output: Annotated[
            str, typer.Option("-o", "--output", help=".jsonl, .jsonl.gz, .jsonl.zst or .parquet; - is stdout.")
        ] = "-",
        split: Annotated[str, typer.Option("--split", help="train or validation.")] = "train",
        folder: Annotated[
            Path | None, typer.Option("--folder", help="Both splits, as a folder for datasets.load_dataset.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Write a set's rows with TRL's column names."""
        from rprm_jobs.services.training import export

        with connected() as context:
            if folder is not None:
                done = export.export_folder(context, name, kind, folder, _with_bar)
            else:
                done = export.export_file(context, name, kind, split, output, _with_bar)
        if folder is None and output == "-":
            return
        if as_json:
            print_json({"name": name, **asdict(done)})
        else:
            say(f"{', '.join(f'{count:,} rows ({split})' for split, count in done.rows.items())} in {done.output}")

    return command


def _with_bar(rows: Rows) -> Rows:
    """A bar on stderr where that is a terminal and stdout, where rows may run, is none."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        return rows
    from rich.console import Console
    from rich.progress import track

    return iter(track(rows, "writing", console=Console(stderr=True), transient=True))


def _delete(kind: SetKind) -> Callable[..., None]:
    def command(name: NameArgument, as_json: JsonOption = False) -> None:
        """Delete a set; its jobs stay, and building it again gives the same rows."""
        from rprm_jobs.services.training.sets import delete_set

        with connected() as context:
            delete_set(context, name, kind)
        if as_json:
            print_json({"name": name, "deleted": True})
        else:
            say(f"set {name} is deleted; its jobs stay")

    return command
