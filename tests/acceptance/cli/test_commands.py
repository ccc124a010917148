"""The real command line against real servers and real workers: what a user types, what comes back on which stream."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support import jobs as made
from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance


SCRIPTED = ("--judge", "scripted", "-k", "4")


def test_from_a_file_to_results_in_one_go(cli: Cli, solutions: Path) -> None:
    done = cli("submit", str(solutions), *SCRIPTED, "--wait", "--json")
    result = json.loads(done.stdout)
    assert {k: result[k] for k in ("created", "solutions", "steps", "critiques", "state", "ok", "failed")} == {
        "created": True, "solutions": 20, "steps": 60, "critiques": 240, "state": "done", "ok": 20, "failed": 0,
    }  # fmt: skip
    assert "no worker serves scripted: started one" in done.stderr
    job = str(result["job_id"])
    rows = [json.loads(line) for line in cli("results", job).stdout.splitlines()]
    assert [row["id"] for row in rows] == [f"s{i}" for i in range(20)]
    for row in rows:
        assert (row["status"], row["critiques_per_step"], row["n"]) == ("ok", [4, 4, 4], int(row["id"][1:]))
        below = [i for i, reward in enumerate(row["rewards"]) if reward < 0.5]
        assert row["first_error"] == (below[0] if below else -1)
    assert cli.json("audit", job)["clean"] is True
    status = cli.json("status", job)
    assert (status["state"], status["done"]["critiques"], status["workers"]) == ("done", 240, [])
    again = cli.json("submit", str(solutions), *SCRIPTED)
    assert (again["job_id"], again["created"]) == (result["job_id"], False)
    fresh = cli.json("submit", str(solutions), *SCRIPTED, "--new")
    assert (fresh["job_id"] != result["job_id"], fresh["created"]) == (True, True)
    other = cli.json("submit", str(solutions), "--judge", "scripted", "-k", "5")
    assert other["created"] is True


def test_results_in_every_format_with_critiques(cli: Cli, solutions: Path, tmp_path: Path) -> None:
    job = str(cli.json("submit", str(solutions), *SCRIPTED, "--wait")["job_id"])
    for name in ("scored.jsonl", "scored.jsonl.gz", "scored.jsonl.zst", "scored.parquet"):
        done = cli.json("results", job, "-o", name, "--critiques", "--steps")
        assert (done["rows"], done["missing"]) == (20, 0)
    row = json.loads((tmp_path / "scored.jsonl").read_text().splitlines()[0])
    assert [len(step) for step in row["critiques"]] == [4, 4, 4]
    first = row["critiques"][0][0]
    assert first["k"] == 0
    assert first["text"].endswith("Yes" if first["verdict"] == "yes" else "No")
    mean = sum(c["p_yes"] for c in row["critiques"][0]) / 4
    assert row["rewards"][0] == pytest.approx(mean, abs=1e-12)
    assert pq.read_table(tmp_path / "scored.parquet").num_rows == 20


def test_an_unserved_job_says_so_and_waits(cli: Cli, solutions: Path) -> None:
    job = str(cli.json("submit", str(solutions), *SCRIPTED)["job_id"])
    status = cli.json("status", job)
    assert (status["state"], status["unserved"]) == ("queued", True)
    assert "no worker serves this job; start one: rprm-jobs worker --judge scripted" in cli("status", job).stdout
    partial = cli("results", job, code=12)
    assert partial.stdout == ""
    assert "20 of 20 solutions without an outcome yet" in partial.stderr
    assert cli.json("cancel", job) == [{"job_id": int(job), "cancelled": True, "extension": False}]
    assert cli.json("cancel", job)[0]["cancelled"] is False
    assert cli.json("jobs")[0]["state"] == "cancelled"
    assert cli.json("submit", str(solutions), *SCRIPTED)["created"] is True


def test_a_bad_input_is_refused_whole_and_named(cli: Cli, tmp_path: Path) -> None:
    body = b'{"id": "a", "problem": "p", "steps": ["s"]}\nnonsense\n{"id": "a", "problem": "q", "steps": ["t"]}\n'
    (tmp_path / "bad.jsonl").write_bytes(body)
    done = cli("submit", "bad.jsonl", *SCRIPTED, code=3)
    assert "error: 2 bad rows, nothing was stored" in done.stderr
    assert "bad.jsonl:2: not JSON" in done.stderr
    assert "bad.jsonl:3: id 'a' is repeated, it stood first at bad.jsonl:1" in done.stderr
    assert cli.json("jobs") == []
    kept = cli.json("submit", "bad.jsonl", *SCRIPTED, "--skip-bad")
    assert (kept["solutions"], kept["refused"], kept["refused_files"]) == (1, 2, ["bad.jsonl.refused.jsonl"])
    refused = [json.loads(line) for line in (tmp_path / "bad.jsonl.refused.jsonl").read_text().splitlines()]
    assert [one["line"] for one in refused] == [2, 3]


def test_bad_rows_that_can_be_written_nowhere_refuse_the_submission(cli: Cli, tmp_path: Path) -> None:
    good = b'{"id": "a", "problem": "p", "steps": ["s"]}\n'
    # A folder stands where the refused rows would go, for root may write into any other.
    (tmp_path / "bad.jsonl").write_bytes(good + b"nonsense\n")
    (tmp_path / "bad.jsonl.refused.jsonl").mkdir()
    done = cli("submit", "bad.jsonl", *SCRIPTED, "--skip-bad", code=2)
    assert "the refused rows cannot be written: Is a directory" in done.stderr
    assert "nothing was stored" in done.stderr
    assert cli.json("jobs") == []
    piped = cli("submit", "-", *SCRIPTED, "--skip-bad", "--json", stdin=(tmp_path / "bad.jsonl").read_bytes())
    assert json.loads(piped.stdout)["refused_files"] == ["stdin.refused.jsonl"]


def test_labels_of_only_0_and_1_get_a_warning(cli: Cli, tmp_path: Path) -> None:
    row = {"problem": "What is 0+1?", "steps": ["0+1=1.", "So 2."]}
    for name, wrong in (("binary", 0), ("signed", -1)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": name, **row, "step_labels": [1, wrong]}))
        said = cli("sample", f"{name}.jsonl", *SCRIPTED).stderr
        assert ("0 is neutral and -1 is wrong" in said) == (name == "binary")
        assert ("jq -c" in said) == (name == "binary")


def test_a_fault_is_listed_once_with_its_rows_counted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("nonsense\n" * 50)
    done = cli("submit", "bad.jsonl", *SCRIPTED, code=3)
    assert "50 bad rows, nothing was stored" in done.stderr
    assert "  bad.jsonl:1: not JSON" in done.stderr
    assert "(and 49 more like it, the last in line 50)" in done.stderr
    assert done.stderr.count("bad.jsonl:") == 1
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "no solution to judge" in cli("submit", "empty.jsonl", *SCRIPTED, code=3).stderr


def test_standard_input_and_a_closed_pipe(cli: Cli, solutions: Path) -> None:
    job = cli("submit", "-", *SCRIPTED, stdin=solutions.read_bytes()).stdout.strip()
    assert job.isdigit()
    pipe = f"{sys.executable} -m rprm_jobs jobs --json | true"
    done = subprocess.run(["bash", "-c", pipe], env=cli.env, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr


def test_failed_solutions_are_told_and_retried(cli: Cli, tmp_path: Path) -> None:
    marks = {1: "[[scripted:unparsed]]", 2: "[[scripted:too-long]]"}
    made.write_jsonl(tmp_path / "x.jsonl", made.make_solutions(4, marks=marks))
    done = cli("submit", "x.jsonl", *SCRIPTED, "--wait", "--json", code=9)
    result = json.loads(done.stdout)
    assert (result["ok"], result["failed"]) == (2, 2)
    job = str(result["job_id"])
    rows = {row["id"]: row for row in map(json.loads, cli("results", job).stdout.splitlines())}
    assert rows["s1"]["status"] == "failed"
    assert rows["s1"]["reason"].startswith("step 3: no verdict in any of 4 critiques")
    assert rows["s1"]["rewards"][2] is None
    assert rows["s1"]["first_error"] is None
    assert "tokens" in rows["s2"]["reason"]
    assert [json.loads(r)["id"] for r in cli("results", job, "--failed").stdout.splitlines()] == ["s1", "s2"]
    assert cli.json("audit", job)["clean"] is True
    assert cli.json("retry", job) == [{"job_id": int(job), "retried": 2}]
    assert cli.json("status", job)["state"] == "running"
    assert cli("delete", job, "--yes", code=6).stdout == ""
    cli("cancel", job)
    assert cli.json("delete", job, "--yes") == [{"job_id": int(job), "deleted": True}]
    assert "there is no job" in cli("status", job, code=4).stderr


def test_delete_asks_and_without_a_terminal_refuses(cli: Cli, solutions: Path) -> None:
    job = str(cli.json("submit", str(solutions), *SCRIPTED)["job_id"])
    assert "cannot be undone" in cli("delete", job, stdin=b"y\n", code=2).stderr
    assert cli.json("jobs")[0]["job_id"] == int(job)


def test_a_worker_that_cannot_start_takes_no_work(cli: Cli, solutions: Path) -> None:
    job = str(cli.json("submit", str(solutions), *SCRIPTED)["job_id"])
    done = cli("worker", "--judge", "scripted", "--engine-arg", "dealy_s=1", code=2)
    assert "did you mean delay_s" in done.stderr
    done = cli("submit", str(solutions), *SCRIPTED, "--wait", "--engine-arg", "dealy_s=1", code=8)
    assert "the worker exited with status 2" in done.stderr
    assert cli.json("status", job)["state"] == "queued"


def test_schema_and_doctor(cli: Cli) -> None:
    assert cli.json("db", "current")["current"] == cli.json("db", "current")["head"]
    assert cli.json("db", "upgrade")["before"] == cli.json("db", "upgrade")["after"]
    checks = {check["name"]: check for check in cli.json("doctor")}
    assert checks["schema"]["ok"]
    assert {row["kind"] for row in cli.json("services", "status")} == {"configured"}
    wrong = Cli({**cli.env, "RPRM_DATABASE_URL": "postgresql://user:hidden@127.0.0.1:1/x"}, cli.folder)
    done = wrong("doctor", code=5)
    assert "FAIL postgres" in done.stdout
    done = wrong("jobs", code=5)
    assert "hidden" not in done.stderr + done.stdout


def test_before_db_upgrade_commands_say_what_to_do(cli: Cli, empty_database_url: str) -> None:
    fresh = Cli({**cli.env, "RPRM_DATABASE_URL": empty_database_url}, cli.folder)
    assert "run: rprm-jobs db upgrade" in fresh("jobs", code=5).stderr
    assert fresh.json("db", "upgrade")["before"] is None
    assert fresh.json("jobs") == []


def test_canaries_are_judged_and_counted(cli: Cli, tmp_path: Path) -> None:
    found = cli.json("doctor", "--canary", "--judge", "scripted", "-k", "2")
    assert [one["injection"] for one in found["canaries"]][:2] == ["plain", "plea"]
    assert all(one["n"] == 24 and one["silent"] + one["yes"] <= 24 for one in found["canaries"])
    assert cli.json("audit")["clean"] is True
    shown = cli("doctor", "--canary", "--judge", "scripted", "-k", "2")
    assert "(found)" in shown.stderr
    assert "against plain" in shown.stdout
    right = tmp_path / "right.jsonl"
    right.write_text('{"id": "a", "problem": "p", "steps": ["s"], "label": -1}\n')
    refused = cli("doctor", "--canary", "--judge", "scripted", "--solutions", str(right), code=3)
    assert "no solution has a label that names a wrong step" in refused.stderr
    assert "doctor --canary --judge tiny" in cli("doctor", "--canary", code=2).stderr
    assert "--judge has no effect without --canary" in cli("doctor", "--judge", "tiny", code=2).stderr
