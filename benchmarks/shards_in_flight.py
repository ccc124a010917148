"""Several shards in flight against one: `python -m benchmarks.shards_in_flight`, vLLM, the tiny judge.

Shards are small and of very uneven work: every fourth has long chains, the others a single short one. With one in
flight, the engine's batch runs dry at each shard's end, while its longest critique is still being written.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.served import made_rows, serving, write_rows

_SHARD = 2


def main() -> None:
    """Parse, run both sides, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=64)
    parser.add_argument("-k", type=int, default=8)
    args = parser.parse_args()
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = write_rows(Path(folder) / "solutions.jsonl", uneven_rows(args.solutions))
        sides = {n: _side(Path(folder), rows, n, args.k) for n in (1, 4)}
    ratio = sides[4]["tokens_per_s"] / sides[1]["tokens_per_s"]
    results = {"k": args.k, "solutions_per_shard": _SHARD, "one": sides[1], "four": sides[4]}
    harness.report("shards_in_flight", before, {**results, "tokens_per_s_four_over_one": round(ratio, 3)})


def uneven_rows(count: int) -> list[dict[str, Any]]:
    """Solutions of which every fourth pair is whole and the others are cut to their first step."""
    rows = made_rows(count)
    return [
        row if at // _SHARD % 4 == 0 else {**row, "steps": row["steps"][:1], "label": -1} for at, row in enumerate(rows)
    ]


def _side(folder: Path, rows: Path, shards: int, k: int) -> dict[str, Any]:
    with serving(folder, "--shards-in-flight", str(shards), RPRM_SHARD_SOLUTIONS=str(_SHARD)) as served:
        return served.run_job(rows, k)


if __name__ == "__main__":
    main()
