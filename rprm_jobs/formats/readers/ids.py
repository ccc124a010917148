"""An id for every row: its own, one made of where it stands or of what it says, and a number where ids repeat."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import PurePath
from typing import Any

from rprm_jobs.formats.readers.options import IdRule


class Ids:
    """Of one reading of all its files. Memory grows with the distinct ids of formats that repeat them, no other."""

    def __init__(self, rule: IdRule, roots: list[str]) -> None:
        self._rule = rule
        self._roots = [PurePath(root) for root in roots]
        self._rollouts: Counter[int] = Counter()
        self._short_names: dict[str, str] = {}
        self.count = 0

    def give(self, row: dict[str, Any], file: str, line: int, rollout: int | None, *, repeats: bool) -> None:
        """Set the row's `id`. `rollout` is its number among the rollouts of one line, None where it is the only one."""
        id_ = row.get("id")
        if id_ is not None and id_ != "":
            if repeats or self._rule is IdRule.ROLLOUT:
                row["id"] = self._numbered(id_)
            return
        self.count += 1
        if self._rule is IdRule.CONTENT:
            row["id"] = content_id(row)
        else:
            row["id"] = f"{self._short_name(file)}:{line}" + ("" if rollout is None else f"#{rollout}")

    def _numbered(self, id_: Any) -> Any:
        if type(id_) not in (str, int):
            return id_
        key = hash(str(id_))
        number = self._rollouts[key]
        self._rollouts[key] += 1
        return f"{id_}#{number}"

    def _short_name(self, file: str) -> str:
        if file not in self._short_names:
            self._short_names[file] = self._shortened(file)
        return self._short_names[file]

    def _shortened(self, file: str) -> str:
        """The file's path below the folder that was named, or its name: the same wherever the command runs."""
        path = PurePath(file)
        for root in self._roots:
            if path != root and path.is_relative_to(root):
                return str(path.relative_to(root))
        return "stdin" if file == "-" else path.name


def content_id(row: dict[str, Any]) -> str:
    """16 hex digits of the problem and the solution, the same for equal texts in whatever file."""
    digest = hashlib.blake2b(digest_size=8)
    for text in (row.get("problem"), *_texts(row)):
        digest.update(str(text).encode("utf-8", "surrogatepass") + b"\x1e")
    return digest.hexdigest()


def _texts(row: dict[str, Any]) -> list[Any]:
    steps = row.get("steps")
    return steps if type(steps) is list else [row.get("solution")]
