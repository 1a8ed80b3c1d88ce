"""The generated parts of pages, by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.tools.manual import markdown, messages, reference
from tests.tools.manual.programs import PROGRAMS

_OF_PROGRAM: Final[dict[str, Callable[[str], str]]] = {
    "options": lambda name: markdown.options_of(PROGRAMS[name](), marks_ours=name in ("flom", "flom-run")),
    "commands": lambda name: markdown.commands_of(PROGRAMS[name]()),
    "shared-options": lambda name: markdown.shared_options_of(PROGRAMS[name]()),
    "statuses": reference.statuses_of,
    "environment": reference.environment_of,
    "messages": messages.messages_of,
}

_OF_ALL: Final[dict[str, Callable[[], str]]] = {
    "keys": markdown.keys,
    "fields": markdown.fields,
    "return-codes": reference.return_codes,
    "log-ids": reference.log_ids,
    "variables": reference.variables,
    "metrics": reference.metrics,
}


def generate(what: str) -> str:
    """Return the generated part of a page that is called C{what}: a kind of part, and perhaps a program."""
    kind, _, name = what.partition(" ")
    made = _OF_PROGRAM[kind](name) if name else _OF_ALL[kind]()
    return made.strip("\n") + "\n"
