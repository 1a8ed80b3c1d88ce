"""Asking a multicast group for its daemons, on a reactor (docs/compatibility.md, "Discovery by the client")."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol

from flom.core.group.addresses import Group, Sender
from flom.core.group.discovery import FoundDaemon, Search, describe_question
from flom.interfaces import IReactor
from flom.net.multicast import NoMulticast
from flom.reactor.multicast_port import GroupPort


class Asker(DatagramProtocol):
    """
    Drives a search, which its user has begun; a context manager.

    @ivar search: the L{Search}.
    @ivar problem: why nothing could be sent to the group the last time; C{None} if that was possible.
    """

    def __init__(self, group: Group, reactor: IReactor, say: Callable[[str], None], holder: int = 0) -> None:
        """
        @param say: called with each line about what is sent and received.
        @param holder: the number of a holder that looks for the daemon that takes over, to reclaim its lock; 0 for any
            other client.
        """
        self.search = Search(group, orphaned=holder != 0, holder=holder)
        self._group = group
        self._reactor = reactor
        self._say = say
        self._alarm: IDelayedCall | None = None
        self._port = GroupPort(group, self, reactor, is_member=False)
        self.problem: NoMulticast | None = None

    def __enter__(self) -> Asker:
        self._port.startListening()
        return self

    def __exit__(self, *_: object) -> None:
        self._port.stopListening()

    async def finish(self) -> list[FoundDaemon]:
        """Ask until L{search} is over; return the leaders, the one to choose first."""
        search = self.search
        while search.wake is not None:
            question = search.advance(self._reactor.seconds())
            if question is not None:
                self._send(question)
            elif search.wake is not None:
                await self._sleep(search.wake)
        return search.leaders

    def datagramReceived(self, datagram: bytes, addr: Sender) -> None:
        line = self.search.receive(datagram, addr, self._reactor.seconds())
        if line is not None:
            self._say(line)
        if self._alarm is not None and self._alarm.active():
            self._alarm.reset(0.0)  # the search may want to be woken earlier now

    def _sleep(self, until: float) -> Deferred[None]:
        """Return what fires at C{until}, in seconds of the reactor's clock, or at an answer."""
        over: Deferred[None] = Deferred(canceller=lambda _: alarm.cancel())
        seconds = max(0.0, until - self._reactor.seconds())
        self._alarm = alarm = self._reactor.callLater(seconds, over.callback, None)
        return over

    def _send(self, question: bytes) -> None:
        is_first = self.search.questions == 1
        if is_first:
            self._say(describe_question(self._group, question))
        try:
            told = self._port.tell(question)
            self.search.networks = self._port.networks
            self.problem = None
            if is_first:
                self._say(f"asked by {', '.join(told)}")
        except NoMulticast as e:
            self.problem = None if self._group.is_own_host else e  # which is asked below
        if (own_host := self._group.own_host) is not None:
            try:
                self._port.write(question, own_host)
            except OSError:
                pass  # no daemon of this host listens, or its network is down
