"""The command line: parses, calls a service, prints. Heavy imports stand inside the commands, so that --help is quick.

Data goes to stdout, messages and progress to stderr. Every error is one message with a hint, and an exit status.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from rprm_jobs import __version__
from rprm_jobs.cli import (
    audit,
    calibrate,
    compare,
    control,
    demo,
    doctor,
    estimate,
    eval,
    help,
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
    workers,
)
from rprm_jobs.cli.shared.command import Group
from rprm_jobs.cli.shared.common import State, say
from rprm_jobs.cli.shared.failing import explained, show_error
from rprm_jobs.cli.shared.streams import flush_output, leave_broken_pipe, prepare_streams
from rprm_jobs.errors import ConfigError

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
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and debug messages; may stand anywhere.")
    ] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    state = context.ensure_object(State)
    state.debug = state.debug or debug
    if state.debug:
        import logging

        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)


COMMANDS = (
    demo, inspect, submit, rollout, search, estimate, status, control, results, report, compare, eval, calibrate,
    stopping, audit, parity, push, sample, sft, pairs, train, runs, improve, worker, workers, serve, token, judges,
    servers, doctor, help,
)  # fmt: skip
for module in COMMANDS:
    module.register(app)


def main() -> None:
    """Run the command line and exit."""
    # Importing a library makes many objects and no garbage: looking for some takes a tenth of a short command's time.
    gc.set_threshold(_GARBAGE_AFTER)
    # When the process ends, what it has imported need not be searched for garbage either.
    atexit.register(gc.freeze)
    arguments, state = anywhere(sys.argv[1:])
    prepare_streams()
    try:
        try:
            status = app(args=arguments, prog_name="rprm-jobs", obj=state, standalone_mode=False)
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
        if type(error).__name__ == "NoArgsIsHelpError":
            say(str(error))
            sys.exit(ConfigError.exit_code)
        if state.debug and not isinstance(error, typer.Abort):
            raise
        failed = explained(error)
        show_error(failed, as_json=state.as_json)
        sys.exit(failed.exit_code)
    if status:
        sys.exit(status)


def anywhere(arguments: Sequence[str]) -> tuple[list[str], State]:
    """The arguments without --debug, which may stand anywhere before `--`, and what is to be known before parsing."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    before, after = arguments[:end], arguments[end:]
    state = State(debug="--debug" in before, as_json="--json" in before)
    return [*(word for word in before if word != "--debug"), *after], state
