"""Old words do not come back: not as names in the code, and not in messages, help texts, comments and documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.words import Use, old_names, old_words

ROOT = Path(__file__).parents[3]
# Where the old word is meant: it is history, a name in the database or a text of a rollout, or it is being tested.
MEANT = {
    ("CHANGELOG.md", "--policy adaptive"),
    ("CHANGELOG.md", "policy simulate"),
    ("rprm_jobs/cli/shared/checkup.py", "found"),
    ("rprm_jobs/store/jobs/copying.py", "gathered"),
    ("rprm_jobs/store/jobs/new_job.py", "gathered"),
    ("rprm_jobs/store/jobs/jobs.py", "gathered"),
    ("rprm_jobs/store/records.py", "gathered"),
    ("rprm_jobs/store/schema/tables.py", "gathered"),
    ("tests/unit/cli/test_progress.py", "gathered"),
    ("training/foreign.py", "buys"),
}
# The list itself, and what is never changed once it has run somewhere.
SKIPPED = ("tests/support/words.py", "tests/unit/docs/test_words.py", "migrations/versions/")


def checked(*suffixes: str) -> list[str]:
    """Files of the project with these endings, as paths from its root."""
    roots = ("rprm_jobs", "workers", "training", "migrations", "benchmarks", "tests", "docs", ".")
    paths = [
        path for root in roots for path in (ROOT / root).glob("*" if root == "." else "**/*") if path.suffix in suffixes
    ]
    names = sorted({str(path.relative_to(ROOT)) for path in paths if "_site" not in path.parts})
    return [name for name in names if not name.startswith(SKIPPED)]


def is_test(file: str) -> bool:
    return file.startswith("tests/") and not file.startswith(("tests/support/", "tests/mutants/"))


def report(uses: list[Use]) -> str:
    return "\n".join(str(use) for use in uses if (use.file, use.word) not in MEANT)


def test_names_are_the_fields_words() -> None:
    files = checked(".py")
    assert len(files) > 20
    assert report([use for file in files for use in old_names(ROOT / file, file, short_test=is_test(file))]) == ""


def test_texts_and_documents_use_the_fields_words() -> None:
    files = checked(".py", ".md", ".yml", ".toml")
    assert report([use for file in files for use in old_words(ROOT / file, file)]) == ""


@pytest.mark.parametrize(
    ("source", "names", "words"),
    [
        ("found = 1", ["found"], []),
        ("for one in range(3): pass", ["one"], []),
        ("def ring(self, bell): self._made = 2", ["ring", "bell", "_made"], []),
        ("class Fate: pass", ["Fate"], []),
        ("print(found.made, one=2)", [], []),
        ('"""Rings the bell."""', [], ["Rings", "bell"]),
        ("x = 1  # critiques that were bought", [], ["bought"]),
        ('help = "--policy adaptive"', [], ["--policy adaptive"]),
        ('"""Strings, a ringer, rings5; a mender."""', [], []),
        ('"""One was found, made of two."""', [], []),
    ],
)
def test_an_old_word_is_seen(tmp_path: Path, source: str, names: list[str], words: list[str]) -> None:
    file = tmp_path / "a.py"
    file.write_text(source)
    assert sorted(use.word for use in old_names(file, "a.py")) == sorted(names)
    assert [use.word for use in old_words(file, "a.py")] == words


def test_a_use_is_named_by_file_line_and_the_word_to_use(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("fine\nthe bell\n")
    assert [str(use) for use in old_words(page, "a.md")] == ["a.md:2: 'bell'; say notification"]
