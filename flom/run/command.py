"""The words that start a command, and what it means that they do not (docs/compatibility.md, "Running the command")."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TypeVar

from flom.errors import FlomError
from flom.run.ignoring import as_script
from flom.text import reason

_T = TypeVar("_T")


class CannotExecute(FlomError):
    """The command cannot be started."""


def execute(command: Sequence[str], spawn: Callable[[Sequence[str]], _T]) -> _T:
    """
    Start C{command}, by the shell if it is a script whose first line does not say what it is for.

    @param spawn: starts the program that these words name.
    @return: what C{spawn} gives.
    @raise CannotExecute: there is no such command, or it is no program.
    """
    if not command[0]:
        raise CannotExecute("Unable to execute command '': it has no name")
    try:
        try:
            return spawn(command)
        except OSError as e:
            if e.errno != errno.ENOEXEC:
                raise
            return spawn(as_script(command))
    except (OSError, ValueError) as e:
        why = reason(e) if isinstance(e, OSError) else str(e)
        raise CannotExecute(f"Unable to execute command '{command[0]}': {why}") from e
