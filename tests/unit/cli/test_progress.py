"""How a status reads: rates, the worker's command, what went wrong; a stderr without a terminal stays quiet."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from rprm_jobs.cli.shared.common import human_bytes, human_time, print_json
from rprm_jobs.cli.shared.live import LiveStatus
from rprm_jobs.cli.shared.progress import speed, status_json, status_lines, worker_command
from rprm_jobs.judge.recipe import GenerationConfig
from rprm_jobs.search.guided import SearchOptions
from rprm_jobs.services.jobs.query import JobStatus, rates_between
from rprm_jobs.store.records import Counts, Extension, Job, Progress, WorkerInfo
from rprm_jobs.types import JobKind, Sampling
from tests.support.jobs import make_recipe

START = datetime(2030, 1, 1, tzinfo=UTC)
JOB = Job.from_row(
    {
        "id": 7, "kind": "score", "recipe": make_recipe(k=4).to_builtins(), "queue": "q", "judge": "scripted",
        "priority": 2, "n_solutions": 200, "n_steps": 600, "keep_critiques": "all", "sources": ["a.jsonl"],
        "gathered": True, "created_at": START, "cancelled_at": None, "extension": None, "reuse": True,
    }
)  # fmt: skip
HALF = Progress(
    shards=10, waiting=0, ready=4, leased=1, finished=5, ok=97, failed=2, quarantined=1,
    steps=300, critiques=1200, tokens=60_000,
    started_at=START, finished_at=None, now=START + timedelta(seconds=100), last_error="engine: lost\nTraceback",
)  # fmt: skip


def worker(n: int, *, rate: float | None = None, tokens: int = 0) -> WorkerInfo:
    return WorkerInfo(
        id=f"host:{n}", queue="q", judge="scripted", engine="scripted 1", host="host", pid=n, slots=4, started_at=START,
        silent_s=0.5, prompt_tokens=tokens, generated_tokens=0, prefix_hit_rate=rate,
    )  # fmt: skip


def status(progress: Progress = HALF, *workers: WorkerInfo) -> JobStatus:
    return JobStatus(JOB, progress, progress.state(JOB), rates_between(JOB, progress, None), workers)


def test_a_running_job_in_lines() -> None:
    text = "\n".join(status_lines(status(HALF, worker(1, rate=0.5, tokens=30), worker(2, rate=0.9, tokens=10))))
    assert text.splitlines()[0] == "job 7  running  judge scripted, 4 critiques a step, priority 2"
    assert "█" * 15 + "░" * 15 + " 50.0%  100 of 200 solutions" in text
    assert "ok 97  failed 2  quarantined 1" in text
    assert "3.0 steps/s, 12 critiques/s, 600 tokens/s, 1 min 40 s left" in text
    assert "prefix cache hit rate 60%" in text
    assert "worker host:2: scripted 1, 4 shards" in text
    assert "started 2030-01-01 00:00:00 UTC, running for 1 min 40 s" in text
    assert text.endswith("last error: engine: lost")
    assert "no worker serves" not in text


def test_what_was_reused_is_counted() -> None:
    assert "reused" not in "\n".join(status_lines(status()))
    reused = status(replace(HALF, critiques_reused=400, tokens_reused=20_000))
    assert "  reused 400 of 1,200 critiques, 20,000 tokens saved" in status_lines(reused)
    assert status_json(reused)["done"]["critiques_reused"] == 400


@pytest.mark.parametrize(
    ("policy", "until", "said"),
    [
        ("fixed", False, "4 critiques a step,"),
        ("adaptive", False, "at most 4 critiques a step (adaptive),"),
        ("fixed", True, "4 critiques a step up to the first error,"),
        ("planned", True, "at most 4 critiques a step (planned) up to the first error,"),
    ],
)
def test_a_jobs_policy_is_told(policy: str, until: bool, said: str) -> None:
    recipe = msgspec.structs.replace(make_recipe(k=4), stopping={"kind": policy}, until_first_error=until)
    found = replace(status(), job=replace(JOB, recipe=recipe))
    assert said in status_lines(found)[0]
    assert (status_json(found)["policy"], status_json(found)["until_first_error"]) == (policy, until)


def test_the_time_left_of_a_job_up_to_the_first_error_goes_by_its_solutions() -> None:
    recipe = msgspec.structs.replace(make_recipe(k=4), until_first_error=True)
    rates = rates_between(replace(JOB, recipe=recipe), replace(HALF, steps=150), None)
    assert rates is not None
    # 100 of 200 solutions took 150 of 600 steps in 100 s: the other 100 take as long.
    assert rates.eta_s == pytest.approx(100)


def test_a_job_that_nobody_serves_says_what_to_do() -> None:
    assert status_lines(status())[-2] == ("  no worker serves this job; start one: rprm-jobs worker --judge scripted")
    assert status_lines(status(), coming=True)[-2] == "  a worker is on its way"
    done = replace(HALF, ready=0, leased=0, finished=10, ok=197, finished_at=HALF.now)
    assert not [line for line in status_lines(status(done)) if "worker" in line]


def test_many_workers_are_counted() -> None:
    lines = status_lines(status(HALF, *(worker(n) for n in range(20))))
    assert "  and 12 more workers" in lines
    assert len(lines) < 16


@pytest.mark.parametrize(
    ("judge", "named"),
    [("tiny", "tiny"), ("scripted", "scripted"), ("org/model@main", "org/model@main"), ("mine", "FOLDER/mine")],
)
def test_the_worker_command_of_a_judge(judge: str, named: str) -> None:
    assert worker_command(replace(JOB, judge=judge)) == f"rprm-jobs worker --judge {named}"


def test_the_worker_command_of_what_only_a_server_has_asks_for_its_address() -> None:
    here = "http://HOST:PORT/v1"
    judged = replace(JOB, judge="endpoint:a/b")
    assert worker_command(judged) == f"rprm-jobs worker --judge endpoint:a/b --base-url {here}"
    generation_config = GenerationConfig("endpoint:p", "f", "{problem}", Sampling())
    written = replace(
        JOB, kind=JobKind.ROLLOUT, recipe=msgspec.structs.replace(JOB.recipe, generation_config=generation_config)
    )
    assert worker_command(written) == f"rprm-jobs worker --policy endpoint:p --policy-engine-arg base_url={here}"


def test_jobs_that_write_name_their_policy() -> None:
    generation_config = GenerationConfig("org/policy", "f", "{problem}", Sampling(), search=SearchOptions(candidates=6))
    search = replace(
        JOB, kind=JobKind.SEARCH, recipe=msgspec.structs.replace(JOB.recipe, generation_config=generation_config)
    )
    assert worker_command(search) == "rprm-jobs worker --judge scripted --policy org/policy"
    head = status_lines(replace(status(), job=search))[0]
    assert "policy org/policy, 6 candidates, judge scripted, 4 critiques a step" in head
    rollout = replace(search, kind=JobKind.ROLLOUT, judge="org/policy")
    assert worker_command(rollout) == "rprm-jobs worker --policy org/policy"
    assert "policy org/policy, priority 2" in status_lines(replace(status(), job=rollout))[0]


def test_before_any_work_there_is_no_rate() -> None:
    fresh = replace(
        HALF,
        ok=0,
        failed=0,
        quarantined=0,
        steps=0,
        critiques=0,
        tokens=0,
        finished=0,
        started_at=None,
        last_error=None,
    )
    assert "  not started" in status_lines(status(fresh))
    assert status_json(status(fresh))["rates"] is None
    assert status_json(status(fresh))["state"] == "queued"


def test_the_json_has_only_plain_types(capsys: pytest.CaptureFixture[str]) -> None:
    found = status_json(status(HALF, worker(1)))
    assert found["eta_s"] == pytest.approx(100)
    assert found["done"]["critiques"] == 1200
    assert (found["unserved"], found["finished_at"]) == (False, None)
    print_json(found)
    assert capsys.readouterr().out.startswith('{"job_id": 7, "state": "running"')


def test_json_is_ascii_whatever_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"source": "élan-\udcff.jsonl"})
    assert capsys.readouterr().out == '{"source": "\\u00e9lan-\\udcff.jsonl"}\n'


def test_no_terminal_no_display(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with LiveStatus() as live:
        live.show(status())
    assert capsys.readouterr() == ("", "")


def test_a_watched_job_gets_lines_in_a_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    clock = [0.0]
    monkeypatch.setattr("rprm_jobs.cli.shared.live.time.monotonic", lambda: clock[0])
    with LiveStatus(lines=True) as live:
        # Two hundred solutions: the next twentieth is done with the 110th.
        for seconds, ok in ((0, 97), (1, 98), (2, 106), (3, 107), (64, 108)):
            clock[0] = float(seconds)
            live.show(status(replace(HALF, ok=ok, now=HALF.now + timedelta(seconds=seconds))))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(";")[0] for line in err.splitlines()] == [
        "job 7 running: 50%, 100 of 200 solutions", "job 7 running: 55%, 110 of 200 solutions",
        "job 7 running: 56%, 111 of 200 solutions",
    ]  # fmt: skip


def test_a_job_that_writes_shows_whole_solutions_a_second() -> None:
    rollout = replace(JOB, kind=JobKind.ROLLOUT)
    # 100 of 200 solutions took 100 s.
    assert speed(replace(status(), job=rollout)) == "1.00 solutions/s, 600 tokens/s, 1 min 40 s left"
    assert "steps/s" not in "\n".join(status_lines(replace(status(), job=rollout)))


def test_a_terminal_shows_the_rates_of_late(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    later = replace(HALF, now=HALF.now + timedelta(seconds=10), steps=400, critiques=1600)
    with LiveStatus() as live:
        live.show(status())
        live.show(status(later))
    err = capsys.readouterr().err
    assert "3.0 steps/s" in err
    assert "10.0 steps/s, 40 critiques/s" in err


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 KB"), (2.5e6, "2.5 MB"), (3e12, "3.0 TB")]
)
def test_bytes(count: float, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90_000, "25 h 0 min")]
)
def test_times(seconds: float, text: str) -> None:
    assert human_time(seconds) == text


def extended(k: int, waiting: int = 0) -> JobStatus:
    """A job with 100 outcomes of two critiques a step, and an extension that has come to 30 of 200."""
    had = Counts(ok=190, failed=9, quarantined=1, steps=600, critiques=1200, tokens=60_000)
    extension = Extension(1, 2, 6, True, START, had)
    job = replace(JOB, recipe=msgspec.structs.replace(JOB.recipe, k=k), extension=extension)
    progress = replace(HALF, ok=30, failed=0, quarantined=0, steps=90, critiques=1560, tokens=78_000, waiting=waiting)
    return replace(status(), job=job, progress=progress)


def test_an_extension_shows_its_progress_beside_the_jobs() -> None:
    lines = status_lines(extended(6))
    assert lines[1].endswith("100.0%  200 of 200 solutions")
    assert lines[2] == "  ok 190  failed 9  quarantined 1"
    assert lines[3] == "  extension from 2 to 6 critiques a step: 30 of 200 solutions  ok 30  failed 0"
    shown = status_json(extended(6))
    assert shown["done"]["solutions"] == 200
    assert shown["extension"]["done"]["solutions"] == 30
    assert (shown["extension"]["done"]["critiques"], shown["extension"]["previous_k"]) == (360, 2)
    assert status_json(status())["extension"] is None


@pytest.mark.parametrize(("k", "waiting", "command"), [(6, 5, "rprm-jobs extend 7 -k 6"), (2, 5, "rprm-jobs cancel 7")])
def test_an_interrupted_extension_says_how_to_go_on(k: int, waiting: int, command: str) -> None:
    assert any(line.endswith(command) for line in status_lines(extended(k, waiting)))


def test_the_bar_is_of_characters_that_the_output_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "█" in status_lines(status(HALF))[1]
    monkeypatch.setattr("rprm_jobs.cli.shared.progress.has_bars", lambda: False)
    assert status_lines(status(HALF))[1].isascii()


def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(10 * i) for i in range(100))
    monkeypatch.setattr("rprm_jobs.cli.shared.live.time.monotonic", lambda: next(clock))
    with LiveStatus(lines=True) as live:
        for i in range(6):
            live.show(status(replace(HALF, tokens=HALF.tokens + 1000 * i * i)))


def test_a_watched_job_shows_the_speed_of_the_last_minutes_in_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _watched(monkeypatch)
    assert "last 50 s" not in capsys.readouterr().err
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    _watched(monkeypatch)
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    strips = [line for line in re.split(r"[\r\n]+", drawn) if "tokens/s" in line and "last " in line]
    assert strips[-1].rstrip().endswith("last 1 min, at most 900 tokens/s")
    assert max(map(len, strips)) <= 80
