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
    parser.add_argument("--labelled", action="store_true", help="label every step, three of four as correct")
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
                   "generator": "made", **_labels(rng, args.labelled)}  # fmt: skip
            file.write(encode(row) + b"\n")


def _labels(rng: random.Random, labelled: bool) -> dict[str, object]:
    return {"step_labels": [-1 if rng.random() < 0.25 else 1 for _ in range(_STEPS)]} if labelled else {"label": -1}


if __name__ == "__main__":
    main()
