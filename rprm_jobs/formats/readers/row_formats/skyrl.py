"""SkyRL: the dumps of its evaluations. A score may be one number, or one for each token of the response."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.row_formats.messages import unframed_problem, unframed_solution
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    extras = row.get("env_extras")
    reward = extras.get("reward_model", extras.get("reward_spec")) if type(extras) is dict else None
    yield plain(
        row,
        ("id", "input_prompt", "output_response"),
        id=row.get("id"),
        problem=unframed_problem(row["input_prompt"], context),
        solution=unframed_solution(row["output_response"], context),
        answer=reward.get("ground_truth") if type(reward) is dict else None,
    )


FORMAT = RowFormat(
    "skyrl", "SkyRL's dumps of evaluations", needs("input_prompt: text", "output_response: text"), _convert
)
