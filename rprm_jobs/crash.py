"""Named crash points, so that tests can kill a process between two statements. Without RPRM_CRASH_AT they do nothing.

`RPRM_CRASH_AT=record.before-commit` dies at the first passage, `record.before-commit:3` at the third, and
`record.after-fence:1:stop` stops the process (SIGSTOP) there instead, as a frozen machine would.
"""

from __future__ import annotations

import os
import signal

_passages: dict[str, int] = {}


def crash_point(name: str) -> None:
    """Die here without any clean-up when the environment names this point."""
    wanted = os.environ.get("RPRM_CRASH_AT")
    if not wanted:
        return
    point, _, rest = wanted.partition(":")
    if point != name:
        return
    count, _, how = rest.partition(":")
    _passages[name] = _passages.get(name, 0) + 1
    if _passages[name] != int(count or 1):
        return
    if how == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        os._exit(137)
