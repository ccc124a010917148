"""NeMo-Gym: rollouts with the request and the response of OpenAI's Responses protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.messages import content_of, last_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    request, response = row["responses_create_params"], row["response"]
    problem = request["input"] if type(request["input"]) is str else last_of(request["input"], "user")
    if problem is None:
        raise BadRow("responses_create_params.input has no user message")
    items = [item for item in response["output"] if type(item) is dict]
    texts = [content_of(item) for item in items if item.get("type") == "message" or item.get("role") == "assistant"]
    if len(texts) > 1:
        context.notes["solutions joined from several assistant messages"] += 1
    task, rollout = row.get("_ng_task_index"), row.get("_ng_rollout_index")
    yield plain(
        {**row, **{name: response[name] for name in ("model", "incomplete_details") if response.get(name)}},
        ("id", "responses_create_params", "response", "expected_answer", "judge_evaluations"),
        id=f"{task}#{rollout}" if task is not None and rollout is not None else row.get("id"),
        problem=problem,
        solution="\n\n".join(text for text in texts if text),
        reasoning=_reasoning(items),
        answer=row.get("expected_answer"),
    )


def _reasoning(items: list[dict[str, Any]]) -> str | None:
    summaries = [item.get("summary") for item in items if item.get("type") == "reasoning"]
    parts = [
        part.get("text") for summary in summaries if type(summary) is list for part in summary if type(part) is dict
    ]
    return "\n\n".join(part for part in parts if type(part) is str) or None


FORMAT = RowFormat(
    "nemo-gym",
    "NeMo-Gym's rollouts",
    needs("responses_create_params.input: texts", "response.output: list"),
    _convert,
)
