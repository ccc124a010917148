"""Judges of the arithmetic world side by side: `python -m benchmarks.cascade_table`.

Held-out solutions in ProcessBench's form, judged by real jobs in the database of the environment, where they are found
again; one worker after the other, unless one serves the judge: `tiny` with 1, 4 and 8 critiques a step and with
`adaptive` and `planned` up to the first error, the critic with 1 and 8 votes, and cascades of a screen and critiques.
All have weights of one size. F1 and tokens a solution are those of `rprm-jobs compare`: tokens are the generated ones
that were kept, of a cascade those of both jobs. A screen generates nothing: what it reads is in `read_by_screen`.
Critiques that the store has are taken from it. Seconds a solution are from the first claim to the last record on a
loaded worker, of further jobs over the first `--timed` solutions that take nothing from the store.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.served import QUIET, write_rows
from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.services.evaluation.comparing import compare_jobs, seconds_per_solution
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.settings import load_settings
from training.splits import as_row, draw_split

_FIXED, _SCREEN = "tiny, K=8", "two-class head=tiny-head"
Row = dict[str, Any]


def ways(critic: str, screens: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The options of `submit` by the name of each row."""
    until = ["--until-first-error"]
    table = {
        "tiny, K=1": ["--judge", "tiny", "-k", "1"],
        "tiny, K=4": ["--judge", "tiny", "-k", "4"],
        _FIXED: ["--judge", "tiny", "-k", "8"],
        "tiny, adaptive, up to the first error": ["--judge", "tiny", "-k", "8", "--stopping", "adaptive", *until],
        "tiny, planned at price 30, up to the first error": [
            "--judge",
            "tiny",
            "-k",
            "8",
            "--stopping",
            "planned",
            "--price",
            "30",
            "--pilot",
            "100",
            *until,
        ],
        "critic, 1 vote": ["--judge", critic, "-k", "1"],
        "critic, 8 votes": ["--judge", critic, "-k", "8"],
    }
    for name, screen in screens.items():
        table[f"{name}, alone"] = ["--judge", *screen[:1], *(("--family", screen[1]) if len(screen) > 1 else ())]
        cascade = ["--judge", "tiny", "-k", "8", *until, "--screen", screen[0]]
        cascade += ["--screen-family", screen[1]] if len(screen) > 1 else []
        table[f"{name}, then tiny where it is unsure"] = cascade
    return table


def main() -> None:
    """Parse, judge in every way, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--critic", default="tiny-critic", help="a critic of whole solutions")
    parser.add_argument(
        "--screen", action="append", metavar="NAME=JUDGE[:FAMILY]", help="repeatable; tiny-head if left out"
    )
    parser.add_argument("--solutions", type=int, default=400)
    parser.add_argument("--timed", type=int, default=40)
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--weight", type=float, default=1.0, help="as how many critiques a screen counts")
    parser.add_argument("--confidence", type=float, default=0.85, help="of the cascades")
    args = parser.parse_args()
    before = harness.machine()
    screens = {
        name: tuple(judge.split(":")) for name, _, judge in (text.partition("=") for text in args.screen or [_SCREEN])
    }
    rows = [as_row("heldout", n, chain) for n, chain in enumerate(draw_split("held-out", args.solutions))]
    with tempfile.TemporaryDirectory() as folder:
        every, some = (write_rows(Path(folder) / f"{n}.jsonl", rows[:n]) for n in (args.solutions, args.timed))
        jobs, timed = {}, {}
        for name, options in ways(args.critic, screens).items():
            jobs[name] = _submit(every, options, args)
            timed[name] = _submit(some, [*options, "--no-reuse"], args)
    with open_context(load_settings()) as context:
        table = _table(context, jobs)
        for name, result in timed.items():
            table[name]["seconds_per_solution"] = _seconds(context, result)
    asked = {name: getattr(args, name) for name in ("solutions", "timed", "engine", "weight", "confidence")}
    read = {name: _read_a_solution(screen, rows) for name, screen in screens.items()}
    harness.report("cascade_table", before, {**asked, "read_by_screen": read, "ways": table})


def _seconds(context: Context, result: Row) -> float:
    """Seconds a solution, of a cascade those of both jobs."""
    ids = {result["job_id"], result.get("judged", result)["job_id"]}
    return round(sum(seconds_per_solution(job_status(context, job_id)) or 0.0 for job_id in ids), 4)


def _read_a_solution(screen: Sequence[str], rows: Sequence[Row]) -> float | None:
    """Tokens that a scoring judge reads of a solution, problem included; None for one that writes."""
    from transformers import AutoTokenizer

    judge = resolve_judge(screen[0], screen[1] if len(screen) > 1 else None)
    if not isinstance(judge.family, ScoreFamily):
        return None
    encoder = SolutionEncoder(AutoTokenizer.from_pretrained(judge.location), judge.family)
    return round(statistics.mean(len(encoder.encode(row["problem"], row["steps"]).ids) for row in rows), 1)


def _submit(file: Path, options: Sequence[str], args: argparse.Namespace) -> Row:
    """The job's id, or both of a cascade."""
    command = [sys.executable, "-m", "rprm_jobs", "submit", str(file), *options, "--wait", "--json"]
    command += ["--fail-on", "none"]
    command += ["--engine", args.engine]
    if "--screen" in options:
        command += ["--weight", str(args.weight), "--confidence", str(args.confidence)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env={**os.environ, **QUIET})
    result: Row = json.loads(done.stdout)
    return result


def _table(context: Context, jobs: Mapping[str, Row]) -> Row:
    """A row for each way, beside that of the fixed K."""
    judging = {name: result.get("judged", result)["job_id"] for name, result in jobs.items()}
    screening = {name: result["job_id"] for name, result in jobs.items() if "judged" in result}
    ids = sorted({*judging.values(), *screening.values()}, key=[*judging.values(), *screening.values()].index)
    document = compare_jobs(context, ids).as_json()
    by_id = {job["job_id"]: job for job in document["jobs"]}
    pairs = {tuple(pair["jobs"]): pair for pair in document["pairs"]}
    table: Row = {}
    fixed = by_id[judging[_FIXED]]
    for name, job_id in judging.items():
        parts = [by_id[job_id], *([by_id[screening[name]]] if name in screening else [])]
        tokens = sum(part["tokens_per_solution"] for part in parts)
        table[name] = {
            "f1": round(parts[0]["f1"], 2),
            "f1_interval": [round(end, 2) for end in parts[0]["f1_interval"]],
            "f1_minus_fixed": _difference(pairs, fixed["job_id"], job_id),
            "without_prediction": sum(parts[0]["without_prediction"].values()),
            "tokens_per_solution": round(tokens, 1),
            "tokens_of_fixed": round(tokens / fixed["tokens_per_solution"], 3),
        }
    return table


def _difference(pairs: Mapping[tuple[int, ...], Row], fixed: int, job: int) -> list[float] | None:
    """The difference in F1 and its 95% interval."""
    if fixed == job:
        return None
    sign = 1 if (fixed, job) in pairs else -1
    pair = pairs[fixed, job] if sign == 1 else pairs[job, fixed]
    ends = sorted(sign * end for end in pair["f1_interval"])
    return [round(value, 2) for value in (sign * pair["f1_difference"], *ends)]


if __name__ == "__main__":
    main()
