"""What a worker does for all: it settles lapsed leases and those of dead workers, notifies of ready shards, and creates
dependent jobs.

Each in a loop of its own, so that a long copy delays no sweep and no error of one stops the other.
"""

from __future__ import annotations

import logging

from rprm_jobs.errors import ConfigError, NotPermitted
from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.deaths import settle_vanished
from rprm_jobs.services.upkeep.dependents import create_dependents
from rprm_jobs.services.upkeep.sweep import notify_waiting, sweep
from rprm_jobs.store.queue import workers
from workers.meter import Meter
from workers.periodic import Periodic
from workers.store_gate import StoreGate
from workers.troubles import Troubles

_log = logging.getLogger(__name__)
# With the grace period of a dead worker, its shards are ready within seven seconds.
_DEATHS_S = 2.0


class Maintenance:
    """The loops of one worker. Any number of workers may run them."""

    def __init__(self, context: Context, worker_id: str, troubles: Troubles, gate: StoreGate, meter: Meter) -> None:
        self._context, self._worker_id, self._gate, self._meter = context, worker_id, gate, meter
        self._lacks_rights = False
        every_s = context.settings.sweep_s
        self.loops = [
            Periodic("the sweep fails", every_s, self._sweep, troubles),
            Periodic("killed workers are not noticed", min(every_s, _DEATHS_S), self._settle_vanished, troubles),
            Periodic("dependent jobs are not created", every_s, self._create_dependents, troubles),
        ]

    def start(self) -> None:
        """Begin."""
        for loop in self.loops:
            loop.start()

    def stop(self) -> None:
        """End; waits a few seconds for what is in progress."""
        for loop in self.loops:
            loop.stop()
        self._context.close_notifier()

    def _sweep(self) -> None:
        lease_s, database = self._context.settings.lease_s, self._context.database
        # While the store refuses, nobody can renew: a lapse then says nothing about its holder.
        if self._gate.steady_for(lease_s):
            sweep(database, after_start_s=lease_s)
        notify_waiting(database, self._context.notifier)
        with database.transaction() as connection:
            workers.swept(connection, self._worker_id)
        self._meter.swept()

    def _settle_vanished(self) -> None:
        settle_vanished(self._context.database, after_start_s=self._context.settings.lease_s)

    def _create_dependents(self) -> None:
        unreadable: list[ConfigError] = []
        try:
            create_dependents(self._context, unreadable=unreadable.append)
        except NotPermitted as error:
            # A worker's role may not create jobs; whoever asked for the job creates it when asked again.
            if not self._lacks_rights:
                _log.warning("dependent jobs are left to others: %s", error.what)
            self._lacks_rights = True
        if unreadable:
            # The others are created by now; this one is shown until a worker of its version comes.
            raise unreadable[0]
