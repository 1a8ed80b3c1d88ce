"""Asking a multicast group for its daemons, without a reactor (docs/compatibility.md, "Discovery by the client")."""

from __future__ import annotations

from select import POLLIN
from time import monotonic

from flom.client.blocking.stream import wait_for
from flom.core.group.discovery import FoundDaemon, Search, describe_question
from flom.core.protocol.framing import MAX_ANSWER_SIZE
from flom.errors import LockTimeout
from flom.net.multicast import NoMulticast, open_group_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_DATAGRAMS_AT_ONCE: Final = 64  # that are read before the next question may be sent, however many have come


class Asker:
    """
    Asks a group for its daemons; a context manager.

    @ivar socket: that the questions come from.
    @ivar problem: why nothing could be sent to the group the last time; C{None} if that was possible.
    """

    def __init__(self, search: Search, deadline: float, say: Callable[[str], None]) -> None:
        """
        @param search: the caller begins it, as often as it likes, and calls L{finish} each time.
        @param deadline: a time of C{time.monotonic}, at which L{LockTimeout} ends the asking.
        @param say: called with each line about what is sent and received.
        @raise NoMulticast: no socket can be opened.
        """
        self.socket = open_group_socket(search.group, is_member=False)
        self._search = search
        self._deadline = deadline
        self._say = say
        self.problem: NoMulticast | None = None

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def finish(self) -> list[FoundDaemon]:
        """Ask and wait until the search is over or it is the deadline; return the leaders that have answered."""
        search = self._search
        while search.wake is not None:
            self._receive()  # first: an answer counts that came while this process did not run
            question = search.advance(monotonic())
            if question is not None:
                self._send(question)
            elif search.wake is not None:
                self._wait(search.wake)
        if monotonic() >= self._deadline:
            raise LockTimeout("too late")
        return search.leaders

    def _send(self, question: bytes) -> None:
        is_first = self._search.questions == 1
        if is_first:
            self._say(describe_question(self._search.group, question))
        try:
            told = self.socket.tell(question)
            self._search.networks = self.socket.networks
            self.problem = None
            if is_first:
                self._say(f"asked by {', '.join(told)}")
        except NoMulticast as e:
            self.problem = None if self._search.group.is_own_host else e  # which is asked below
        if (own_host := self._search.group.own_host) is not None:
            try:
                self.socket.send_to(question, own_host)
            except OSError:
                pass  # no daemon of this host listens, or its network is down

    def _wait(self, until: float) -> None:
        try:
            wait_for(self.socket.udp, POLLIN, min(until, self._deadline))
        except LockTimeout:
            if monotonic() >= self._deadline:
                raise

    def _receive(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                arrived = self.socket.receive(MAX_ANSWER_SIZE + 1)
            except BlockingIOError:
                return
            except OSError:
                continue  # the port of a daemon that has gone
            if arrived is not None and (line := self._search.receive(*arrived, monotonic())) is not None:
                self._say(line)
