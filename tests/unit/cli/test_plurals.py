"""No message says "1 rows": a number before a noun in the plural goes through `counted`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from rprm_jobs.words import counted

ROOT = Path(__file__).parents[3]
NOUNS = (
    "solutions|steps|critiques|rows|files|problems|jobs|pairs|items|workers|responses|shards|texts|rewards"
    "|candidates|paths|entries|rounds|wrong steps|bad rows|finished jobs|more steps|more workers|more rows"
)
PLURAL = re.compile(rf"^ ({NOUNS})\b(?!/s)")
# Where there are always several, or a mean, or the number is a limit that is far above one.
SEVERAL = {
    "rprm_jobs/evaluation/best_of_n.py", "rprm_jobs/launch/logs.py", "rprm_jobs/server/submitting.py",
    "rprm_jobs/report/figures.py", "rprm_jobs/search/guided.py", "rprm_jobs/formats/readers/rows.py",
    "rprm_jobs/server/rewards/lane.py", "rprm_jobs/server/rewards/trainers.py", "rprm_jobs/evaluation/calibrated.py",
    "rprm_jobs/cli/estimate.py",
}  # fmt: skip
FOLDERS = ("rprm_jobs", "training", "workers/tasks")


def test_a_count_and_its_noun() -> None:
    assert [counted(n, "row") for n in (0, 1, 2000)] == ["0 rows", "1 row", "2,000 rows"]
    assert counted(2, "entry", "entries") == "2 entries"


def spots(path: Path) -> list[str]:
    """`file:line: noun` of every number that stands before a noun in the plural in an f-string."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            for before, after in zip(node.values, node.values[1:], strict=False):
                number = isinstance(before, ast.FormattedValue) and "counted(" not in ast.unparse(before.value)
                text = after.value if isinstance(after, ast.Constant) else ""
                if number and (match := PLURAL.match(str(text))):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(before)} {match[1]}")
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_number_stands_before_a_plural(folder: str) -> None:
    files = [path for path in sorted((ROOT / folder).rglob("*.py")) if str(path.relative_to(ROOT)) not in SEVERAL]
    assert [spot for path in files for spot in spots(path)] == []
