"""
Whether a member of a group hears its own announcements by each interface: one that is deaf there hears no rival either.
"""

from __future__ import annotations

from typing import Final

MISSES: Final = 5
"""Rounds of announcements in a row, none of which came back by an interface, after which it joins the group again."""

GIVE_UP: Final = 12
"""Such rounds after which joining again has been of no use."""


class Hearing:
    """
    The announcements that were sent and those that came back, by the names of interfaces.

    @ivar left_out: interfaces by which nothing came back since they were added; nothing is announced by them.
    """

    def __init__(self) -> None:
        self.left_out: set[str] = set()
        self._heard: set[str] = set()
        self._misses: dict[str, int] = {}  # rounds in a row without any that came back, by where the last was sent
        self._rejoined: set[str] = set()

    @property
    def is_complete(self) -> bool:
        """True if an announcement has come back by every interface that the last one was sent by."""
        return bool(self._misses) and self._heard >= self._misses.keys()

    @property
    def is_sharp(self) -> bool:
        """True if L{is_complete}, nothing is left out, and what was announced before the last round has come back."""
        return self.is_complete and not self.left_out and not self._silent(2)

    @property
    def unheard(self) -> list[str]:
        """The interfaces that the last announcement was sent by, and by which none has come back since L{restart}."""
        return sorted(self._misses.keys() - self._heard)

    def restart(self) -> None:
        """Forget what was heard: an election begins, in which all interfaces count."""
        self.left_out.clear()
        self._heard.clear()
        self._misses.clear()
        self._rejoined.clear()

    def note_sent(self, interfaces: list[str]) -> None:
        """Note that an announcement was sent by C{interfaces}; those that are not among them do not count any more."""
        self._misses = {name: self._misses.get(name, 0) for name in interfaces}

    def count_round(self) -> None:
        """Count a round of announcements; one that comes back begins the count anew."""
        for name in self._misses:
            self._misses[name] += 1

    def note_heard(self, interface: str) -> bool:
        """Note that an announcement came back by C{interface}; return whether it was left out until now."""
        self._heard.add(interface)
        if interface in self._misses:
            self._misses[interface] = 0
        self._rejoined.discard(interface)
        was_left_out = interface in self.left_out
        self.left_out.discard(interface)
        return was_left_out

    def to_rejoin(self) -> list[str]:
        """Return the interfaces where the group is to be joined anew, each once until something comes back there."""
        silent = [name for name in self._silent(MISSES) if name not in self._rejoined]
        self._rejoined.update(silent)
        return silent

    def leave_out(self) -> tuple[list[str], list[str]]:
        """
        Leave out the interfaces by which nothing has come back, L{GIVE_UP} times or more.

        @return: those of them by which nothing was ever heard; and those by which something was, before it stopped.
        """
        silent = self._silent(GIVE_UP)
        late = [name for name in silent if name not in self._heard]
        self.left_out.update(late)
        for name in late:
            del self._misses[name]
        return late, [name for name in silent if name in self._heard]

    def _silent(self, misses: int) -> list[str]:
        return sorted(name for name, missed in self._misses.items() if missed >= misses)
