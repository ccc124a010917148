"""The one place that repeats a transaction. A server that restarts, or a link that breaks, costs a wait and no work.

Only StoreUnavailable (and with it CommitUnknown) is repeated; the callers' transactions are written to be repeatable.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from rprm_jobs.errors import StoreUnavailable

T = TypeVar("T")
_log = logging.getLogger(__name__)
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0


def retry_transaction(
    action: Callable[[], T],
    *,
    for_s: float,
    give_up: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Run `action`, again while Postgres is away, for at most `for_s` seconds or until `give_up()`.

    Waits double from 0.2 s to 5 s, with jitter so that many workers do not come back at once. Raises the last
    StoreUnavailable when the time is up.
    """
    deadline = time.monotonic() + for_s
    wait = _FIRST_WAIT_S
    while True:
        try:
            return action()
        except StoreUnavailable as error:
            if time.monotonic() >= deadline or give_up():
                raise
            _log.warning("Postgres is away, trying again: %s", error.what)
            sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, _LONGEST_WAIT_S)
