"""What can happen to workers, servers and links in the storm: each fault is a method, undone by itself if need be."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from benchmarks.storm_server_faults import JudgeServer
from benchmarks.storm_store import StoreFaults
from rprm_jobs import local
from rprm_jobs.broker import Notifier
from rprm_jobs.errors import RprmError
from rprm_jobs.local.paths import find_paths
from rprm_jobs.settings import Settings
from rprm_jobs.store.session import Database
from tests.support.proxy import Proxy
from tests.support.store import run


@dataclass
class Fleet:
    """Workers that are started again whenever they end: one for each of `arguments`, which are those of a worker."""

    arguments: Sequence[tuple[str, ...]]
    env: Mapping[str, str]
    log: Path
    exits: dict[int, int] = field(default_factory=dict)
    _processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def tend(self) -> None:
        """Start what is missing, and count how the others ended."""
        for number, arguments in enumerate(self.arguments):
            process = self._processes.get(number)
            if process is not None and process.poll() is not None:
                self.exits[process.returncode] = self.exits.get(process.returncode, 0) + 1
                process = None
            if process is None:
                self._processes[number] = self._start(arguments)

    def _start(self, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "workers", *arguments, "--log-level", "warning"]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=dict(self.env), stdout=log, stderr=log, start_new_session=True)

    def send(self, rng: random.Random, number: signal.Signals) -> int:
        """Signal one of them; its pid."""
        process = rng.choice(list(self._processes.values()))
        process.send_signal(number)
        return process.pid

    def stop(self) -> list[int]:
        """Ask all to stop; their exit statuses."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        return [process.wait(60) for process in self._processes.values()]


class Faults:
    """Draws faults. `side` submits a job, cancels it, and submits it again."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        fleet: Fleet,
        proxies: Mapping[str, Proxy],
        side: Callable[[], None],
        store: StoreFaults,
        server: JudgeServer,
        rng: random.Random,
    ) -> None:
        self._settings, self._database, self._fleet = settings, database, fleet
        self._postgres, self._redis = proxies["postgres"], proxies["redis"]
        self._side, self._rng = side, rng
        self.kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "worker killed": (6, self.kill),
            "worker stopped past its lease": (2, self.freeze),
            "worker asked to stop": (3, self.ask),
            "redis killed": (1, self.kill_redis),
            "redis flushed": (2, self.flush_redis),
            "redis frozen": (1, self.freeze_redis),
            "postgres restarted": (1, self.restart_postgres),
            "backends terminated": (3, self.terminate),
            "connections dropped": (2, self.drop),
            "links silent": (1, self.silence),
            "answers to COMMIT lost": (3, self.lose_answers),
            "notifications doubled": (2, self.double_notifications),
            "job cancelled and resubmitted": (1, self._side),
            "disk full": (2, store.fill_disk),
            "privileges revoked": (2, store.revoke),
            "rubbish for the sweeper": (1, store.store_rubbish),
            "judge's server restarted": (2, server.restart),
            "judge's server frozen": (1, server.freeze),
            "judge's server overloaded or away": (2, server.refuse_all),
            "answers of the judge's server cut": (3, server.cut),
            "answers of the judge's server without usage": (1, server.leave_out_usage),
        }
        if store.has_pooler:
            self.kinds["pooler restarted"] = (2, store.restart_pooler)

    def strike(self, name: str | None = None) -> str:
        """Do this one, by default one that is drawn; its name."""
        if name is None:
            weights = [weight for weight, _ in self.kinds.values()]
            name = self._rng.choices(list(self.kinds), weights)[0]
        self.kinds[name][1]()
        return name

    def kill(self) -> None:
        self._fleet.send(self._rng, signal.SIGKILL)

    def freeze(self) -> None:
        pid = self._fleet.send(self._rng, signal.SIGSTOP)
        time.sleep(self._settings.lease_s * 1.3)
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGCONT)

    def ask(self) -> None:
        self._fleet.send(self._rng, self._rng.choice((signal.SIGTERM, signal.SIGINT)))

    def kill_redis(self) -> None:
        self._down(int((find_paths(self._settings.home).base / "redis.pid").read_text()), signal.SIGKILL)

    def freeze_redis(self) -> None:
        pid = int((find_paths(self._settings.home).base / "redis.pid").read_text())
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2.0)
        os.kill(pid, signal.SIGCONT)

    def flush_redis(self) -> None:
        with redis.Redis.from_url(self._settings.redis_url or "") as client:
            client.flushall()

    def restart_postgres(self) -> None:
        pid = int((find_paths(self._settings.home).postgres / "data" / "postmaster.pid").read_text().split()[0])
        self._down(pid, signal.SIGQUIT)

    def _down(self, pid: int, how: signal.Signals) -> None:
        process = psutil.Process(pid)
        os.kill(pid, how)
        psutil.wait_procs([process], timeout=20)
        time.sleep(self._rng.uniform(0.0, 1.0))
        local.ensure_services(Settings(home=self._settings.home))

    def terminate(self) -> None:
        run(
            self._database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'rprm-jobs %'"
            " AND pid <> pg_backend_pid()",
        )

    def drop(self) -> None:
        self._rng.choice((self._postgres, self._redis)).hang_up()

    def silence(self) -> None:
        link = self._rng.choice((self._postgres, self._redis))
        link.silent.set()
        time.sleep(1.0)
        link.silent.clear()

    def lose_answers(self) -> None:
        self._postgres.lose_answers = self._rng.randint(1, 4)

    def double_notifications(self) -> None:
        ready = run(self._database, "SELECT id, queue FROM shards WHERE state IN ('ready', 'leased') LIMIT 20")
        notifier = Notifier(self._settings.redis_url or "")
        try:
            for row in ready:
                notifier.notify(row.queue, [row.id] * 3)
        except RprmError:
            # Redis is away just now: one notification less.
            pass
        finally:
            notifier.close()
