"""Looking for the daemon of a multicast group, without a reactor (docs/compatibility.md, "Discovery by the client")."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from select import POLLIN
from time import monotonic
from types import TracebackType

from flom.client.blocking.stream import wait_for
from flom.client.deferred.discovery import INTERREGNUM, SETTLE, Answer, Answers
from flom.core.group.addresses import Group
from flom.core.group.discovery import ASK_AGAIN
from flom.core.protocol.messages import Discover
from flom.core.protocol.wire import MAX_ANSWER_SIZE, encode
from flom.errors import LockTimeout
from flom.net.multicast import NoMulticast, sender_of, set_up, tell_group


class Search:
    """Asks a group who leads it; a context manager."""

    def __init__(self, group: Group, deadline: float, say: Callable[[str], None]) -> None:
        """
        @param deadline: a time of C{time.monotonic}, when it is too late for an answer.
        @param say: told what is sent and received.
        @ivar problem: why nothing could be sent to the group the last time, if that was so.
        """
        self._group = group
        self._deadline = deadline
        self._answers = Answers(group, say)
        self._is_everyone_asked = False
        self._socket = socket.socket(socket.AF_INET6 if group.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.problem: NoMulticast | None = None

    def __enter__(self) -> Search:
        set_up(self._socket, self._group)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask_often(self, attempts: int, wait: float) -> list[Answer]:
        """
        Ask until there is an answer, at most C{attempts} times.

        If some stand by, there will be a leader soon: then we go on asking, for L{INTERREGNUM}.

        @param wait: seconds to wait each time.
        @return: those of daemons that lead, the one to choose first.
        @raise LockTimeout: it is the deadline.
        """
        for _ in range(attempts):
            if leaders := self._ask(wait):
                return leaders
            self._is_everyone_asked = True
        give_up = monotonic() + INTERREGNUM
        while self._answers and monotonic() < give_up:
            if leaders := self._ask(ASK_AGAIN):
                return leaders
        return []

    def _ask(self, wait: float) -> list[Answer]:
        """Ask once."""
        self._send()
        self._collect(monotonic() + wait, until_one=True)
        if self._answers.leaders:
            self._collect(monotonic() + SETTLE)  # all clients are to choose the same
        if monotonic() >= self._deadline:
            raise LockTimeout("too late")
        return self._answers.leaders

    def _send(self) -> None:
        """Ask the group, and the port of a daemon on this host, which hears us even where multicast does not work."""
        question = encode(Discover(self._group.address, self._is_everyone_asked))
        try:
            tell_group(self._socket, self._group, question)
            self.problem = None
        except NoMulticast as e:
            self.problem = e
        if not self._group.interface:
            with suppress(OSError):
                self._socket.sendto(question, ("::1" if self._group.is_ipv6 else "127.0.0.1", self._group.port))

    def _collect(self, until: float, *, until_one: bool = False) -> None:
        """Take what comes, until somebody has answered who leads if C{until_one}."""
        while not (until_one and self._answers.leaders):
            try:
                wait_for(self._socket, POLLIN, min(until, self._deadline))
                datagram, address = self._socket.recvfrom(MAX_ANSWER_SIZE + 1)
            except LockTimeout:
                return
            except OSError:
                continue  # nothing after all, or a port of this host where nobody listens
            self._answers.take(datagram, sender_of(address))
