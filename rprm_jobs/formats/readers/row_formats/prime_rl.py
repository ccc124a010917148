"""prime-rl: `traces.jsonl`, one episode a line; and verifiers' of the same name, where one trace is a line.

Each trace is a graph of messages; its last sampled answer is judged. The branch that ends in that answer gives the
problem: the user turn next before the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut
from rprm_jobs.formats.readers.row_formats.messages import content_of, reasoning_of, role_of
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _convert(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain | BadRow | LeftOut]:
    if not row["traces"]:
        raise LeftOut("episodes without a trace")
    several = len(row["traces"]) > 1
    for number, trace in enumerate(row["traces"]):
        try:
            yield _trace(row, trace, f"{row['id']}#{number}" if several else str(row["id"]))
        except (BadRow, LeftOut) as reason:
            yield reason


def _single(row: dict[str, Any], _context: ReadContext) -> Iterator[Plain]:
    yield _trace(row, row, row["id"])


def _trace(row: dict[str, Any], trace: Any, id_: str) -> Plain:
    if type(trace) is not dict or type(trace.get("nodes")) is not list:
        raise BadRow("a trace has no list of nodes")
    nodes = trace["nodes"]
    last = next((i for i in range(len(nodes) - 1, -1, -1) if _is_answer(nodes[i])), None)
    if last is None:
        raise LeftOut("traces without a sampled answer")
    message = nodes[last]["message"]
    kept = {name: trace[name] for name in ("rewards", "ok", "stop_condition", "metrics") if name in trace}
    task = row["task"].get("data") if type(row["task"]) is dict else None
    answer = task.get("answer") if type(task) is dict else None
    return plain(
        {**{name: row[name] for name in ("env", "group") if name in row}, **kept},
        (),
        id=id_,
        problem=_problem(nodes, last),
        solution=content_of(message),
        reasoning=reasoning_of([message]),
        answer=answer,
    )


def _is_answer(node: Any) -> bool:
    message = node.get("message") if type(node) is dict else None
    return (
        type(message) is dict
        and bool(node.get("sampled"))
        and role_of(message) == "assistant"
        and bool(content_of(message).strip())
    )


def _problem(nodes: list[Any], at: int) -> str:
    """The nearest user turn on the way back to the root."""
    seen: set[int] = set()
    while True:
        seen.add(at)
        parent = nodes[at].get("parent")
        if type(parent) is not int or not 0 <= parent < len(nodes) or parent in seen or type(nodes[parent]) is not dict:
            raise BadRow("the trace has no user message before its answer")
        at = parent
        message = nodes[at].get("message")
        if type(message) is dict and role_of(message) == "user":
            return content_of(message)


FORMAT = RowFormat(
    "prime-rl", "prime-rl's traces of episodes", needs("id: id", "task: object", "traces: list"), _convert
)
TRACES = RowFormat(
    "verifiers-traces",
    "verifiers' traces of evaluations",
    needs("id: id", "task: object", "nodes: list"),
    _single,
)
