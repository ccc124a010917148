"""A job's status while a command waits or watches: redrawn in a terminal, else a line now and then."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.plots import strip
from rprm_jobs.cli.shared.progress import speed, status_lines
from rprm_jobs.services.jobs.query import JobStatus, rates_between
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.store.records import Progress as Counts

# The live display's rates are over this many polls: few enough to follow the worker, enough to be readable.
_WINDOW = 20
# Off a terminal: how often a watched job gets a line, by time in seconds and by the part that is done.
_LINE_S, _LINE_PART = 60.0, 0.05
# The strip of speeds: seconds of a cell, and cells, which make five minutes.
_CELL_S, _CELLS = 10.0, 30


class SpeedStrip:
    """The speed of the last minutes, one character for every few seconds, the newest at the right."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._last = 0
        self._cells: dict[int, int] = {}

    def add(self, now: float, tokens: int) -> None:
        """At `now` (in seconds) so many tokens were generated in all."""
        if self._started is None:
            self._started, self._last = now, tokens
            return
        cell = int((now - self._started) / _CELL_S)
        self._cells[cell] = self._cells.get(cell, 0) + max(0, tokens - self._last)
        self._last = tokens
        for old in [known for known in self._cells if known <= cell - _CELLS]:
            del self._cells[old]

    def lines(self) -> list[str]:
        """The strip with its largest speed; nothing before there are two cells."""
        if len(self._cells) < 2:
            return []
        newest = max(self._cells)
        values = [self._cells.get(cell, 0) / _CELL_S for cell in range(max(0, newest - _CELLS + 1), newest + 1)]
        return [f"  {strip(values)}  last {_span(len(values) * _CELL_S)}, at most {max(values):,.0f} tokens/s"]


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


_STATE_STYLES = {"queued": "yellow", "running": "cyan", "done": "green", "cancelled": "red"}


def coloured(lines: list[str], status: JobStatus) -> Text:
    """The lines for a terminal: the state in its colour, failures and troubles in red."""
    text = Text("\n".join(lines))
    text.highlight_words([f" {status.state.value} "], _STATE_STYLES[status.state.value])
    text.highlight_regex("[█▁▂▃▄▅▆▇]+", "cyan")
    text.highlight_regex(r"(failed|quarantined) [1-9][\d,]*", "red")
    text.highlight_regex(r"(?m)^  (last error|since |no worker).*", "red")
    text.highlight_regex(r"(?m)^  log .*", "dim")
    return text


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
        self._strip = SpeedStrip()

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
            self._strip.add(time.monotonic(), status.progress.tokens)
            lines = [*status_lines(shown, coming=self._coming), *self._strip.lines()]
            self._live.update(coloured(lines, status), refresh=True)
        elif self._lines:
            self._say_progress(status if recent is None else status.with_rates(recent))

    def _say_progress(self, status: JobStatus) -> None:
        """A line for a log: at first, whenever another twentieth is done, and after a minute at the latest."""
        now, part = time.monotonic(), status.progress.solutions / status.job.n_solutions
        if now < self._said_at + _LINE_S and part < self._said_part + _LINE_PART:
            return
        self._said_at, self._said_part = now, part
        done = f"{status.progress.solutions:,} of {counted(status.job.n_solutions, 'solution')}"
        say(f"job {status.job.id} {status.state.value}: {part:.0%}, {done}; {speed(status)}")
