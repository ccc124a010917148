"""Whether an optional library or a GPU is there, without importing anything heavy."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from rprm_jobs.errors import MissingExtra


def has_module(name: str) -> bool:
    """Whether `import name` would find something; imports nothing."""
    return find_spec(name) is not None


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA or AMD GPU; CUDA is not touched, so a later fork stays safe."""
    return shutil.which("nvidia-smi") is not None or any(Path(p).exists() for p in ("/dev/nvidia0", "/dev/kfd"))


def require(module: str, *, engine: str, extra: str) -> None:
    """Raise MissingExtra with the line that installs `module` when it is not there."""
    if not has_module(module):
        raise MissingExtra(
            f"the {engine} engine needs {module}, which is not installed",
            hint=f"pip install 'rprm-jobs[{extra}]'",
        )
