"""A real `vllm serve` on a loopback port, with a small judge on the CPU."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

_START_S = 600.0
_ARGUMENTS = [
    "--host=127.0.0.1",
    "--dtype=float32",
    "--enforce-eager",
    "--no-enable-chunked-prefill",
    "--block-size=32",
    "--max-model-len=1024",
    "--max-num-seqs=64",
    "--load-format=safetensors",
    "--disable-log-stats",
]


@contextmanager
def vllm_server(judge: str, log: Path) -> Iterator[str]:
    """Its base URL. Ends the server and all its processes afterwards; its output goes to `log`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # What `vllm serve` runs; the command itself asks for a distribution named vllm, which the one for CPUs is not.
    module = "vllm.entrypoints.openai.api_server"
    command = [sys.executable, "-m", module, f"--model={judge}", f"--port={port}", *_ARGUMENTS]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            _wait(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _end(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise RuntimeError(f"vllm serve did not come up:\n{log.read_text(errors='replace')[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in below:
        if child.is_running():
            child.kill()
    psutil.wait_procs(below, timeout=10)
