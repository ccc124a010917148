"""What every engine's tests share: a judge made on the spot, one event loop a module, and hostile rollouts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rprm_jobs.judge.resolve import Judge, resolve_judge
from tests.support.judges import build_drilled_judge

# No test may look a model up: what is not in a folder is not there.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# vLLM has helpers of its sampler compiled even when it runs eagerly: 18 s of C++ a load, for 2% in speed.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")


@pytest.fixture(scope="session")
def drilled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a judge that writes one kind of critique; do not change it."""
    return build_drilled_judge(tmp_path_factory.mktemp("judges") / "drilled")


@pytest.fixture(scope="session")
def drilled(drilled_folder: Path) -> Judge:
    """That judge, resolved."""
    return resolve_judge(str(drilled_folder))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """The one event loop of a module's engine."""
    with asyncio.Runner() as runner:
        yield runner
