"""
The messages that users and administrators see, as they stand in the source.

A message is the text of an error of this package, or what a program or the daemon's log is given to say. It is listed
with words in capitals where the program puts in a name, a number or a reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import fill
from typing import Final, NamedTuple

_PACKAGE: Final = Path(__file__).parents[3] / "flom"

_SPEAKERS: Final = {
    "_about": "line",
    "_cannot_parse": "command line",
    "_contradiction": "command line",
    "Unclear": "value",
    "Ignored": "ignored",
    "ArgumentTypeError": "value",
    "UsageError": "daemon's command line",
    "SystemExit": "daemon's start",
    "print_error": "print_error",
    "print_warning": "warning",
    "_warn": "warning",
    "Finding": "finding",
}
"""Functions and classes of which an argument is a message, besides errors, and the kind of message that it is."""

NOT_LISTED: Final = {
    "LocalProtocolError": "says that a program would have broken the protocol: a mistake in that program",
    "Unproven": "becomes a part of a line in the log",
}
"""Kinds of errors that are in no list, and why."""


class Message(NamedTuple):
    """
    A message.

    @ivar kind: the error, or a kind of line.
    """

    kind: str
    text: str


@cache
def messages() -> tuple[Message, ...]:
    """Return all messages, without those that stand there twice, sorted."""
    trees = {
        path: ast.parse(path.read_text())
        for path in sorted(_PACKAGE.rglob("*.py"))
        if not {"libflom", "share"} & set(path.parts)
    }
    errors = _errors(list(trees.values()))
    found = set()
    for path, tree in trees.items():
        is_server = bool({"server", "reactor", "net", "vfs"} & set(path.parts))
        said = _messages_in(tree, errors, is_server=is_server, is_wording=path.parts[-2:] == ("job", "wording.py"))
        found |= {message for message in said if message.kind not in NOT_LISTED}
    return tuple(sorted(found))


def kinds() -> set[str]:
    """Return the kinds of all messages."""
    return {message.kind for message in messages()}


def messages_of(kinds: str) -> str:
    """Return the messages of some kinds, which commas separate, as a list."""
    wanted = [kind.strip() for kind in kinds.split(",")]
    texts = sorted({message.text for message in messages() if message.kind in wanted})
    return "\n".join(
        fill(f"`{text}`", 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) for text in texts
    )


def _errors(trees: list[ast.Module]) -> set[str]:
    """Return the names of all errors of this package: C{FlomError}, and what is derived from it."""
    bases = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    errors = {"FlomError"}
    while more := {name for name, of in bases.items() if of & errors} - errors:
        errors |= more
    return errors


def _messages_in(tree: ast.Module, errors: set[str], *, is_server: bool, is_wording: bool) -> Iterator[Message]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in errors:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    yield from _said(node.name, call)
        if is_wording and isinstance(node, ast.Return) and node.value is not None:
            yield from (Message("line", text) for text in _texts(node.value) if _is_message(text))
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        if name.startswith("_") and name in errors:
            continue  # which becomes another error
        if name in errors:
            yield from _said(name, node)
        elif name in _SPEAKERS:
            yield from _said(_SPEAKERS[name], node)
        elif name in ("warn", "error", "critical") and isinstance(node.func, ast.Attribute | ast.Name):
            yield from _said("log" if is_server else "warning", node)


def _said(kind: str, call: ast.Call) -> Iterator[Message]:
    for argument in call.args:
        for text in _texts(argument):
            if _is_message(text):
                yield Message(kind, re.sub(r"\s+", " ", text).strip())


def _is_message(text: str) -> bool:
    """Return whether C{text} says something besides what is put in, and is no name or key."""
    return " " in text and re.search("[a-z]{2}", text) is not None


def _texts(node: ast.expr) -> list[str]:
    """Return what C{node} may be as a text; nothing if it is none that stands there."""
    match node:
        case ast.Constant(value=str() as text):
            return [re.sub(r"\{(\w+)(?::[^}]*)?\}", lambda name: name[1].upper(), text)]
        case ast.JoinedStr(values=parts):
            return [re.sub(r"(?<=[a-z])[A-Z_]{3,}\b|(?<=[A-Z])(FATE|WAY_OUT)$", "...", "".join(map(_part, parts)))]
        case ast.IfExp(body=one, orelse=other):
            return [*_texts(one), *_texts(other)]
        case ast.Call(func=ast.Attribute(value=text_of, attr="rstrip")):
            return _texts(text_of)
        case ast.BinOp(left=one, op=ast.Add(), right=other):
            return [f"{left}{_first(other)}" for left in _texts(one)]
    return []


def _first(node: ast.expr) -> str:
    return (_texts(node) or ["..."])[0]


def _part(part: ast.expr) -> str:
    """Return a part of a formatted string: a word in capitals for what is put in."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    value = part.value
    if isinstance(value, ast.Call) and len(value.args) == 1:  # such as reason(e)
        name = ast.unparse(value.func).rpartition(".")[2]
        return "WHY" if name in ("reason", "getErrorMessage") else _capitals(value.args[0])
    return _capitals(value)


def _capitals(value: ast.expr) -> str:
    if not isinstance(value, ast.Name | ast.Attribute):
        return "..."
    text = ast.unparse(value).rpartition(".")[2].strip("_")
    return "WHY" if text in ("e", "why", "error", "reason", "problem") else text.upper()
