"""Benchmarks and stopping rules from the command line: recorded output, and real jobs with real workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.store.session import Database
from tests.support.command_line import Cli
from tests.support.store import run

pytestmark = pytest.mark.acceptance

SCRIPTED = ("--judge", "scripted")


@pytest.fixture
def offline(tmp_path: Path) -> Cli:
    """A command line that knows no server, and would start none unnoticed."""
    nowhere = {"RPRM_DATABASE_URL": "postgresql://127.0.0.1:1/none", "RPRM_REDIS_URL": "redis://127.0.0.1:1/0"}
    return Cli({**nowhere, "PATH": "/usr/bin:/bin", "RPRM_HOME": str(tmp_path / "home")}, tmp_path)


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def sums(n: int, wrong: int = 3) -> list[dict[str, Any]]:
    return [
        {"id": f"sums-{i}", "problem": f"sum {i}", "steps": [f"{i} + 1 = {i + 1}", "so it is"], "label": i % wrong - 1}
        for i in range(n)
    ]


def test_recorded_predictions_need_no_judge_and_no_server(offline: Cli, test_data: Path) -> None:
    path = str(test_data / "recorded" / "processbench_predictions_200.jsonl")
    report = offline.json("eval", "processbench", "--predictions", path)
    f1s = {name: one["f1"] for name, one in report["subsets"].items()}
    expected = {"gsm8k": 70.0, "math": 72.727, "olympiadbench": 69.825, "omnimath": 56.757}
    assert f1s == pytest.approx(expected, abs=5e-4)
    assert report["average_f1"] == pytest.approx(67.327, abs=5e-4)
    assert report["missing"] == 0
    shown = offline("eval", "processbench", "--predictions", path)
    assert "72.727" in shown.stdout
    assert "gsm8k: 50 solutions, the published subset has 400" in shown.stderr


def test_an_incomplete_subset_shows_no_f1(offline: Cli, test_data: Path, tmp_path: Path) -> None:
    gsm8k = str(test_data / "processbench" / "gsm8k.jsonl")
    rows = [json.loads(line) for line in Path(gsm8k).read_text().splitlines()]
    some = write(tmp_path / "p.jsonl", [{"id": r["id"], "prediction": r["label"]} for r in rows[:390]])
    report = offline.json("eval", "processbench", gsm8k, "--predictions", some)
    assert (report["subsets"]["gsm8k"]["f1"], report["average_f1"], report["missing"]) == (None, None, 10)
    allowed = offline.json("eval", "processbench", gsm8k, "--predictions", some, "--allow-incomplete")
    assert allowed["missing"] == 10
    # One of the last ten solutions is erroneous: 206 of 207 and 184 of 193 are right.
    error, correct = 100 * 206 / 207, 100 * 184 / 193
    assert allowed["average_f1"] == pytest.approx(2 * error * correct / (error + correct))
    assert "10 no row" in offline("eval", "processbench", gsm8k, "--predictions", some).stderr


def test_prmbench_results_of_another_system(offline: Cli, test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "prmbench"
    rows = []
    for line in (folder / "circular.jsonl").read_text().splitlines():
        row = json.loads(line)
        scores = [0.3 if i in row["error_steps"] else 0.7 for i in range(1, len(row["modified_process"]) + 1)]
        rows.append({"idx": f"circular_{row['idx']}", "scores": {"step_level_validity_scores": scores}})
    path = write(tmp_path / "p.jsonl", rows)
    circular = str(folder / "circular.jsonl")
    report = offline.json("eval", "prmbench", circular, "--predictions", path)
    assert (report["overall"], report["classes"]) == (100.0, {"circular": 100.0})
    assert (report["dimensions"]["simplicity"], report["dimensions"]["soundness"]) == (100.0, None)
    assert (report["n_items"], report["n_steps"], report["out_of_range"]) == (758, 7813, 5)
    strict = offline.json("eval", "prmbench", circular, "--predictions", path, "--threshold", "0.8")
    assert strict["overall"] < 50
    shown = offline("eval", "prmbench", circular, "--predictions", path)
    assert "758 items, 7,813 steps" in shown.stdout
    assert "5 items name wrong steps" in shown.stderr


def test_best_of_n_of_real_responses(offline: Cli, test_data: Path) -> None:
    path = str(test_data / "best_of_n" / "olympiadbench200_n8.jsonl")
    report = offline.json("eval", "best-of-n", path, "--n", "1,8")
    assert (report["pass@1"], report["pass@8"]) == (pytest.approx(0.380), pytest.approx(0.585))
    assert report["best_of"] is None
    shown = offline("eval", "best-of-n", path)
    assert "0.585" in shown.stdout
    assert "no problem has rewards" in shown.stderr


def test_simulations(offline: Cli, tmp_path: Path) -> None:
    found = offline.json("stopping", "simulate")
    exact = next(one for one in found["rules"] if one["rule"] == "exact")
    assert exact["critiques"] == pytest.approx(5.84, abs=0.01)
    votes = write(tmp_path / "v.jsonl", [{"votes": [[1, 1, 1, 0], [0, 0, 0, 0]]}] * 5 + [{"votes": [[1]]}])
    recorded = offline.json("stopping", "simulate", "--votes", votes)
    assert (recorded["k"], recorded["steps"], recorded["left_out"]) == (4, 10, 1)
    assert "planned 0.0025" in offline("stopping", "simulate").stdout


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"id": "gsm8k-999", "prediction": 0}], "p.jsonl:1: id 'gsm8k-999' is not in the benchmark"),
        ([{"id": "gsm8k-0", "rewards": [0.5]}], "p.jsonl:1: 1 reward for 4 steps"),
        ([{"id": "gsm8k-0", "prediction": 0, "label": 4}], "two versions of it"),
    ],
)
def test_predictions_that_do_not_fit_stop_the_evaluation(
    offline: Cli, test_data: Path, tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    gsm8k = str(test_data / "processbench" / "gsm8k.jsonl")
    done = offline("eval", "processbench", gsm8k, "--predictions", write(tmp_path / "p.jsonl", rows), code=3)
    assert done.stdout == ""
    assert said in done.stderr


def test_the_wrong_benchmark_is_named(offline: Cli, test_data: Path) -> None:
    circular = str(test_data / "prmbench" / "circular.jsonl")
    done = offline("eval", "processbench", circular, code=3)
    assert "use rprm-jobs eval prmbench" in done.stderr
    done = offline("eval", "prmbench", str(test_data / "processbench"), code=3)
    assert "rprm-jobs eval processbench" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("eval", "processbench"), "nothing to evaluate"),
        (("eval", "processbench", "--job", "1", "--predictions", "x.jsonl"), "--job has no effect with --predictions"),
        (("eval", "best-of-n", "x.jsonl", "--n", "two"), "not a list of whole numbers"),
        (("eval", "best-of-n", "x.jsonl", "--job", "1", "--judge", "tiny"), "--judge has no effect with --job"),
        (("eval", "processbench", "x.jsonl", "--stopping", "exact", "--confidence", "0.9"), "--confidence"),
        (("submit", "x.jsonl", "--min-k", "2"), "--min-k has no effect without --stopping adaptive"),
        (("submit", "x.jsonl", "--stopping", "exact", "--pilot", "9"), "add --stopping planned"),
        (("submit", "x.jsonl", *SCRIPTED, "--stopping", "adaptive", "--confidence", "0.2"), "between 0.5 and 1"),
        (("stopping", "simulate", "-k", "11"), "say nothing about -k 11"),
    ],
)
def test_wrong_usage_says_so(offline: Cli, arguments: tuple[str, ...], said: str) -> None:
    assert said in offline(*arguments, code=2).stderr


@pytest.mark.usefixtures("served")
def test_a_benchmark_is_judged_once_and_then_found(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", sums(12))
    arguments = ("eval", "processbench", path, *SCRIPTED, "-k", "2")
    first = cli.json(*arguments)
    assert first["missing"] == 0
    assert (first["subsets"]["sums"]["n_error"], first["subsets"]["sums"]["n_correct"]) == (8, 4)
    again = cli("eval", "processbench", path, *SCRIPTED, "-k", "2", "--json")
    assert "(found)" in again.stderr
    assert json.loads(again.stdout) == first
    job = str(cli.json("jobs")[0]["job_id"])
    assert len(cli.json("jobs")) == 1
    assert cli.json("eval", "processbench", "--job", job) == first
    cli("results", job, "-o", str(tmp_path / "scored.jsonl"), "--critiques")
    assert cli.json("eval", "processbench", path, "--predictions", str(tmp_path / "scored.jsonl")) == first
    simulated = cli.json("stopping", "simulate", "--votes", str(tmp_path / "scored.jsonl"))
    assert (simulated["k"], simulated["steps"]) == (2, 24)


@pytest.mark.usefixtures("served")
def test_policies_buy_fewer_critiques_for_the_calls_of_all(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", sums(30))
    rows: dict[str, list[dict[str, Any]]] = {}
    for rule in ("fixed", "exact", "adaptive"):
        done = cli.json("submit", path, *SCRIPTED, "-k", "10", "--stopping", rule, "--wait")
        rows[rule] = [json.loads(line) for line in cli("results", str(done["job_id"])).stdout.splitlines()]
        assert {row["sampling_policy"] for row in rows[rule]} == {rule}
    assert cli.json("audit")["clean"] is True
    counts = {rule: [n for row in found for n in row["critiques_per_step"]] for rule, found in rows.items()}
    assert set(counts["fixed"]) == {10}
    assert min(counts["exact"]) >= 5
    assert sum(counts["exact"]) < sum(counts["fixed"])
    assert min(counts["adaptive"]) >= 3
    assert sum(counts["adaptive"]) < sum(counts["exact"])
    assert [row["first_error"] for row in rows["exact"]] == [row["first_error"] for row in rows["fixed"]]


@pytest.mark.usefixtures("served")
def test_an_extended_job_is_the_one_that_was_submitted_so(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", sums(20))
    whole = str(cli.json("submit", path, *SCRIPTED, "-k", "6", "--wait", "--new")["job_id"])
    for more in (("--new",), ("--new", "--stopping", "exact", "--until-first-error")):
        job = str(cli.json("submit", path, *SCRIPTED, "-k", "2", "--wait", *more)["job_id"])
        before = cli.json("status", job)["done"]["critiques"]
        done = cli.json("extend", job, "-k", "6", "--wait")
        assert (done["job_id"], done["k"], done["state"]) == (int(job), 6, "done")
        extended, expected = (
            [json.loads(line) for line in cli("results", name, "--critiques").stdout.splitlines()]
            for name in (job, whole)
        )
        assert [row["first_error"] for row in extended] == [row["first_error"] for row in expected]
        assert cli.json("status", job)["done"]["critiques"] > before
        if more == ("--new",):
            assert [row["critiques"] for row in extended] == [row["critiques"] for row in expected]
            assert [row["rewards"] for row in extended] == [row["rewards"] for row in expected]
    assert cli.json("audit")["clean"] is True
    assert "has 6 critiques a step already" in cli("extend", job, "-k", "6", code=2).stderr


@pytest.mark.usefixtures("served")
def test_a_plan_comes_from_the_jobs_own_first_steps(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", sums(150))
    planned = ("--stopping", "planned", "--pilot", "40", "--changed", "0.01")
    jobs = [str(cli.json("submit", path, *SCRIPTED, "--wait", *more)["job_id"]) for more in ((), planned)]
    fixed, found = ([json.loads(line) for line in cli("results", job).stdout.splitlines()] for job in jobs)
    policies = {row["sampling_policy"] for row in found}
    assert {"planned:pilot", "planned:1"} < policies
    pilot = [row for row in found if row["sampling_policy"] == "planned:pilot"]
    assert all(row["critiques_per_step"] == [10, 10] for row in pilot)
    later = [n for row in found if row not in pilot for n in row["critiques_per_step"]]
    assert sum(later) / len(later) < 7
    changed = sum(a["first_error"] != b["first_error"] for a, b in zip(fixed, found, strict=True))
    assert changed <= 0.05 * len(found)
    assert cli.json("audit")["clean"] is True


@pytest.mark.usefixtures("served")
def test_up_to_the_first_error_the_calls_are_the_same(cli: Cli, tmp_path: Path) -> None:
    path = write(tmp_path / "sums.jsonl", sums(30))
    arguments = ("eval", "processbench", path, *SCRIPTED, "-k", "3")
    whole = cli.json(*arguments)
    assert cli.json(*arguments, "--until-first-error") == whole
    jobs = [str(job["job_id"]) for job in cli.json("jobs")]
    assert len(jobs) == 2
    short, full = ([json.loads(line) for line in cli("results", job).stdout.splitlines()] for job in jobs)
    assert [row["first_error"] for row in short] == [row["first_error"] for row in full]
    cut = [row for row in short if row["first_error"] == 0]
    assert cut
    assert all(row["critiques_per_step"] == [3, None] and row["rewards"][1] is None for row in cut)
    assert cli.json("audit")["clean"] is True
    assert cli.json("status", jobs[0])["done"]["critiques"] == 3 * (60 - len(cut))


@pytest.mark.usefixtures("served")
def test_prmbench_and_responses_are_judged(cli: Cli, test_data: Path, tmp_path: Path) -> None:
    lines = (test_data / "prmbench" / "redundency.jsonl").read_text().splitlines()[:4]
    (tmp_path / "r.jsonl").write_text("\n".join(lines))
    report = cli.json("eval", "prmbench", "r.jsonl", *SCRIPTED, "-k", "1")
    assert (report["n_items"], report["missing"], report["controls"]["n_items"]) == (4, 0, 4)
    assert set(report["classes"]) == {"redundency"}
    made = cli.json("submit", "r.jsonl", *SCRIPTED, "-k", "1")
    assert made["solutions"] == 4
    lines = (test_data / "best_of_n" / "olympiadbench200_n8.jsonl").read_text().splitlines()[:2]
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    picked = cli.json("eval", "best-of-n", "b.jsonl", "--n", "8", *SCRIPTED, "-k", "1")
    assert (picked["n_judged"], picked["without_reward"]) == (2, 0)
    assert set(picked["best_of"]) == {"min", "last", "mean", "product", "geometric_mean"}


@pytest.mark.usefixtures("served")
def test_a_prompt_file_is_what_the_judge_is_asked(cli: Cli, database: Database, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Is it right? {problem} {previous_steps} {now_step}")
    file = write(tmp_path / "in.jsonl", sums(6))
    cli("eval", "processbench", file, *SCRIPTED, "-k", "1", "--prompt", str(prompt))
    (job,) = run(database, "SELECT recipe FROM jobs")
    assert job.recipe["prompt"] == prompt.read_text()
