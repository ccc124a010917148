"""OpenAI's Batch output, which vLLM's run-batch writes too. It has no problems: --join names the input file.

Requests that failed are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut, kind_of
from rprm_jobs.formats.readers.row_formats.messages import content_of, last_of, reasoning_of, unframed_problem
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    response, custom_id = row.get("response"), row["custom_id"]
    if row.get("error") is not None or response is None:
        raise LeftOut("requests that failed")
    if type(response) is not dict:
        raise BadRow(f"response is {kind_of(response)}, not an object")
    if response.get("status_code", 200) != 200:
        raise LeftOut("requests that failed")
    body = response.get("body", response)
    problem = _joined(custom_id, context)
    solutions = list(_solutions(body))
    if not solutions:
        raise BadRow("response.body has no choices and no output")
    for number, (text, reasoning, finish) in enumerate(solutions):
        id_ = f"{custom_id}#{number}" if len(solutions) > 1 else custom_id
        rest = {"model": body.get("model"), "finish_reason": finish}
        yield plain(rest, (), id=id_, problem=problem, solution=text, reasoning=reasoning)


def _joined(custom_id: str, context: ReadContext) -> str:
    if context.problems is None:
        raise BadRow("the row has no problem: name the batch's input file with --join")
    if custom_id not in context.problems:
        raise BadRow(f"custom_id {custom_id!a} is not in the file that --join names")
    return context.problems[custom_id]


def _solutions(body: Any) -> Iterator[tuple[str, str | None, Any]]:
    """`(text, reasoning, finish reason)` of each choice; a Responses body has one, its output."""
    if type(body) is not dict:
        raise BadRow(f"response.body is {kind_of(body)}, not an object")
    choices = body.get("choices")
    if type(choices) is list:
        for choice in choices:
            yield _choice(choice)
    elif type(body.get("output")) is list:
        messages = [item for item in body["output"] if type(item) is dict and item.get("type") == "message"]
        yield "\n\n".join(content_of(message) for message in messages), None, body.get("status")


def _choice(choice: Any) -> tuple[str, str | None, Any]:
    if type(choice) is not dict:
        raise BadRow(f"a choice is {kind_of(choice)}, not an object")
    message = choice.get("message")
    if type(message) is dict:
        return content_of(message), reasoning_of([message]), choice.get("finish_reason")
    text = choice.get("text")
    return text if type(text) is str else "", None, choice.get("finish_reason")


def request_problem(row: Any, context: ReadContext) -> tuple[str, str]:
    """`(custom_id, problem)` of one row of a batch's input. Raises BadRow."""
    if type(row) is not dict or type(row.get("custom_id")) is not str or type(row.get("body")) is not dict:
        raise BadRow("the row is no batch request: it needs custom_id and body")
    body = row["body"]
    asked = next((body[name] for name in ("messages", "input", "prompt") if body.get(name) is not None), None)
    problem = unframed_problem(asked, context) if type(asked) is str else last_of(asked, "user")
    if problem is None:
        raise BadRow("body has no user message")
    return row["custom_id"], problem


FORMAT = RowFormat(
    "openai-batch",
    "OpenAI's Batch output, or vLLM's run-batch",
    needs("custom_id: text", "response|error: object"),
    _convert,
)
