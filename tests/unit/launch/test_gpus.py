"""`worker --gpus` names GPUs that are there: an unknown one would start workers on the CPU without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from rprm_jobs.cli.worker import refuse_unknown_gpus
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.gpus import Gpu, parse_gpus

LISTED = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-5a7ad6f6-6e5b-4b3c-9a3e-0b1c2d3e4f50)
  MIG 3g.40gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-86c1b2aa-0000-4b3c-9a3e-0b1c2d3e4f51)
"""


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str = LISTED, status: int = 0) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{text}EOF\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_the_list_of_nvidia_smi() -> None:
    assert [gpu.index for gpu in parse_gpus(LISTED)] == [0, None, 1]
    assert parse_gpus(LISTED)[1] == Gpu(None, "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f")
    assert parse_gpus("No devices found.\n") == []


@pytest.mark.parametrize("name", ["0", "1", "GPU-86c1", "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"])
def test_gpus_that_are_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch)
    refuse_unknown_gpus([name])


@pytest.mark.parametrize("name", ["2", "abc", "-1", "GPU-", "GPU-9", "0x0"])
def test_gpus_that_are_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match=f"there is no GPU {name}"):
        refuse_unknown_gpus(["0", name])


@pytest.mark.parametrize("status", [0, 9])
def test_a_machine_without_a_gpu(status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch, "No devices were found\n", status)
    with pytest.raises(ConfigError, match="this machine has no GPU") as refused:
        refuse_unknown_gpus(["0"])
    assert "leave out --gpus" in refused.value.hint
