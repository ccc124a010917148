"""The GPUs of this machine, as `nvidia-smi -L` lists them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

_LISTED = re.compile(r"^(?:GPU (?P<index>\d+)|\s+MIG .*): .*\(UUID: (?P<uuid>[\w/-]+)\)", re.MULTILINE)
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or with index None a part of one (MIG)."""

    index: int | None
    uuid: str

    def is_called(self, name: str) -> bool:
        """Whether CUDA_VISIBLE_DEVICES may name it so: by its index, or by its UUID or the start of it."""
        if name.isdecimal():
            return self.index == int(name)
        return len(name) > len("GPU-") and self.uuid.startswith(name)


def gpu_names() -> list[Gpu]:
    """All GPUs; none where nvidia-smi is missing or fails."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(listed)


def parse_gpus(listed: str) -> list[Gpu]:
    """The GPUs in the output of `nvidia-smi -L`."""
    rows = [(row["index"], row["uuid"]) for row in _LISTED.finditer(listed)]
    return [Gpu(None if index is None else int(index), uuid) for index, uuid in rows]
