"""A large input file: `python -m benchmarks.make_solutions 200000 --out solutions.jsonl`, 8 steps and 1.2 KB a row."""

from __future__ import annotations

import argparse
import random
import string
from pathlib import Path

import msgspec

_STEPS = 8
_STEP_CHARS = 115
_PROBLEM_CHARS = 170


def main() -> None:
    """Write the file, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("solutions", type=int)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    # Slices of one drawn text: distinct rows at the speed of copying.
    pool = "".join(rng.choices(string.ascii_letters + "     0123456789+-=", k=1_000_000))
    encode = msgspec.json.Encoder().encode
    with args.out.open("wb", buffering=1 << 20) as file:
        for number in range(args.solutions):
            at = rng.randrange(900_000)
            steps = [f"{i}: {pool[at + i * _STEP_CHARS : at + (i + 1) * _STEP_CHARS]}" for i in range(_STEPS)]
            row = {"id": f"rollout-{number}", "problem": pool[at : at + _PROBLEM_CHARS], "steps": steps,
                   "generator": "made", "label": -1}  # fmt: skip
            file.write(encode(row) + b"\n")


if __name__ == "__main__":
    main()
