"""Where the code says a hint: every call with `hint=`, and the texts that it may give, found in the source.

A text is known as far as the source tells it: what is computed stands as `{}`. So a site's hints are known by
`rprm_jobs/store/jobs/jobs.py: first: rprm-jobs cancel {}`, whatever lines are added above it.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("rprm_jobs", "workers", "training")
HOLE = "{}"
# What a reader can type, or set, word for word.
_TYPED = re.compile(r"rprm-jobs|(?<![\w-])--?[a-zA-Z]|pip install|python -m|RPRM_[A-Z]|accelerate config|\bmv |\bjq ")


@dataclass(frozen=True, order=True)
class Site:
    """One hint that a call may give. `first` to `last` are the call's lines; `text` has holes."""

    path: str
    first: int
    last: int
    text: str

    @property
    def key(self) -> str:
        """What it is called in lists, whatever line it stands in."""
        return f"{self.path}: {self.text}"

    @property
    def is_typed(self) -> bool:
        """Whether it names something to type."""
        return _TYPED.search(self.text) is not None or self.text == HOLE

    def gave(self, path: str, line: int, hint: str) -> bool:
        """Whether an error that was made in this line with this hint is one of the site's."""
        pattern = ".*".join(map(re.escape, self.text.split(HOLE)))
        return path == self.path and self.first <= line <= self.last and bool(re.fullmatch(pattern, hint, re.DOTALL))


@functools.cache
def _module(path: str) -> _Module:
    return _Module(path, ast.parse((ROOT / path).read_text(encoding="utf-8")))


@functools.cache
def sites() -> tuple[Site, ...]:
    """All of them, but for calls that pass on the hint of another error."""
    collected: set[Site] = set()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            collected.update(_module(str(path.relative_to(ROOT))).sites())
    return tuple(sorted(collected))


class _Module:
    """One file. Names are looked up in the function of the call, then in the module."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path, self.tree = path, tree
        self._functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}

    def sites(self) -> Iterator[Site]:
        for scope, call in _calls(self.tree, self.tree):
            hint = _hint_of(call)
            if hint is None or _passes_on(hint, scope):
                continue
            for text in sorted(set(self._texts(hint, scope, 0))):
                if text:
                    yield Site(self.path, call.lineno, call.end_lineno or call.lineno, text)

    def _texts(self, node: ast.expr, scope: ast.AST, depth: int) -> Iterator[str]:
        """The texts that an expression may give."""
        if depth > 4:
            yield HOLE
        elif isinstance(node, ast.Constant):
            yield str(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield from self._joined(node, scope, depth)
        elif isinstance(node, ast.IfExp | ast.BoolOp):
            for branch in node.values if isinstance(node, ast.BoolOp) else (node.body, node.orelse):
                yield from self._texts(branch, scope, depth)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            for left in self._texts(node.left, scope, depth):
                yield from (left + right for right in self._texts(node.right, scope, depth))
        elif isinstance(node, ast.Name) and (values := list(self._values(node.id, scope))):
            for value in values:
                yield from self._texts(value, scope, depth + 1)
        elif isinstance(node, ast.Subscript) and (table := self._table(node.value, scope)) is not None:
            for value in table.values:
                yield from self._texts(value, scope, depth + 1)
        elif (called := self._called(node)) is not None:
            module, function = called
            for inner in _own_nodes(function):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    yield from module._texts(inner.value, function, depth + 1)
        elif isinstance(node, ast.Name) and (home := self._home(node.id)) is not None:
            yield from home._texts(node, home.tree, depth + 1)
        else:
            yield HOLE

    def _joined(self, node: ast.JoinedStr, scope: ast.AST, depth: int) -> Iterator[str]:
        """A formatted text: the parts of it that are named texts are told, everything else is a hole."""
        texts = [""]
        for part in node.values:
            texts_of_part = [HOLE]
            if isinstance(part, ast.Constant):
                texts_of_part = [str(part.value)]
            elif isinstance(part, ast.FormattedValue) and ast.unparse(part.value).lower().strip("_") in _NAMED:
                texts_of_part = list(self._texts(part.value, scope, depth + 1))
            texts = [text + more for text in texts for more in texts_of_part]
        yield from texts

    def _called(self, node: ast.expr) -> tuple[_Module, ast.FunctionDef] | None:
        """The function that is called, with its module."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            return None
        name = node.func.id
        home = self if name in self._functions else self._home(name)
        return (home, home._functions[name]) if home is not None and name in home._functions else None

    def _home(self, name: str) -> _Module | None:
        """The module of ours that an imported name is from."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
                path = (node.module or "").replace(".", "/") + ".py"
                return _module(path) if (ROOT / path).exists() else None
        return None

    def _table(self, node: ast.expr, scope: ast.AST) -> ast.Dict | None:
        values = self._values(node.id, scope) if isinstance(node, ast.Name) else ()
        return next((value for value in values if isinstance(value, ast.Dict)), None)

    def _values(self, name: str, scope: ast.AST) -> Iterator[ast.expr]:
        """What is assigned to the name: in the function, otherwise in the module."""
        collected = list(self._in(_own_nodes(scope), name))
        yield from collected or self._in(self.tree.body, name)

    def _in(self, nodes: Iterable[ast.AST], name: str) -> Iterator[ast.expr]:
        nodes = list(nodes)
        for node in nodes:
            yield from _assigned(node, name)
            if isinstance(node, ast.For) and isinstance(node.iter, ast.Name):
                rows = [value for other in nodes for value in _assigned(other, node.iter.id)]
                for row in (row for value in rows if isinstance(value, ast.List | ast.Tuple) for row in value.elts):
                    yield from _matched(node.target, row, name)


_NAMED = {"hint", "direct_hint", "private", "login"}


def _calls(node: ast.AST, scope: ast.AST) -> Iterator[tuple[ast.AST, ast.Call]]:
    """Every call with the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield scope, child
        yield from _calls(child, child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else scope)


def _own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child
            yield from _own_nodes(child)


def _assigned(node: ast.AST, name: str) -> Iterator[ast.expr]:
    """The values that a statement gives the name: alone, in a tuple, or from the rows of a loop."""
    pairs: list[tuple[ast.expr, ast.expr]] = []
    if isinstance(node, ast.Assign):
        pairs = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign) and node.value is not None:
        pairs = [(node.target, node.value)]
    elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple | ast.List):
        pairs = [(node.target, row) for row in node.iter.elts]
    for target, value in pairs:
        yield from _matched(target, value, name)


def _matched(target: ast.expr, value: ast.expr, name: str) -> Iterator[ast.expr]:
    if isinstance(target, ast.Name) and target.id == name:
        yield value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for part, hint in zip(target.elts, value.elts, strict=False):
            yield from _matched(part, hint, name)


def _hint_of(call: ast.Call) -> ast.expr | None:
    """The hint among the arguments: `hint=`, or the text of what collects refused rows."""
    for keyword in call.keywords:
        if keyword.arg == "hint":
            return keyword.value
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    texts_of_part = method == "check" and len(call.args) == 1 and isinstance(call.args[0], ast.Constant | ast.JoinedStr)
    return call.args[0] if texts_of_part else None


def _passes_on(node: ast.expr, scope: ast.AST) -> bool:
    """Whether the call hands on the hint of another error, or of its own caller, who is a site himself."""
    if isinstance(node, ast.Attribute) and node.attr == "hint":
        return True
    if isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "'hint'":
        return True
    arguments = getattr(scope, "args", None)
    names = {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)} if arguments is not None else set()
    return isinstance(node, ast.Name) and node.id in names
