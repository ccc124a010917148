"""The process in which a judge's code runs: shuts itself in, then runs what it reads from stdin. See `workers.sandbox`.

Started as a script by an isolated Python, so it imports nothing of the project. Stdin: a JSON list of code, of which
the last is shown. Arguments: seconds of processor time, bytes of memory, bytes of output. Exits with 97, and the reason
on stderr, where the kernel refuses any of it.
"""

import contextlib
import ctypes
import io
import json
import os
import platform
import resource
import signal
import struct
import sys
from pathlib import Path

_NOT_SHUT_IN = 97
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES, _PARENT_DEATH, _SECCOMP = 38, 1, 22
# Landlock, version 1: execute, read files, read folders; and all of its 13 rights.
_READ, _ALL = 0b1101, (1 << 13) - 1
# fork, vfork, clone, clone3, execve, execveat, kill, tkill, tgkill, ptrace, process_vm_writev, pidfd_send_signal,
# pidfd_open, unshare, setns, mount, bpf: by machine, with the code of its calls.
_FORBIDDEN = {
    "x86_64": (0xC000003E, (57, 58, 56, 435, 59, 322, 62, 200, 234, 101, 311, 424, 434, 272, 308, 165, 321)),
    "aarch64": (0xC00000B7, (220, 435, 221, 281, 129, 130, 131, 117, 271, 424, 434, 97, 268, 40, 280)),
}
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        os.write(2, f"{what}: {os.strerror(ctypes.get_errno())}".encode())
        os._exit(_NOT_SHUT_IN)
    return result


def _leave_the_network() -> None:
    _check(_libc.unshare(_NEW_USER | _NEW_NETWORK), "no namespace of its own")


def _limit(seconds: int, memory: int, output: int) -> None:
    limits = {"AS": memory, "CPU": seconds, "FSIZE": output, "NOFILE": 64, "CORE": 0}
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def _close_the_files(folder: str) -> None:
    """Nothing can be read but Python itself and the system's libraries, and nothing written but in `folder`."""
    attributes = struct.pack("Q", _ALL)
    ruleset = _check(_libc.syscall(444, attributes, len(attributes), 0), "no Landlock")
    readable = {
        sys.prefix,
        sys.base_prefix,
        str(Path(sys.executable).resolve().parent),
        "/usr",
        "/lib",
        "/lib64",
    }
    for path, rights in (*((path, _READ) for path in readable), (folder, _ALL)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            handle = os.open(path, os.O_PATH)
            _check(_libc.syscall(445, ruleset, 1, struct.pack("=Qi", rights, handle), 0), path)
            os.close(handle)
    _check(_libc.syscall(446, ruleset, 0), "no Landlock")
    os.close(ruleset)


def _forbid_processes() -> None:
    """A filter of system calls: no process is started, entered or signalled."""
    machine = platform.machine()
    if machine not in _FORBIDDEN:
        os.write(2, f"no filter of system calls is known for {machine}".encode())
        os._exit(_NOT_SHUT_IN)
    code, forbidden = _FORBIDDEN[machine]
    count = len(forbidden)
    program = [(0x20, 0, 0, 4), (0x15, 1, 0, code), (0x06, 0, 0, 0x00050001), (0x20, 0, 0, 0)]
    program += [(0x15, count - at, 0, number) for at, number in enumerate(forbidden)]
    program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050001)]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    pointer = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(packed))
    _check(_libc.prctl(_SECCOMP, 2, pointer, 0, 0), "no filter of system calls")


def main() -> None:
    """Read the code, shut the process in, run it."""
    seconds, memory, output = map(int, sys.argv[1:4])
    blocks = json.loads(sys.stdin.read())
    _libc.prctl(_PARENT_DEATH, signal.SIGKILL)
    _leave_the_network()
    _limit(seconds, memory, output)
    _check(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    _close_the_files(str(Path.cwd()))
    _forbid_processes()
    names: dict[str, object] = {"__name__": "__main__"}
    for code in blocks:
        printed = _run(code, names)
    os.write(1, printed.strip().encode("utf-8", errors="replace")[:output])


def _run(code: str, names: dict[str, object]) -> str:
    """What the code prints; if it raises an error that alone, in the words of GenPRM's own code."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "<code>", "exec"), names)
    except SystemExit:
        pass
    # Whatever the code raises is what the judge is shown.
    except BaseException as error:  # noqa: BLE001
        return f"Code execute Error: {type(error).__name__}: {error}"
    return printed.getvalue()


if __name__ == "__main__":
    main()
