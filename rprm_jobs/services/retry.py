"""The one place that repeats a transaction. A server that restarts, or a link that breaks, costs a wait and no work.

Usually only StoreUnavailable (and with it CommitUnknown) is repeated; the callers' transactions are repeatable.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from rprm_jobs.errors import StoreError, StoreUnavailable

T = TypeVar("T")
_log = logging.getLogger(__name__)
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 5.0


def retry_transaction(
    action: Callable[[], T],
    *,
    for_s: float,
    give_up: Callable[[], bool] = lambda: False,
    repeat: type[StoreError] = StoreUnavailable,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Run `action`, again after an error of the kind `repeat`, for at most `for_s` seconds or until `give_up()`.

    Waits double from 0.2 s to 5 s, with jitter so that many workers do not come back at once. The first failure and
    the success after it are logged. Raises the last error when the time is up.
    """
    started = time.monotonic()
    wait, failures = _FIRST_WAIT_S, 0
    while True:
        try:
            result = action()
        except repeat as error:
            if time.monotonic() >= started + for_s or give_up():
                raise
            if not failures:
                _log.warning("trying again until it works: %s", error.what)
            failures += 1
            sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, _LONGEST_WAIT_S)
        else:
            if failures:
                _log.warning("it works again after %d tries in %.0f s", failures + 1, time.monotonic() - started)
            return result
