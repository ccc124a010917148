"""Runs a judge's Python where it can do little harm: in a process of its own that is shut in before the code begins.

Linux only. No environment, so no key or URL of the worker; a network namespace without a network; files: Python and the
system's libraries to read, an empty folder to write; no further processes, no signals to others; limits on memory, time
and output; and it dies with the worker. Where the kernel refuses any of this, nothing is run (`workers.sandbox_boot`).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rprm_jobs.errors import Refused

MEMORY_BYTES = 1 << 30
OUTPUT_BYTES = 16_384
_BOOT = Path(__file__).with_name("sandbox_boot.py")
_NOT_SHUT_IN = 97


async def run_python(code: str, *, seconds: float, earlier: Sequence[str] = ()) -> str:
    """What `code` prints, at most OUTPUT_BYTES of it, or which error it raises, in the words of GenPRM's own code.

    It goes on with the names that the `earlier` code leaves, which is run before it, in the same time, and not shown.
    Raises Refused where this machine cannot shut a process in.
    """
    return await asyncio.to_thread(_run, [*earlier, code], seconds)


def _run(blocks: list[str], seconds: float) -> str:
    with tempfile.TemporaryDirectory(prefix="rprm-code-") as folder:
        output, errors, work = (Path(folder) / name for name in ("output", "errors", "work"))
        work.mkdir()
        limits = [str(max(1, round(seconds)) + 1), str(MEMORY_BYTES), str(OUTPUT_BYTES)]
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(_BOOT), *limits],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=work,
                env={},
                start_new_session=True,
            )
            ended = _wait(process, blocks, seconds)
        if process.returncode == _NOT_SHUT_IN:
            reason = errors.read_text(encoding="utf-8", errors="replace")
            raise Refused(f"the judge's code is not run, since this machine cannot shut it in: {reason}")
        printed = output.read_bytes().decode("utf-8", errors="replace").rstrip()
    if not ended:
        return "Code execute time out: Code execution timed out"
    return printed if printed or not process.returncode else f"stopped by the system (status {process.returncode})"


def _wait(process: subprocess.Popen[bytes], blocks: list[str], seconds: float) -> bool:
    """Whether it ended by itself in time; in any case it has ended when this returns."""
    try:
        process.communicate(json.dumps(blocks).encode(), timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    finally:
        process.kill()
        process.wait()
    return True
