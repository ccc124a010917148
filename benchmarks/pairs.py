"""From sampled critiques to rows in the trainer: `python -m benchmarks.pairs --steps 1000000`, K=8.

The build is the real command in a process of its own. Critiques are put in by SQL, drawn from a few hundred generated
solutions, since what is measured is what happens to them; they and their readings have the shape that judging gives.
Then the set's rows are read as training reads them: out of Postgres alone, and on into token ids.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks import harness
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.pairs.rules import SetKind
from rprm_jobs.pairs.summary import pack_readings, read_steps
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.texts import pack_texts

_STEPS, _K, _MADE, _CHARS = 8, 8, 400, 240
_READ = 50_000


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    args = parser.parse_args()
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder, harness.scratch_database() as url:
        report = _run(Path(folder), url, args.steps)
    harness.report("pairs", before, report)


def _run(folder: Path, url: str, steps: int) -> dict[str, Any]:
    env, n = harness.environment(url), steps // _STEPS
    base = [sys.executable, "-m", "rprm_jobs"]
    source = folder / "labelled.jsonl"
    make = [sys.executable, "-m", "benchmarks.make_solutions", str(n), "--labelled", "--out", str(source)]
    harness.run_measured(make, env)
    sampled = harness.run_measured([*base, "sample", str(source), "--judge", "scripted", "--json"], env)
    job = json.loads(sampled.stdout)["job_id"]
    _insert_critiques(url, job)
    prompt = str(Path(resolve_judge("tiny").location) / "prompt.txt")
    build = [*base, "pairs", "build", str(job), "--name", "made", "--unfinished", "--prompt", prompt, "--json"]
    built = harness.run_measured(build, env)
    counts = json.loads(built.stdout)
    pairs = counts["n_train"] + counts["n_validation"]
    return {
        "steps": n * _STEPS,
        "k": _K,
        "pairs": pairs,
        "build": {
            "seconds": round(built.seconds, 1),
            "steps_per_s": round(n * _STEPS / built.seconds),
            "pairs_per_s": round(pairs / built.seconds),
            "peak_mib": round(built.peak_mib),
        },
        "reading": _reading(url),
    }


def _insert_critiques(url: str, job: int) -> None:
    rng = random.Random(0)
    with harness.context(url) as context, context.database.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(
            text("CREATE TEMPORARY TABLE made (place INTEGER, texts BYTEA, readings BYTEA) ON COMMIT DROP")
        )
        for place in range(_MADE):
            texts = _texts(rng)
            row = {"place": place, "texts": pack_texts(texts), "readings": pack_readings(read_steps(texts))}
            connection.execute(text("INSERT INTO made VALUES (:place, :texts, :readings)"), row)
        connection.execute(
            text(
                f"INSERT INTO {partition('critiques', job)} (job_id, ord, texts, readings)"
                f" SELECT :job, s.ord, m.texts, m.readings FROM {partition('solutions', job)} AS s"
                " JOIN made AS m ON m.place = s.ord % :made"
            ),
            {"job": job, "made": _MADE},
        )
        connection.execute(
            text(
                f"INSERT INTO {partition('scores', job)} (job_id, ord, status, rewards, first_error,"
                " critiques_per_step, by_votes, shard_id, attempt) SELECT :job, s.ord, 'ok',"
                " array_fill(0.5::float8, ARRAY[s.n_steps]), -1, array_fill(8::smallint, ARRAY[s.n_steps]), FALSE, 1, 1"
                f" FROM {partition('solutions', job)} AS s"
            ),
            {"job": job},
        )


def _texts(rng: random.Random) -> list[list[str]]:
    """Critiques of one solution: a step in two is unanimous."""
    steps = []
    for _ in range(_STEPS):
        share = rng.choice((0.0, 1.0, 0.3, 0.7))
        steps.append(
            [f"{rng.getrandbits(4 * _CHARS):x}\n{MARKER} {'Yes' if rng.random() < share else 'No'}" for _ in range(_K)]
        )
    return steps


def _reading(url: str) -> dict[str, float]:
    from transformers import AutoTokenizer

    from training.preferences import encode_pair
    from training.source import TRAIN, from_set

    tokenizer = AutoTokenizer.from_pretrained(resolve_judge("tiny").location)
    encoder = PromptEncoder(tokenizer)
    with harness.context(url) as context:
        source = from_set(context, "made", SetKind.PAIRS)
        plain_s, count = _timed(islice(source.rows(TRAIN), _READ))
        encoded_s, encoded = _timed(
            encode_pair(row, tokenizer, encoder) for row in islice(source.rows(TRAIN), _READ // 5)
        )
    return {"rows_per_s": round(count / plain_s), "encoded_rows_per_s": round(encoded / encoded_s)}


def _timed(rows: Any) -> tuple[float, int]:
    started = time.perf_counter()
    count = sum(1 for _ in rows)
    return time.perf_counter() - started, count


if __name__ == "__main__":
    main()
