"""The command line: parses, calls a service, prints. Heavy imports stand inside the commands, so that --help is quick.

Data goes to stdout, messages and progress to stderr. Every error is one message with a hint, and an exit status.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from rprm_jobs import __version__
from rprm_jobs.cli import (
    audit,
    control,
    demo,
    doctor,
    estimate,
    eval,
    improve,
    judges,
    pairs,
    parity,
    report,
    results,
    rollout,
    runs,
    sample,
    search,
    servers,
    sft,
    status,
    stopping,
    submit,
    train,
    worker,
)
from rprm_jobs.cli.shared.command import Group
from rprm_jobs.cli.shared.common import State, say, show_error
from rprm_jobs.errors import RprmError

_BROKEN_PIPE = 141

app = typer.Typer(
    name="rprm-jobs",
    help="Judge the steps of sampled solutions offline with a reasoning process reward model.",
    no_args_is_help=True,
    cls=Group,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _global(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.ensure_object(State).debug = debug
    if debug:
        import logging

        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)


COMMANDS = (
    demo, submit, rollout, search, estimate, status, control, results, report, eval, stopping, audit, parity, sample,
    sft, pairs, train, runs, improve, worker, judges, servers, doctor,
)  # fmt: skip
for module in COMMANDS:
    module.register(app)


def main() -> None:
    """Run the command line and exit."""
    state = State()
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding lacks is shown escaped, and stops nothing.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            app(obj=state)
        finally:
            sys.stdout.flush()
    except RprmError as error:
        if state.debug:
            raise
        show_error(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _leave_closed_pipe()
    except SystemExit as exit_:
        # Typer answers a closed pipe by itself, with a status of its own.
        if isinstance(exit_.__context__, BrokenPipeError):
            _leave_closed_pipe()
        raise
    except Exception as error:
        # An error that nobody foresaw is one message too.
        if state.debug:
            raise
        say(f"error: {type(error).__name__}: {error}\n  hint: rprm-jobs --debug shows where it happened")
        sys.exit(RprmError.exit_code)


def _leave_closed_pipe() -> NoReturn:
    # The reader (`head`, for example) has stopped reading; what is still buffered must not fail again at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(_BROKEN_PIPE)
