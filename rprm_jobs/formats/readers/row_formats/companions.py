"""Files that a tool writes beside its rollouts, so that a folder holds them too: their rows are left out and counted.

prime-rl appends what it learns about a trace later to `annotations/`, NeMo-Gym keeps failed attempts in
`*_failures.jsonl`, and SkyRL's `aggregated_results.jsonl` is one row of metrics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from rprm_jobs.formats.readers.bad_row import LeftOut
from rprm_jobs.formats.readers.row_formats.protocol import ReadContext, RowFormat, needs


def _left_out(reason: str) -> Callable[[dict[str, Any], ReadContext], NoReturn]:
    def convert(_row: dict[str, Any], _context: ReadContext) -> NoReturn:
        raise LeftOut(reason)

    return convert


UPDATES = RowFormat(
    "prime-rl-updates",
    "what prime-rl learned about traces later",
    needs("trace_id: text", "branches: list", "info: object"),
    _left_out("updates of traces that stand in another file"),
)
FAILURES = RowFormat(
    "nemo-gym-failures", "NeMo-Gym's failed attempts", needs("_ng_failure_class"), _left_out("rollouts that failed")
)
METRICS = RowFormat(
    "skyrl-metrics",
    "metrics of SkyRL's evaluations",
    needs("eval/all/avg_score"),
    _left_out("rows of metrics"),
)
