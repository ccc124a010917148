"""The tiny judges' recipe in its reduced form, through the real job system: teacher, queue, workers, sets, training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from rprm_jobs.judge.resolve import resolve_judge

pytestmark = [pytest.mark.acceptance, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

_BUILD = """
import json, sys
from pathlib import Path
from training.tiny import SMALL, build
print(json.dumps(build(Path(sys.argv[1]), SMALL, base=Path(sys.argv[2]))))
"""


def build(out: Path, env: dict[str, str]) -> dict[str, Any]:
    base = resolve_judge("tiny").location
    command = [sys.executable, "-c", _BUILD, str(out), base]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_reduced_recipe_learns(servers_env: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "small"
    built = build(out, servers_env)
    losses = [float(entry["loss"]) for entry in built["sft"]["log"] if "loss" in entry]
    # Means of five steps of eight critiques each. A few hard critiques double such a mean (0.03 to 0.05 was seen), so
    # the halves are compared by their medians: they fell by almost a half where this was written.
    half = len(losses) // 2
    assert median(losses[half:]) < 0.9 * median(losses[:half])
    assert min(built["dpo"]["data"][split] for split in ("train", "validation")) >= 1
    accuracies = [e["eval_rewards/accuracies"] for e in built["dpo"]["log"] if "eval_rewards/accuracies" in e]
    # So few pairs cannot tell learning from luck; that preferences are learned is held by
    # tests/unit/training/test_preferences.py.
    assert accuracies
    assert all(0 <= accuracy <= 1 for accuracy in accuracies)
    sft, dpo = (resolve_judge(str(out / name)) for name in ("tiny-sft", "tiny"))
    assert sft.fingerprint != dpo.fingerprint
