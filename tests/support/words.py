"""The words that were replaced by the field's, and where they still stand: in identifiers, and in prose.

Identifiers are read from the syntax tree: what code binds or names (variables, arguments, attributes, functions,
classes). Prose is every document, docstring, comment, message and help text.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# By the word to use instead.
OLD_NAMES = {
    "hint": ("mend",),
    "notify, notification": ("bell", "bells", "ring", "rung", "doorbell"),
    "task, dispatch": ("craft", "crafts", "load_craft"),
    "concurrency, run_concurrently": ("together", "side_by_side"),
    "previous_critiques, sample": ("bought", "buy", "buys"),
    "retry_transaction": ("patiently", "patience_s"),
    "response_timeout": ("give_up_after", "answer_s"),
    "request, link, dependent": ("follower", "followers", "follow_up", "want"),
    "stop_strings, stop_criteria": ("Ends", "Endings"),
    "rollout rows, GenerationConfig": ("Written", "Writing", "written_rows"),
    "prefill, partial": ("begun",),
    "grouped_by_problem": ("gathered",),
    "heartbeat, alive": ("presence", "beat", "beats", "living"),
    "previously_failed, exclusive": ("suspect", "alone"),
    "Paths, server_lock": ("Places", "life"),
    "Disposition, VerdictForm, CritiqueSummary": ("Fate", "StepFate", "Form", "Reading"),
    "WorkerDependencies, HeldLease, JudgeSpec": ("Tools", "Held", "Work"),
}
# Names that say nothing of what they hold. In a test of a few lines they may stand, as its results are plain there.
NO_NAMES = ("told", "found", "made", "one", "gone", "given")
OLD_WORDS = {
    "hint": r"\bmend(?:s|ed|ing)?\b",
    "notification": r"\b(?:door)?bells?\b|\brings?\b|\bringing\b|\brung\b",
    "alive": r"\bliving workers?\b|\bpresence\b",
    "sampled": r"\b(?:bought|buys?|buying)\b",
    "dependent job": r"\bfollower(?:s)?\b",
    "previously failed": r"\bsuspect(?:s)?\b",
    "stopping rule": r"\bsampling polic(?:y|ies)\b|--policy (?:fixed|exact|adaptive|planned)\b|\bpolicy simulate\b",
    "grouped by problem": r"\bgathered\b",
}


@dataclass(frozen=True, slots=True)
class Use:
    """An old word at `file:line`, and what to say instead."""

    file: str
    line: int
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.word!r}; say {self.instead}"


def old_names(path: Path, file: str, *, short_test: bool = False) -> Iterator[Use]:
    """Old words among the identifiers that a module binds; of a `short_test` without NO_NAMES."""
    instead = {word: new for new, words in OLD_NAMES.items() for word in words}
    instead |= {} if short_test else dict.fromkeys(NO_NAMES, "the noun that it holds")
    for line, name in _bound(ast.parse(path.read_text(encoding="utf-8"))):
        if (word := name.strip("_")) in instead:
            yield Use(file, line, name, instead[word])


def _bound(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def old_words(path: Path, file: str) -> Iterator[Use]:
    """Old words in a document, or in the comments and texts of a module."""
    source = path.read_text(encoding="utf-8")
    texts = _texts(source) if path.suffix == ".py" else enumerate(source.splitlines(), start=1)
    for line, text in texts:
        for new, pattern in OLD_WORDS.items():
            for match in re.finditer(pattern, text, re.IGNORECASE):
                yield Use(file, line + text.count("\n", 0, match.start()), match[0], new)


def _texts(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string
