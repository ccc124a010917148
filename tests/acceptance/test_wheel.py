"""The built wheel works from a clean environment outside the checkout, with everything that it needs inside."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
INSIDE = [
    "rprm_jobs/_migrations/env.py",
    "rprm_jobs/_migrations/versions/0001_first_schema.py",
    "rprm_jobs/_examples/solutions.jsonl",
    "rprm_jobs/judge/prompts/default.txt",
    "rprm_jobs/judges/tiny/model.safetensors",
    "rprm_jobs/judges/tiny/tokenizer.json",
    "workers/__main__.py",
    "training/tiny.py",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; the libraries it depends on are seen in the environment of the tests."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False)
    site = next((folder / "lib").glob("python*/site-packages"))
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)],
        check=True,
    )
    # After the wheel in the path, and as a plain folder: its .pth files (an editable install) are not followed.
    (site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder


def test_everything_is_inside(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert [name for name in INSIDE if name not in names] == []
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
    assert wheel.stat().st_size < 15_000_000


def test_it_works_outside_the_checkout(
    installed: Path, servers_env: dict[str, str], empty_database_url: str, tmp_path: Path
) -> None:
    env = {k: v for k, v in servers_env.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env |= {"RPRM_DATABASE_URL": empty_database_url, "PATH": os.environ["PATH"]}

    def run(*arguments: str) -> str:
        command = [str(installed / "bin" / "rprm-jobs"), *arguments]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = [str(installed / "bin" / "python"), "-c", "import rprm_jobs; print(rprm_jobs.__file__)"]
    assert (
        str(installed)
        in subprocess.run(where, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    )
    assert run("--version").strip()
    run("db", "upgrade")
    examples = next(installed.glob("lib/python*/site-packages/rprm_jobs/_examples/solutions.jsonl"))
    out = run("submit", str(examples), "--judge", "scripted", "-k", "2", "--wait", "--json")
    assert '"state": "done"' in out
    assert '"clean": true' in run("audit", "--json")
