"""Chat rows: `messages` (or ShareGPT's `conversations`); the last assistant turn answers the last user turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.messages import content_of, reasoning_of, role_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    name = "messages" if row.get("messages") is not None else "conversations"
    messages = row[name]
    last = next((i for i in range(len(messages) - 1, -1, -1) if role_of(messages[i]) == "assistant"), None)
    if last is None:
        raise BadRow(f"{name} have no assistant message")
    user = next((i for i in range(last - 1, -1, -1) if role_of(messages[i]) == "user"), None)
    if user is None:
        raise BadRow(f"{name} have no user message before the answer")
    if user > 1 or last < len(messages) - 1:
        context.notes["dialogues of which only the last question and answer are judged"] += 1
    yield plain(
        row,
        ("id", name),
        id=row.get("id"),
        problem=content_of(messages[user]),
        solution=content_of(messages[last]),
        reasoning=reasoning_of([messages[last]]),
    )


FORMAT = RowFormat(
    "chat",
    "chat messages",
    needs("messages|conversations: messages"),
    _convert,
    # Of distilabel's chat generation: the answer stands beside the messages.
    unless=("generation", "generations"),
)
