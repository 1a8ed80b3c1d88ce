"""The words that start a command, and the error if they do not (docs/compatibility.md, "Running the command")."""

from __future__ import annotations

import errno

from flom.errors import FlomError, NoProcess
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    _T = TypeVar("_T")


class CannotExecute(FlomError):
    """The command cannot be started."""


def words_with(elements: Sequence[str | None], command: Sequence[str]) -> list[str]:
    """Return the words of C{command}, of which those C{elements} that are not C{None} are the last."""
    return [*command, *(element for element in elements if element is not None)]


def execute(command: Sequence[str], spawn: Callable[[Sequence[str]], _T]) -> _T:
    """
    Start C{command}, by the shell if it is a script whose first line does not name its interpreter.

    @param spawn: starts the program that its argument, a list of words, names; it raises OSError if there is none.
    @return: what C{spawn} returns.
    @raise CannotExecute: there is no such command, or it is no program.
    @raise NoProcess: there can be no more processes.
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
        what = f"Unable to execute command '{command[0]}'"
        if isinstance(e, OSError) and e.errno in (errno.EAGAIN, errno.ENOMEM):
            raise NoProcess(f"{what}: there can be no more processes (ulimit -u; pids.max of the cgroup)") from e
        raise CannotExecute(f"{what}: {reason(e)}") from e


def as_script(command: Sequence[str]) -> list[str]:
    """Return the words that run C{command}, whose header the kernel does not know, by the shell, as execvp(3) does."""
    import shutil  # hardly any command needs it

    return ["/bin/sh", shutil.which(command[0]) or command[0], *command[1:]]
