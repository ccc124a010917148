"""A maintenance loop: it calls one action over and over, and no error of the action ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from workers.troubles import Troubles


class Periodic:
    """Calls `action` every `every_s` seconds in a daemon thread until stopped; an error is reported and passes."""

    def __init__(self, name: str, every_s: float, action: Callable[[], object], troubles: Troubles) -> None:
        self.name = name
        self._every_s, self._action, self._troubles = every_s, action, troubles
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def alive(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End; waits for a call in progress for a few seconds."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._action()
            except Exception as error:  # noqa: BLE001 - whatever one round meets, the next one may do without
                self._troubles.report(self.name, error)
            else:
                self._troubles.clear(self.name)
