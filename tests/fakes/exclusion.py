"""Commands that mark what they held and when, and whether it can have been so (docs/reference/history.md)."""

from __future__ import annotations

import sys
from pathlib import Path

from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding, Violation
from flom.core.history.lines import History
from flom.core.modes import LockMode
from tests.fakes import critical_section


class Marks:
    """The file that the commands of a test write to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def job(self, *options: str, seconds: float | None = None) -> list[str]:
        """Return words for C{flom-run}: C{options}, and the L{command} under the lock that they name."""
        return [*options, "--", *self.command(*options, seconds=seconds)]

    def command(self, *options: str, seconds: float | None = None) -> list[str]:
        """
        Return a command to be run under the lock that C{options} of C{flom-run} name.

        @param seconds: how long it takes; by default, until it gets a line or its stdin is closed.
        """
        name, mode, quantity = (
            _value("-r", options, "_RESOURCE"),
            _value("-l", options, "EX"),
            _value("-q", options, "1"),
        )
        assert mode in LockMode.__members__
        lasting = "-" if seconds is None else str(seconds)
        program = [sys.executable, "-I", "-S", critical_section.__file__]
        return [*program, str(self._path), name, mode, str(int(quantity)), lasting]

    def note_death(self, pid: int) -> None:
        """Mark that a process is about to be killed, which cannot mark its end then, if it is a command at all."""
        for id, lines in self._history().told.items():
            if "end" not in lines and lines["begin"]["pid"] == pid:
                critical_section.mark(str(self._path), "end", id)

    def holdings(self) -> list[Holding]:
        """Return all that have begun, in the order of their marks."""
        return self._history().holdings()

    def violations(self) -> list[Violation]:
        """Return what must not have been, see L{violations}."""
        return violations(self.holdings())

    def _history(self) -> History:
        history = History()
        for number, line in enumerate(self._lines(), 1):
            history.add(line, str(number))
        return history

    def _lines(self) -> list[str]:
        text = self._path.read_text() if self._path.exists() else ""
        return text.split("\n")[:-1]


def _value(option: str, options: tuple[str, ...], default: str) -> str:
    """Return the value of an option, the last one if it is there twice."""
    places = [place for place, word in enumerate(options) if word == option]
    return options[places[-1] + 1] if places else default
