"""Asking a multicast group for its daemons, without a reactor (docs/compatibility.md, "Discovery by the client")."""

from __future__ import annotations

from select import POLLIN
from time import monotonic

from flom.client.blocking.stream import wait_for
from flom.core.group.addresses import Group
from flom.core.group.discovery import FoundDaemon, Search, describe_question
from flom.core.group.timing import Timing
from flom.core.protocol.framing import MAX_ANSWER_SIZE
from flom.errors import LockTimeout
from flom.net.multicast import NoMulticast, open_group_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Final

_DATAGRAMS_AT_ONCE: Final = 64
"""Datagrams read before the next question may be sent, however many more have come."""


class Asker:
    """
    Asks a group for its daemons; a context manager.

    @ivar problem: why nothing could be sent to the group the last time; C{None} if that was possible.
    """

    def __init__(
        self,
        group: Group,
        deadline: float,
        say: Callable[[str], None],
        *,
        everyone: bool = False,
        orphaned: bool = False,
    ) -> None:
        """
        @param deadline: a time of C{time.monotonic}, at which L{LockTimeout} ends the asking.
        @param say: called with each line about what is sent and received.
        @param everyone: ask the daemons that stand by too, from the first question on.
        @param orphaned: see L{flom.core.protocol.messages.Discover.orphaned}.
        @raise NoMulticast: no socket can be opened.
        """
        self._group = group
        self._deadline = deadline
        self._say = say
        self._search = Search(group, everyone=everyone, orphaned=orphaned)
        self._socket = open_group_socket(group, is_member=False)
        self.problem: NoMulticast | None = None

    def __enter__(self) -> Asker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def found(self) -> list[FoundDaemon]:
        """The daemons that have answered up to now, the one to choose first."""
        return self._search.found

    @property
    def leaders(self) -> list[FoundDaemon]:
        """Those of L{found} that lead."""
        return self._search.leaders

    @property
    def port_number(self) -> int:
        """The UDP port that the questions come from."""
        return self._socket.number

    def ask(self, wait: float) -> list[FoundDaemon]:
        """
        Ask once; see L{Search.ask}.

        @return: L{leaders}.
        @raise LockTimeout: it is the deadline.
        """
        self._search.ask(wait)
        return self._finish()

    def ask_often(self, attempts: int, wait: float) -> list[FoundDaemon]:
        """
        Ask until a leader answers; see L{Search.ask_often}.

        @return: L{leaders}.
        @raise LockTimeout: it is the deadline.
        """
        self._search.ask_often(attempts, wait)
        return self._finish()

    def ask_successor(self, timing: Timing) -> list[FoundDaemon]:
        """
        Ask until another daemon has taken over; see L{Search.ask_successor}.

        @return: L{leaders}.
        @raise LockTimeout: it is the deadline.
        """
        self._search.ask_successor(timing)
        return self._finish()

    def collect(self, wait: float) -> None:
        """
        Ask once, and take what comes within C{wait} seconds, however many answer.

        @raise LockTimeout: it is the deadline.
        """
        self._search.collect(wait)
        self._finish()

    def _finish(self) -> list[FoundDaemon]:
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
            self._say(describe_question(self._group, question))
        try:
            told = self._socket.tell(question)
            self.problem = None
            if is_first:
                self._say(f"asked by {', '.join(told)}")
        except NoMulticast as e:
            self.problem = e
        if (own_host := self._group.own_host) is not None:
            try:
                self._socket.send_to(question, own_host)
            except OSError:
                pass  # no daemon of this host listens, or its network is down

    def _wait(self, until: float) -> None:
        """Wait for a datagram."""
        try:
            wait_for(self._socket.udp, POLLIN, min(until, self._deadline))
        except LockTimeout:
            if monotonic() >= self._deadline:
                raise

    def _receive(self) -> None:
        """Pass on what has arrived."""
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                arrived = self._socket.receive(MAX_ANSWER_SIZE + 1)
            except BlockingIOError:
                return
            except OSError:
                continue  # the port of a daemon that has gone
            if arrived is not None and (line := self._search.receive(*arrived, monotonic())) is not None:
                self._say(line)
