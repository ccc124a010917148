"""A small process that outlives a killed worker, to tell the store that the worker died.

`python -m workers.witness WORKER_ID LOG_FORMAT` waits until its standard input says something (the worker stopped in
good order) or ends (the worker died). Servers come from the environment. It ignores signals, which a supervisor may
send to all processes of a service.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys

_log = logging.getLogger(__name__)
_RETRY_FOR_S = 60.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def start_witness(worker_id: str, log_format: str) -> subprocess.Popen[bytes]:
    """Have the death of this process reported as that of the worker."""
    command = [sys.executable, "-m", "workers.witness", worker_id, log_format]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def dismiss(witness: subprocess.Popen[bytes]) -> None:
    """End the witness of a worker that stopped in good order."""
    witness.communicate(b"x", timeout=10)


def report(worker_id: str, log_format: str) -> None:
    """Settle what the dead worker held; for a minute if need be, then leases and locks must do without."""
    from rprm_jobs.errors import StoreError
    from rprm_jobs.logs import name_worker, set_up_logs
    from rprm_jobs.services.retry import retry_transaction
    from rprm_jobs.services.upkeep.deaths import settle_dead
    from rprm_jobs.settings import load_settings
    from rprm_jobs.store.session import Database

    set_up_logs("WARNING", log_format)
    name_worker(worker_id)
    database = Database(load_settings().database_url or "", application="rprm-jobs witness", pool_size=1)
    try:
        retry_transaction(lambda: settle_dead(database, worker_id), for_s=_RETRY_FOR_S)
    except StoreError as error:
        _log.error("the death of %s was not reported: %s", worker_id, error.what)
    finally:
        database.close()


def main() -> None:
    """Wait for the end of the worker."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if not sys.stdin.buffer.read(1):
        report(*sys.argv[1:])


if __name__ == "__main__":
    main()
