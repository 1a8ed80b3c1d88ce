"""
The mark on disk that clients of other hosts hold locks: the next daemon there cannot see whether they still do, and
leaves them time to come (docs/reference/daemon.md, "Clients of other hosts").
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from flom.core.requests import SessionId
from flom.net import holding
from flom.server.state import StateDirectory, StateError

if TYPE_CHECKING:
    from flom.server.arbiter import DeferredArbiter

KEPT: Final = 10.0
"""Seconds without any such holder after which the mark is taken back."""

LOOK: Final = 5.0
"""Seconds between two looks whether there is one, and between two attempts to make a mark that cannot be made."""

_MOST_LOOKED_AT: Final = 500  # holders in one look: others are served meanwhile

_PREFIX: Final = "held-"
_SEEN: Final = "seen-"  # in the place of a state directory: there was a daemon at this address since the boot
_TEXT: Final = b"clients of other hosts may hold locks of the daemon at this address\n"

_HELD: Final = "clients of other hosts held locks when the last daemon here ended"
_DOUBT: Final = "it is not known whether clients of other hosts hold locks"
_FIRST: Final = f"no state directory (--state), and no daemon here since the boot: {_DOUBT}"

Address = tuple[str, int]
"""Host and port, as numbers."""


class Mark:
    """
    A file for each TCP address of a daemon, which is there while clients of other hosts may hold locks.

    It is made before the first of them is told that it holds one: once for a busy period, whatever is granted in it.

    @ivar problem: why the next daemon may not learn of such holders; the empty string if it does.
    @ivar is_of_other_place: true if a mark was found at the start that is of another address, whose clients were ours.
    """

    _log = Logger()

    def __init__(self, arbiter: DeferredArbiter, clock: IReactorTime, addresses: Iterable[Address]) -> None:
        """
        @param arbiter: what they hold locks of; its L{DeferredArbiter.epochs} have the state directory, if there is
            one.
        @param addresses: where clients of other hosts can connect to this daemon.
        """
        self.problem = ""
        self.is_of_other_place = False
        self._arbiter = arbiter
        self._clock = clock
        self._addresses = list(addresses)
        self._names = [_name_of(address) for address in self._addresses]
        self._found: list[str] = []  # marks of earlier daemons, which stand for ours
        self._state: StateDirectory | None = None
        self._holders: dict[SessionId, None] = {}  # and others, which do not hold anything any more
        self._is_busy = False  # whether others have held anything since the last look
        self._is_set = False
        self._has_failed = False  # since the last look
        self._grace_until = self._busy_at = clock.seconds()
        self._timer: IDelayedCall | None = None

    def begin(self, grace: float) -> str:
        """
        Look for the mark of an earlier daemon.

        @param grace: seconds that holders have to come if they may be missing.
        @return: in words, why they may be; the empty string if none is.
        """
        why = self._look_back()
        if why:
            self._grace_until = self._busy_at = self._clock.seconds() + grace
        if self._is_set:
            self._set_timer()
        return why

    def note_grant(self, session: SessionId) -> None:
        """Note that C{session}, of a client of another host, has been granted a lock; call this before it is told."""
        self._is_busy = True
        self._holders[session] = None
        if not self._is_set and not self._has_failed:
            self._set()

    def forget(self, session: SessionId) -> None:
        """Note that C{session} has ended."""
        if session in self._holders:
            del self._holders[session]
            self._is_busy = True

    def stop(self) -> None:
        """End: take the mark back, unless the next daemon has to wait for what is held now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        is_held = any(map(self._arbiter.holds, self._holders))
        if self._is_set and not is_held and self._clock.seconds() >= self._grace_until:
            self._take_back()

    def _look_back(self) -> str:
        """Find the marks of earlier daemons, and whether one could be made; return what L{begin} does."""
        found: list[str] = []
        try:
            self._state = self._arbiter.epochs.state or _volatile()
            names = self._state.names()
            found = [name for name in names if self._is_of_us(name)]
            for name in found:
                self._state.read(name)
        except StateError as e:
            self._state = None  # what none of us has written is left alone
            return self._doubt(e)
        self._found, self._is_set = found, bool(found)
        self.is_of_other_place = not set(found) <= set(self._names)
        try:
            self._state.check_room()
            if self._arbiter.epochs.state is None and not {_SEEN + name for name in self._names} <= set(names):
                return self._note_first(self._state)
        except StateError as e:
            return self._doubt(e)
        return _HELD if found else ""

    def _note_first(self, state: StateDirectory) -> str:
        """Note that there has been a daemon; the mark comes before, for one that comes while this one still waits."""
        self._set()
        for name in self._names:
            state.replace(_SEEN + name, b"")
        return _FIRST

    def _doubt(self, error: StateError) -> str:
        self.problem = str(error)
        return f"{error}: {_DOUBT}"

    def _is_of_us(self, name: str) -> bool:
        """Return whether C{name} is that of the mark of a daemon that may have had clients of one of our addresses."""
        host, _, port = name.removeprefix(_PREFIX).rpartition("-")
        return name.startswith(_PREFIX) and any(
            str(our_port) == port and (host == our_host or host in holding.ANY or our_host in holding.ANY)
            for our_host, our_port in self._addresses
        )

    def _set(self) -> None:
        try:
            if self._state is None:
                raise StateError(self.problem)
            for name in self._names:
                self._state.replace(name, _TEXT)
        except StateError as e:
            self._has_failed = True
            self._note(str(e))
        else:
            self._is_set, self.problem = True, ""
        self._set_timer()

    def _take_back(self) -> None:
        assert self._state is not None
        self._is_set = False
        try:
            for name in {*self._names, *self._found}:
                self._state.remove(name)
            self._found = []
        except StateError as e:
            self._log.warn("{problem}: the next daemon waits for clients of other hosts", problem=str(e))

    def _look(self) -> None:
        """See whether there is any such holder, and take the mark back if there was none for a while."""
        self._timer = None
        now = self._clock.seconds()
        if self._is_busy or self._holders or now < self._grace_until:
            self._busy_at = now
        for session in list(islice(self._holders, _MOST_LOOKED_AT)):
            del self._holders[session]
            if self._arbiter.holds(session):
                self._holders[session] = None  # at the end: the next look begins with others
        self._is_busy = self._has_failed = False
        if self._holders and not self._is_set:
            self._set()
        elif self._is_set and now - self._busy_at >= KEPT:
            self._take_back()
        if self._is_set or self._holders:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(LOOK, self._look)

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            text = "{problem}: if this daemon is killed, the next one may not wait for clients of other hosts"
            self._log.warn(text, problem=problem)


def _name_of(address: Address) -> str:
    return f"{_PREFIX}{address[0]}-{address[1]}"


def _volatile() -> StateDirectory:
    """Return a directory for daemons that have none, which a boot empties; L{StateError} if it is of no use."""
    return StateDirectory(os.path.join(holding.PLACE, f"{holding.prefix()}marks-{os.geteuid()}"))
