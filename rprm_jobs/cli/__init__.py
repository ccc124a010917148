"""The command line: parses, calls a service, prints. Heavy imports stand inside the commands, so that --help is quick.

Data goes to stdout, messages and progress to stderr. Every error is one message with a hint, and an exit status.
"""

from __future__ import annotations

import atexit
import gc
import sys
from typing import Annotated

import typer

from rprm_jobs import __version__
from rprm_jobs.cli import (
    audit,
    compare,
    control,
    demo,
    doctor,
    estimate,
    eval,
    improve,
    inspect,
    judges,
    pairs,
    parity,
    push,
    report,
    results,
    rollout,
    runs,
    sample,
    search,
    serve,
    servers,
    sft,
    status,
    stopping,
    submit,
    token,
    train,
    worker,
)
from rprm_jobs.cli.shared.command import Group
from rprm_jobs.cli.shared.common import State, say, show_error
from rprm_jobs.cli.shared.streams import flush_output, leave_broken_pipe, output_error, prepare_streams
from rprm_jobs.errors import ConfigError, RprmError

_GARBAGE_AFTER = 100_000

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
    demo, inspect, submit, rollout, search, estimate, status, control, results, report, compare, eval, stopping, audit,
    parity, push, sample, sft, pairs, train, runs, improve, worker, serve, token, judges, servers, doctor,
)  # fmt: skip
for module in COMMANDS:
    module.register(app)


def main() -> None:
    """Run the command line and exit."""
    # Importing a library makes many objects and no garbage: looking for some takes a tenth of a short command's time.
    gc.set_threshold(_GARBAGE_AFTER)
    # When the process ends, what it has imported need not be searched for garbage either.
    atexit.register(gc.freeze)
    state = State()
    prepare_streams()
    try:
        try:
            app(obj=state)
        finally:
            flush_output()
    except BrokenPipeError:
        leave_broken_pipe()
    except SystemExit as exit_:
        # Typer catches a closed pipe and exits with a status of its own.
        if isinstance(exit_.__context__, BrokenPipeError):
            leave_broken_pipe()
        raise
    except Exception as error:
        if state.debug:
            raise
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Print what went wrong, in one message; returns the exit status."""
    if isinstance(error, OSError):
        error = output_error(error) or error
    if isinstance(error, UnicodeEncodeError):
        # Not the text itself: it may be a URL with a password.
        error = ConfigError("a name or a setting is not in UTF-8", hint="rename the file or folder")
    if isinstance(error, RprmError):
        show_error(error)
        return error.exit_code
    # An error that nobody foresaw is one message too.
    say(f"error: {type(error).__name__}: {error}\n  hint: rprm-jobs --debug shows where it happened")
    return RprmError.exit_code
