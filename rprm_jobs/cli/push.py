"""`push`: results and training sets as data sets of the Hugging Face hub, with a card."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import ANSWERS, add_command, new_group
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import JobArgument, JsonOption
from rprm_jobs.cli.shared.sets import NameArgument
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.services.publishing.push import Publication

push_app = new_group("Publish rows as a data set of a hub.")

ToOption = Annotated[str, typer.Option("--to", metavar="ORG/NAME", help="The data set on the hub.")]
PrivateOption = Annotated[bool, typer.Option("--private", help="Make it private; refused where it is public already.")]
RevisionOption = Annotated[str | None, typer.Option("--revision", help="A branch, made where there is none [main].")]
LicenceOption = Annotated[
    str | None, typer.Option("--license", help="The hub's name of the licence, e.g. mit [the card says: none stated].")
]


def results(
    job: JobArgument,
    to: ToOption,
    private: PrivateOption = False,
    revision: RevisionOption = None,
    license: LicenceOption = None,
    critiques: Annotated[bool, typer.Option("--critiques", help="Add the critique texts.")] = False,
    steps: Annotated[bool, typer.Option("--steps", help="Add problem and steps.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Push a job's result rows with a card.

    The card tells the recipe, the counts, the licence, and accuracies where solutions have labels.
    """
    from rprm_jobs.services.publishing.sources import of_results

    with connected() as context:
        source = of_results(context, job, title=to, license=license, critiques=critiques, steps=steps)
        _push(source, to, private, revision, as_json)


def pairs(
    name: NameArgument,
    to: ToOption,
    private: PrivateOption = False,
    revision: RevisionOption = None,
    license: LicenceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Push a set of preference pairs, both splits."""
    _push_set(name, "pairs", to, private, revision, license, as_json)


def sft(
    name: NameArgument,
    to: ToOption,
    private: PrivateOption = False,
    revision: RevisionOption = None,
    license: LicenceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Push a set of critiques to imitate, both splits."""
    _push_set(name, "sft", to, private, revision, license, as_json)


def _push_set(
    name: str, kind: str, to: str, private: bool, revision: str | None, license: str | None, as_json: bool
) -> None:
    from rprm_jobs.pairs.rules import SetKind
    from rprm_jobs.services.publishing.sources import of_set

    with connected() as context:
        source = of_set(context, name, SetKind(kind), title=to, license=license)
        _push(source, to, private, revision, as_json)


def _push(source: Publication, to: str, private: bool, revision: str | None, as_json: bool) -> None:
    from rprm_jobs.services.publishing.hub import HubTarget
    from rprm_jobs.services.publishing.push import push

    done = push(source, HubTarget(to, private, revision))
    if done.card_kept:
        say(f"{to} has a card of its own, which was left as it is")
    if as_json:
        print_json(asdict(done))
    else:
        rows = ", ".join(f"{counted(count, 'row')} ({split})" for split, count in done.rows.items())
        say(f"{rows} in {counted(done.files, 'file')}, commit {done.commit[:12]}")
        print(done.url)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(push_app, results, "rprm-jobs push results 7 --to org/scored --license mit")
    add_command(push_app, pairs, "rprm-jobs push pairs first --to org/pairs --private")
    add_command(push_app, sft, "rprm-jobs push sft cold-start --to org/critiques --revision v2")
    app.add_typer(push_app, name="push", rich_help_panel=ANSWERS)
