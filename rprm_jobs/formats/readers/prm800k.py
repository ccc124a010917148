"""PRM800K's rows, phase 1 and 2, as solutions whose rated steps are to be judged.

Three forms are read: OpenAI's own (`question`, `label`), and two that keep only `id`, `problem` and `steps`: with all
completions of a step, or with the one that was taken. The chosen completions make one solution; every other rated
completion makes a solution of its own, over the chosen ones before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow

_RATINGS = (-1, 0, 1, None)
_OUTER = ("labeler", "timestamp", "generation")


@dataclass(frozen=True, slots=True)
class _Step:
    """`completions` are (text, rating) in the row's order; `chosen` is an index into them, None where none was."""

    completions: list[tuple[Any, int | None]]
    chosen: int | None


def is_row(raw: Any) -> bool:
    """Whether a decoded row has the shape of PRM800K."""
    if type(raw) is not dict:
        return False
    if type(raw.get("question")) is dict and type(raw.get("label")) is dict:
        return True
    steps = raw.get("steps")
    return type(steps) is list and bool(steps) and type(steps[0]) is dict


def plain_rows(raw: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row as plain ones: `id`, `problem`, `steps`, `step_labels`, and fields to keep. Raises BadRow.

    Ids are the row's own for the chosen completions, and `ID/3.2` for the second completion of the third step.
    """
    head, steps = _open(raw)
    while steps and not steps[-1].completions:
        # The labeler went on to a further step and left before anything stood there.
        steps.pop()
    if not steps:
        raise BadRow("no step has a completion")
    for number, step in enumerate(steps[:-1], 1):
        if not step.completions:
            raise BadRow(f"step {number} has no completion, and further steps follow it")
        if step.chosen is None:
            raise BadRow(f"step {number} has no chosen completion, and further steps follow it")
    chain = [(number, step, _taken(step, last=number == len(steps))) for number, step in enumerate(steps, 1)]
    prefix = [step.completions[taken] for _, step, taken in chain if taken is not None]
    yield _row(head, prefix)
    for number, step, taken in chain:
        before = [(text, None) for text, _ in prefix[: number - 1]]
        for index, completion in enumerate(step.completions):
            if index != taken and completion[1] is not None:
                yield _row({**head, "id": f"{head['id']}/{number}.{index + 1}"}, [*before, completion])


def _taken(step: _Step, *, last: bool) -> int | None:
    """The completion that stands in the chain. Nothing rests on the last one, so the first that is rated will do."""
    if step.chosen is not None or not last:
        return step.chosen
    return next((i for i, (_, rating) in enumerate(step.completions) if rating is not None), None)


def null_ratings(raw: dict[str, Any]) -> int:
    """How many completions of the row have no rating. Raises BadRow."""
    return sum(rating is None for step in _open(raw)[1] for _, rating in step.completions)


def _row(head: dict[str, Any], steps: list[tuple[Any, int | None]]) -> dict[str, Any]:
    return {**head, "steps": [text for text, _ in steps], "step_labels": [rating for _, rating in steps]}


def _open(raw: dict[str, Any]) -> tuple[dict[str, Any], list[_Step]]:
    if "steps" in raw:
        head = {name: value for name, value in raw.items() if name != "steps"}
        return head, [_step(number, step) for number, step in enumerate(raw["steps"], 1)]
    question, label = raw["question"], raw["label"]
    steps = label.get("steps")
    if type(steps) is not list or not steps:
        raise BadRow("field label has no list of steps")
    head = {
        "id": raw.get("id") or _own_id(raw),
        "problem": question.get("problem"),
        **{name: raw[name] for name in _OUTER if raw.get(name) is not None},
        **{name: question[name] for name in ("ground_truth_answer",) if question.get(name) is not None},
        **{name: label[name] for name in ("finish_reason",) if label.get(name) is not None},
    }
    return head, [_step(number, step) for number, step in enumerate(steps, 1)]


def _own_id(raw: dict[str, Any]) -> str:
    # OpenAI's rows have no id: who labelled it, and when to the microsecond, names each of them.
    if type(raw.get("labeler")) is not str or type(raw.get("timestamp")) is not str:
        raise BadRow("field id is missing, and labeler and timestamp, which would stand for it, are too")
    return f"{raw['timestamp']}/{raw['labeler'][:8]}"


def _step(number: int, raw: Any) -> _Step:
    if type(raw) is not dict:
        raise BadRow(f"step {number} is not an object, as in PRM800K")
    if "completions" not in raw:
        return _Step([_completion(number, 1, raw)], 0)
    listed = raw["completions"] or []
    if type(listed) is not list or not all(type(item) is dict for item in listed):
        raise BadRow(f"step {number}: completions is not a list of objects")
    completions = [_completion(number, index, item) for index, item in enumerate(listed, 1)]
    chosen = _chosen(number, raw, listed)
    if chosen is None and type(human := raw.get("human_completion")) is dict:
        completions.append(_completion(number, len(listed) + 1, human))
        chosen = len(listed)
    return _Step(completions, chosen)


def _completion(number: int, index: int, raw: dict[str, Any]) -> tuple[Any, int | None]:
    rating = raw.get("rating")
    if type(rating) is bool or rating not in _RATINGS:
        raise BadRow(f"step {number}, completion {index}: rating is {str(rating)[:40]}, not one of -1, 0, 1, null")
    return raw.get("text"), rating


def _chosen(number: int, raw: dict[str, Any], listed: list[dict[str, Any]]) -> int | None:
    if "chosen_completion" in raw:
        chosen = raw["chosen_completion"]
        if chosen is not None and (type(chosen) is not int or not 0 <= chosen < len(listed)):
            raise BadRow(f"step {number}: chosen_completion is not one of its {len(listed)} completions")
        return chosen
    preferred = [index for index, item in enumerate(listed) if item.get("is_preferred") is True]
    if len(preferred) > 1:
        raise BadRow(f"step {number} has {len(preferred)} preferred completions")
    return preferred[0] if preferred else None
