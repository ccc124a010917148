"""Engine processes are out of reach of a signal to the worker's process group."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from multiprocessing import util
from multiprocessing.connection import Connection

from workers.engines.vllm.sessions import own_sessions


def report(pipe: Connection) -> None:
    """In the child: say where it is, and end when the parent says so."""
    pipe.send((os.getpid(), os.getpgid(0), os.getsid(0)))
    pipe.recv()


def test_a_spawned_child_leads_its_own_session_and_outlives_signals_to_the_group() -> None:
    context, original = multiprocessing.get_context("spawn"), util.spawnv_passfds
    ours, theirs = context.Pipe()
    child = context.Process(target=report, args=(theirs,))
    with own_sessions():
        child.start()
    assert util.spawnv_passfds is original
    theirs.close()
    pid, group, session = ours.recv()
    assert (group, session) == (pid, pid)
    assert group != os.getpgid(0)
    ours.send("end")
    child.join(20)
    assert child.exitcode == 0


def test_a_child_that_is_started_otherwise_stays_in_the_group() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=report, args=(theirs,))
    child.start()
    theirs.close()
    assert ours.recv()[1] == os.getpgid(0)
    child.terminate()
    child.join(20)
    assert child.exitcode == -signal.SIGTERM


def test_descriptors_are_passed_and_no_others() -> None:
    reading, writing = os.pipe()
    try:
        code = f"import os; os.write({writing}, b'here'); os.close({writing})"
        with own_sessions():
            pid = util.spawnv_passfds(sys.executable, [sys.executable, "-S", "-c", code], [writing])
        assert not os.get_inheritable(writing)
        os.waitpid(pid, 0)
        assert os.read(reading, 10) == b"here"
        with own_sessions():
            pid = util.spawnv_passfds(sys.executable, [sys.executable, "-S", "-c", code], [])
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    finally:
        os.close(reading)
        os.close(writing)
