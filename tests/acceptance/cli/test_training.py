"""Training from the command line: a set, a run that is listed, and a folder that is a judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.judge.resolve import resolve_judge
from tests.support.command_line import Cli

pytestmark = [pytest.mark.acceptance, pytest.mark.engine, pytest.mark.slow]

TINY = resolve_judge("tiny")
SHORT = ["--judge", "tiny", "--steps", "4", "--batch", "2", "--accumulation", "2", "--evaluate-every", "2",
         "--evaluate-rows", "4", "--log-every", "1", "--learning-rate", "1e-4"]  # fmt: skip


@pytest.fixture
def job(cli: Cli, tmp_path: Path) -> str:
    """Critiques of labelled steps by the scripted judge."""
    rows = [
        {"id": f"p-{i}", "problem": f"{i} plus 1?", "steps": [f"{i} + 1 = {i + 1}.", "Yes."], "label": i % 3 - 1}
        for i in range(40)
    ]
    (tmp_path / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    short = ("--engine-arg", "text_chars=120")
    return str(cli.json("sample", "labelled.jsonl", "--judge", "scripted", "-k", "6", *short, "--wait")["job_id"])


def build(cli: Cli, kind: str, job: str) -> None:
    prompt = str(Path(TINY.location) / "prompt.txt")
    cli(kind, "build", job, "--name", kind, "--validation", "0.2", "--prompt", prompt)


def test_preferences_to_a_judge(cli: Cli, job: str, tmp_path: Path) -> None:
    build(cli, "pairs", job)
    arguments = ["train", "dpo", "--set", "pairs", "--out", "runs/better", *SHORT]
    refused = cli(*arguments, code=3).stderr
    assert "written by scripted" in refused
    assert "--off-policy" in refused
    assert cli.json("runs") == []

    told = cli.json(*arguments, "--off-policy")
    (run,) = cli.json("runs")
    assert (run["id"], run["phase"], run["state"], run["step"]) == (told["run"], "dpo", "done", 4)
    assert (run["judge"], run["data"], run["n_train"]) == ("tiny", "pairs", told["data"]["train"])
    assert run["data_digest"] == cli.json("pairs", "show", "pairs")["digest"]
    assert run["folder"] == str(tmp_path / "runs" / "better")
    log = cli.json("runs", str(run["id"]))["log"]
    assert [(e["step"], e["validation"]) for e in log if "loss" in e["metrics"] or e["validation"]] == [
        (1, False), (2, False), (2, True), (3, False), (4, False), (4, True),
    ]  # fmt: skip
    assert "rewards/margins" in log[0]["metrics"]
    assert "dpo of tiny, done, step 4/4" in cli("runs", str(run["id"])).stdout

    judge = resolve_judge(str(tmp_path / "runs" / "better"))
    assert judge.fingerprint != TINY.fingerprint
    assert (judge.template, judge.sampling) == (TINY.template, TINY.sampling)
    assert {path.name for path in (tmp_path / "runs" / "better").iterdir()} >= {"model.safetensors", "run.json"}
    assert not (tmp_path / "runs" / "better" / "checkpoints").exists()
    assert "there is a judge already" in cli(*arguments, code=2).stderr


def test_imitation_with_an_adapter(cli: Cli, job: str, tmp_path: Path) -> None:
    build(cli, "sft", job)
    done = cli("train", "sft", "--set", "sft", "--out", "cold", *SHORT, "--lora-rank", "4")
    assert done.stdout == "cold\n"
    assert "rprm-jobs runs 1" in done.stderr
    card = json.loads((tmp_path / "cold" / "adapter" / "adapter_config.json").read_text())
    assert card["r"] == 4
    assert not (tmp_path / "cold" / "adapter" / "training_args.bin").exists()
    adapted, whole = (resolve_judge(str(tmp_path / "cold" / part)) for part in ("adapter", ""))
    assert (adapted.name, adapted.location) == ("cold-adapter", TINY.location)
    assert (adapted.template, adapted.sampling) == (whole.template, whole.sampling)
    assert len({adapted.fingerprint, whole.fingerprint, TINY.fingerprint}) == 3
    refused = cli("train", "sft", "--set", "sft", "--out", "colder", *SHORT, "--judge", "cold/adapter", code=4).stderr
    assert "training begins from a whole model" in refused
    (tmp_path / "one.jsonl").write_text('{"id": "a", "problem": "2 plus 1?", "steps": ["2 + 1 = 3."]}\n')
    cli("submit", "one.jsonl", "--judge", "cold/adapter", "-k", "1", "--wait", "--engine", "transformers")
    (judged,) = [row for row in cli.json("jobs") if row["judge"] == "cold-adapter"]
    assert judged["judge_path"] == str(tmp_path / "cold" / "adapter")
    before, after = (tensors(Path(folder)) for folder in (TINY.location, tmp_path / "cold"))
    assert before.keys() == after.keys()
    changed = {name for name in before if not (before[name] == after[name]).all()}
    assert changed
    assert all("proj" in name for name in changed)
    assert {after[name].dtype for name in after} == {before[name].dtype for name in before}


def test_two_processes_share_a_step_and_write_once(cli: Cli, job: str, tmp_path: Path) -> None:
    build(cli, "pairs", job)
    arguments = ["train", "dpo", "--set", "pairs", "--out", "two", *SHORT, "--off-policy", "--processes", "2"]
    told = cli.json(*arguments)
    (run,) = cli.json("runs")
    assert (run["state"], run["step"]) == ("done", 4)
    (summary,) = [entry for entry in told["log"] if "train_samples_per_second" in entry]
    # 2 processes, 2 pairs, 2 times, 4 steps.
    assert round(summary["train_samples_per_second"] * summary["train_runtime"]) == 2 * 2 * 2 * 4
    assert resolve_judge(str(tmp_path / "two")).fingerprint != TINY.fingerprint


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_run_that_fails_is_listed_with_its_error(cli: Cli, job: str, tmp_path: Path) -> None:
    build(cli, "sft", job)
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in Path(TINY.location).iterdir():
        (broken / path.name).write_bytes(
            path.read_bytes()[:1000] if path.suffix == ".safetensors" else path.read_bytes()
        )
    cli("train", "sft", "--set", "sft", "--out", "x", *SHORT, "--judge", str(broken), code=4)
    (run,) = cli.json("runs")
    assert run["state"] == "failed"
    assert "weights cannot be loaded" in run["error"]


def test_a_name_that_nobody_knows_is_refused_before_anything_is_spent(cli: Cli, job: str) -> None:
    build(cli, "sft", job)
    arguments = ["train", "sft", "--set", "sft", "--out", "x", *SHORT]
    assert "say one of linear, cosine" in cli(*arguments, "--schedule", "circular", code=2).stderr
    assert cli.json("runs") == []


def test_what_cannot_be_is_refused_with_its_hint(cli: Cli) -> None:
    assert "name either --set NAME or --data PATH" in cli("train", "dpo", "--out", "x", code=2).stderr
    assert "there is no set 'x'" in cli("train", "dpo", "--set", "x", "--out", "x", code=4).stderr
    assert "--learning-rat" in cli("train", "sft", "--learning-rat", "1", "--out", "x", code=2).stderr
    assert "accelerate config" in cli("train", "sft", "--accelerate-config", "none.yaml", code=2).stderr
    assert "--learning-rate" in cli("train", "sft", "--help").stdout
    assert "there is no run 7" in cli("runs", "7", code=4).stderr
