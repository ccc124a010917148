"""How fast each row format is read, and that memory stays flat: `python -m benchmarks.readers` prints JSON.

Every format reads a file of its test sample, made as long as real rows are (`--chars` of solution text). The slowest
one then reads `--rows` rows in a process of its own, whose peak memory stands beside that of reading a tenth of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rprm_jobs.formats import ReadOptions, read_solutions
from rprm_jobs.settings import Limits
from tests.support.row_samples import SAMPLES, SOLUTION

_JOIN = {"custom_id": "c", "body": {"messages": [{"role": "user", "content": "P?"}]}}


def lengthened(value: Any, text: str) -> Any:
    """The row with the sample's solution replaced by `text`, wherever it stands."""
    if isinstance(value, str):
        return value.replace(SOLUTION, text)
    if isinstance(value, dict):
        return {name: lengthened(item, text) for name, item in value.items()}
    return [lengthened(item, text) for item in value] if isinstance(value, list) else value


def write_rows(path: Path, name: str, rows: int, chars: int) -> None:
    """A file of `rows` rows of the format's first sample."""
    sentence = "We add the two numbers, so that $x = 4$ holds, and go on.\n\n"
    text = (sentence * (chars // len(sentence) + 1))[:chars]
    line = json.dumps(lengthened(SAMPLES[name][0][0], text)) + "\n"
    with path.open("w") as file:
        for _ in range(rows // 1000):
            file.write(line * 1000)
        file.write(line * (rows % 1000))


def read(path: str, join: str) -> dict[str, float]:
    """Read a file in this process: solutions a second by the clock and by the processor, and the peak memory in MB."""
    begin, begin_cpu, count = time.perf_counter(), time.process_time(), 0
    for _ in read_solutions([path], ReadOptions(join=join), Limits()):
        count += 1
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - begin_cpu
    return {
        "solutions_per_s": count / seconds,
        "solutions_per_cpu_s": count / cpu_seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure(path: Path, join: Path) -> dict[str, float]:
    """`read` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.readers", "--read", str(path), "--join", str(join)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(result.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--chars", type=int, default=600)
    parser.add_argument("--read")
    parser.add_argument("--join")
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(options.read, options.join)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path, join = Path(folder, "rows.jsonl"), Path(folder, "join.jsonl")
        join.write_text(json.dumps(_JOIN) + "\n")
        speeds: dict[str, dict[str, float]] = {}
        # Of some formats no row is judged.
        for name in sorted(name for name, samples in SAMPLES.items() if samples[0][1]):
            write_rows(path, name, 20_000, options.chars)
            speeds[name] = measure(path, join)
        slowest = min(speeds, key=lambda name: speeds[name]["solutions_per_cpu_s"])
        write_rows(path, slowest, options.rows // 10, options.chars)
        tenth = measure(path, join)
        write_rows(path, slowest, options.rows, options.chars)
        whole = measure(path, join)
        print(json.dumps({"formats": speeds, "slowest": slowest, "rows": options.rows, "tenth": tenth, "whole": whole}))


if __name__ == "__main__":
    main()
