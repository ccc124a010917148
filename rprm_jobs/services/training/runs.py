"""A training run as it is written down while it goes, and as it is listed.

Training outlives a restart of Postgres: an entry waits for it, and one that cannot be made in that time ends the run
with an error rather than leaving it unrecorded.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rprm_jobs.errors import StoreError
from rprm_jobs.services.context import Context
from rprm_jobs.services.retry import retry_transaction
from rprm_jobs.store.training import runs
from rprm_jobs.store.training.runs import Logged, NewRun, Run

_RETRY_FOR_S = 600.0
_SEEN_EVERY_S = 30.0
VALIDATION_PREFIX = "eval_"


def place(folder: Path) -> tuple[str, str]:
    """Host and absolute folder: what a run is known by."""
    return socket.gethostname(), str(folder.expanduser().resolve())


class RunRecord:
    """One run's entry in the store, from its start to `finish`. In between a thread says every 30 s that it goes on."""

    def __init__(self, context: Context, run: NewRun, *, resumed: bool) -> None:
        self._context = context

        def start() -> int:
            with context.database.transaction() as connection:
                return runs.start(connection, run, resumed=resumed)

        self.id = retry_transaction(start, for_s=_RETRY_FOR_S)
        self._ended = threading.Event()
        threading.Thread(target=self._stay_seen, name="training-run", daemon=True).start()

    def _stay_seen(self) -> None:
        while not self._ended.wait(_SEEN_EVERY_S):
            # Seen once more half a minute later is early enough.
            with suppress(StoreError), self._context.database.transaction() as connection:
                runs.seen(connection, self.id)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep what the trainer logged at optimiser step `step`; names of validation metrics begin with `eval_`."""
        validation = any(name.startswith(VALIDATION_PREFIX) for name in metrics)
        logged = Logged(step, validation, dict(metrics))

        def log() -> None:
            with self._context.database.transaction() as connection:
                runs.log(connection, self.id, logged)

        retry_transaction(log, for_s=_RETRY_FOR_S)

    def finish(self, error: str | None = None) -> None:
        """The run ended, with `error` if it failed."""
        self._ended.set()

        def finish() -> None:
            with self._context.database.transaction() as connection:
                runs.finish(connection, self.id, error)

        retry_transaction(finish, for_s=_RETRY_FOR_S)


def list_runs(context: Context) -> list[Run]:
    """Every run, newest first."""
    with context.database.transaction() as connection:
        return runs.list_all(connection)


def get_run(context: Context, run_id: int) -> tuple[Run, Sequence[Logged]]:
    """The run and all its metrics. Raises NotFound."""
    with context.database.transaction() as connection:
        return runs.get(connection, run_id), runs.metrics(connection, run_id)
