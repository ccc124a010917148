"""A job's status while a command waits or watches: redrawn in a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.progress import speed, status_lines
from rprm_jobs.services.jobs.query import JobStatus, rates_between

if TYPE_CHECKING:
    from rprm_jobs.store.records import Progress as Counts

# The live display's rates are over this many polls: few enough to follow the worker, enough to be readable.
_WINDOW = 20
# Off a terminal: how often a watched job gets a line, by time in seconds and by the part that is done.
_LINE_S, _LINE_PART = 60.0, 0.05


class LiveStatus:
    """The status on stderr, redrawn with recent rates. Off a terminal: silence or, with `lines`, a line now and then.

    `coming` is as in `status_lines`.
    """

    def __init__(self, *, coming: bool = False, lines: bool = False) -> None:
        self._coming, self._lines = coming, lines
        self._said_at, self._said_part = float("-inf"), -1.0
        console = Console(stderr=True)
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._seen: deque[Counts] = deque(maxlen=_WINDOW)

    def __enter__(self) -> LiveStatus:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, status: JobStatus) -> None:
        """Draw this status."""
        recent = rates_between(status.job, status.progress, self._seen[0]) if self._seen else None
        self._seen.append(status.progress)
        if self._live:
            shown = status if recent is None else status.with_rates(recent)
            self._live.update(Text("\n".join(status_lines(shown, coming=self._coming))), refresh=True)
        elif self._lines:
            self._say_progress(status if recent is None else status.with_rates(recent))

    def _say_progress(self, status: JobStatus) -> None:
        """A line for a log: at first, whenever another twentieth is done, and after a minute at the latest."""
        now, part = time.monotonic(), status.progress.solutions / status.job.n_solutions
        if now < self._said_at + _LINE_S and part < self._said_part + _LINE_PART:
            return
        self._said_at, self._said_part = now, part
        done = f"{status.progress.solutions:,} of {status.job.n_solutions:,} solutions"
        say(f"job {status.job.id} {status.state.value}: {part:.0%}, {done}; {speed(status)}")
