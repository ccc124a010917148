"""How often answers are told apart wrongly: `python -m benchmarks.answers`, on pairs that are known to be same or not.

`answers.jsonl` lists own-made pairs. With `--problems FILE` (rows with `answer`) every answer of a data set is written
in ten usual ways, which must be the same, and changed in four, which must not. With `--responses FILE` (rows with
`answers`, `responses` and `labels`) final answers are compared, and the labels of the data set say what is right.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from rprm_jobs.evaluation.answers import final_answer
from rprm_jobs.evaluation.verify import Sameness, Verifier

_LIST = Path(__file__).with_name("answers.jsonl")
_NUMBER = re.compile(r"\d+")
_COMMA = re.compile(r",(?!\\!)")
_BRACKET = re.compile(r"[()\[\]]")
_FRACTION = re.compile(r"\\[dt]?frac")
_SHOWN = 20

Pair = tuple[str, str, bool]

# From an answer to a text that states it, in the ways that models and people do.
WAYS: dict[str, Callable[[str], str]] = {
    "as it stands": lambda answer: rf"So it is \boxed{{{answer}}}.",
    "framed": lambda answer: rf"\fbox{{{answer}}}",
    "in dollars": lambda answer: rf"\boxed{{${answer}$}}",
    "in parentheses of math mode": lambda answer: rf"\boxed{{\({answer}\)}}",
    "with a full stop": lambda answer: rf"\boxed{{{answer}.}}",
    "with a name": lambda answer: rf"\boxed{{{answer if '=' in answer else 'x = ' + answer}}}",
    "with display fractions": lambda answer: rf"\boxed{{{_FRACTION.sub(lambda _: chr(92) + 'dfrac', answer)}}}",
    "with thin spaces": lambda answer: rf"\boxed{{\,{answer.replace(', ', ',')}\;}}",
    "with wide spaces": lambda answer: rf"\boxed{{ {_COMMA.sub(', ', answer)} \ }}",
    "with large brackets": lambda answer: rf"\boxed{{{_large(answer)}}}",
}
# From an answer to another one.
CHANGES: dict[str, Callable[[str], str]] = {
    "one more": lambda answer: _NUMBER.sub(lambda match: str(int(match[0]) + 1), answer, count=1),
    "a digit more": lambda answer: _NUMBER.sub(lambda match: match[0] + "7", answer, count=1),
    "negative": lambda answer: answer[1:] if answer.startswith("-") else f"-{answer}",
    "doubled": lambda answer: f"2({answer})" if _NUMBER.fullmatch(answer) and answer != "0" else answer,
}


def main() -> None:
    """Compare, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=Path, nargs="*", default=[])
    parser.add_argument("--responses", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    before = harness.machine()
    with Verifier() as verifier:
        results: dict[str, Any] = {"list": _tell(_listed(), verifier, shown=_SHOWN)}
        for file in args.problems:
            answers = [str(row["answer"]) for row in _rows(file)]
            results[file.stem] = {
                "written": {name: _tell(_written(answers, way), verifier) for name, way in WAYS.items()},
                "changed": {name: _tell(_changed(answers, change), verifier) for name, change in CHANGES.items()},
            }
        for file in args.responses:
            results[file.stem] = _responses(_rows(file), verifier)
    harness.report("answers", before, results)


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _listed() -> Iterator[Pair]:
    return ((row["reference"], row["answer"], row["same"]) for row in _rows(_LIST))


def _written(answers: Sequence[str], way: Callable[[str], str]) -> Iterator[Pair]:
    for answer in answers:
        yield answer, final_answer(way(answer.replace("$", ""))) or "", True


def _changed(answers: Sequence[str], change: Callable[[str], str]) -> Iterator[Pair]:
    for answer in answers:
        changed = change(answer)
        if changed != answer and answer.strip("-") != "0":
            yield answer, changed, False


def _large(answer: str) -> str:
    if answer.startswith(("(", "[")) and answer.endswith((")", "]")) and len(_BRACKET.findall(answer)) == 2:
        return rf"\left{answer[:-1]}\right{answer[-1]}"
    return rf"{{{answer}}}"


def _tell(pairs: Iterable[Pair], verifier: Verifier, *, shown: int = 0) -> dict[str, Any]:
    """How many pairs there are, and those that are called the same and are not, or the other way round."""
    counts = Counter[str]()
    wrong: dict[str, list[list[str]]] = {"false_same": [], "false_different": []}
    for reference, answer, same in pairs:
        sameness = verifier.compare([reference], answer)
        counts["same" if same else "different"] += 1
        counts[sameness.value] += sameness in (Sameness.UNDECIDED, Sameness.UNPARSED)
        if (sameness is Sameness.SAME) is not same:
            wrong["false_different" if same else "false_same"].append([reference, answer])
    known = {name: counts[name] for name in ("same", "different", "undecided", "unparsed") if counts[name]}
    return {**known, **{name: pairs[:shown] if shown else len(pairs) for name, pairs in wrong.items()}}


def _responses(rows: Sequence[dict[str, Any]], verifier: Verifier) -> dict[str, int]:
    """The labels are another grader's word: where the two differ either may be wrong."""
    counts = Counter[str]()
    for row in rows:
        for steps, label in zip(row["responses"], row["labels"], strict=True):
            answer = final_answer("\n".join(steps))
            sameness = Sameness.DIFFERENT if answer is None else verifier.compare(row["answers"], answer)
            counts["responses"] += 1
            counts["without an answer"] += answer is None
            counts[sameness.value] += 1
            counts["same, labelled wrong"] += sameness is Sameness.SAME and not label
            counts["not the same, labelled right"] += sameness is not Sameness.SAME and label
    return dict(counts)


if __name__ == "__main__":
    main()
