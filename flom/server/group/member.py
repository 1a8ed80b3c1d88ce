"""
A daemon in its multicast group: it takes part in the election, and tells those who look for a daemon where it is if it
leads (docs/compatibility.md, "Discovery by the daemon").
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from socket import gethostname
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from flom._version import __version__
from flom.core.effects import Instant
from flom.core.group.addresses import Group, Sender, destination
from flom.core.group.election import FLOM, Action, Announce, Deaf, Election, Follow, Lead, Outrank, Relay, Verify, Yield
from flom.core.group.timing import DEFAULT_TIMING, Timing
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from flom.core.protocol.wire import MAX_MESSAGE_SIZE, decode, encode
from flom.errors import RemoteProtocolError
from flom.interfaces import IReactor
from flom.net.multicast import NoMulticast
from flom.reactor.endpoints import connect_within
from flom.reactor.multicast_port import GroupPort
from flom.text import host_port

MAX_AMPLIFICATION: Final = 64
"""Bytes by which an answer of more than FLoM's may be longer than its question."""

ORPHAN_MEMORY: Final = 2.0
"""Seconds for which somebody who wants to regain a lock is remembered; he asks several times a second."""

_GOODBYES: Final = 3  # each of them may get lost
_MENTION: Final = 1.0  # seconds between two lines in the log
_REJOIN: Final = 1.0  # seconds between two looks for new interfaces
_REACH_TIMEOUT: Final = 2.0  # seconds for connecting to another leader


class MemberObserver:
    """Hears what happens to a member of a group; subclasses override what they need."""

    def role_changed(self, role: Role, leader: Standing | None) -> None:
        """
        Note what the daemon has become.

        @param leader: the daemon that it leaves the granting to, if there is one.
        """

    def was_asked(self, *, is_orphan: bool) -> None:
        """
        Note that a client asks for a daemon of the group.

        @param is_orphan: whether it holds a lock of a daemon that has gone, and looks for the successor.
        """

    def is_deaf(self, why: str) -> None:
        """Note that the daemon cannot be elected because it does not hear the group."""


class GroupMember(DatagramProtocol):
    """
    This daemon among the others of its group.

    A datagram that is not for it is ignored (docs/compatibility.md, "A datagram can end the daemon").
    """

    _log = Logger()

    transport: Any  # a GroupPort, which the base class cannot say

    def __init__(
        self,
        group: Group,
        address: tuple[str, int] | None,
        reactor: IReactor,
        instant: Callable[[], Instant],
        observer: MemberObserver,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """
        @param address: host and TCP port that clients are sent to; the empty host for where the answer comes from.
            C{None} to answer no client.
        @param reactor: has the timers, and connects to other leaders to check whether they are there.
        """
        self._group = group
        self._address = address
        self._reactor = reactor
        self._instant = instant
        self._observer = observer
        self._shown_role: Role | None = None
        self._host = gethostname()
        now, wall = self._now()
        self._election = Election(secrets.token_hex(8), now, wall, timing)
        self._timer: IDelayedCall | None = None
        self._joined_at = now
        self._has_started = False
        self._orphan_heard_at = now - ORPHAN_MEMORY
        self._is_silenced = False
        self._reaching: Deferred[Any] | None = None
        self._mentioned: dict[str, float] = {}  # what was logged when

    @property
    def election(self) -> Election:
        """What this daemon is to its group."""
        return self._election

    @property
    def has_orphans(self) -> bool:
        """Whether some hold locks of a daemon that has gone, and want to regain them from its successor."""
        return self._now()[0] - self._orphan_heard_at < ORPHAN_MEMORY

    def open(self) -> GroupPort:
        """
        Join the group and stand for election.

        @raise CannotListenError: the port is taken by a program that does not share it.
        @raise NoMulticast: the group cannot be joined.
        """
        port = GroupPort(self._group, self, self._reactor, is_member=True)
        port.startListening()
        return port

    def finished(self) -> None:
        """Take it that nobody holds anything here any more, after we had to yield."""
        self._election.finished()

    def leave(self) -> None:
        """Say goodbye."""
        for action in self._election.leave() * _GOODBYES:
            self._act([action])
        self._stop_timer()

    def startProtocol(self) -> None:
        self._join()
        self._show_role(None)
        self._tick()
        self._has_started = True

    def stopProtocol(self) -> None:
        self._stop_timer()
        if self._reaching is not None:
            self._reaching.cancel()

    def datagramReceived(self, datagram: bytes, addr: Sender) -> None:
        if len(datagram) > MAX_MESSAGE_SIZE:
            return
        try:
            message = decode(datagram)
        except RemoteProtocolError as e:
            self._mention("ignoring a datagram of {sender}: {why}", sender=host_port(*addr), why=str(e))
            return
        match message:
            case Discover(standing=Standing() as other):
                if message.group != self._group.address:
                    pass
                elif message.relayed:
                    self._act(self._election.hear_of(other, *self._now()), addr)
                else:
                    self._hear(other, addr, message.address, message.port)
            case Discover():
                self._answer(message, len(datagram), addr)
            case Discovered(standing=None) | Discovered(standing=Standing(role=Role.LEADER)):
                self._hear(message.standing or FLOM, addr, message.address, message.port)

    def _now(self) -> tuple[float, int]:
        now = self._instant()
        return now.monotonic, round(now.wall * 1000)

    def _tick(self) -> None:
        self._timer = None
        if self._now()[0] - self._joined_at >= _REJOIN:
            self._join()
        self._act(self._election.tick(*self._now()))

    def _hear(self, other: Standing, sender: Sender, address: str, port: int) -> None:
        where = destination(address, sender, self._group)
        self._act(self._election.hear(other, *self._now()), sender, (where, port))

    def _act(self, actions: list[Action], sender: Sender = ("", 0), place: Sender = ("", 0)) -> None:
        """
        Carry out C{actions}.

        @param sender: who was heard, if it was that which led to them.
        @param place: where it listens for connections.
        """
        for action in actions:
            match action:
                case Announce(standing):
                    self._announce(self._spell(standing))
                case Relay(standing):
                    self._send(encode(Discover(self._group.address, standing=standing, relayed=True)), sender)
                case Lead():
                    self._log.info("leading {group}", group=self._group)
                    self._show_role(None)
                case Follow(leader):
                    self._mention("standing by: {other} leads", other=_name(leader, sender))
                    self._show_role(leader)
                case Verify(rival):
                    self._verify(rival, sender, place)
                case Outrank(rival):
                    self._log.error(
                        "two leaders of {group}: {other} has to yield to this one, {own}",
                        group=self._group,
                        other=_name(rival, sender),
                        own=self._own_name(),
                    )
                case Deaf():
                    self._observer.is_deaf(
                        f"{self._group}: what this host sends to the group does not come back to it, so others would "
                        "not be heard either: does a firewall drop it? No daemon is elected here; flomctl doctor may "
                        "tell more"
                    )
                case Yield(rival):
                    self._log.error(
                        "two leaders of {group}: this one, {own}, yields to {other} and grants nothing more",
                        group=self._group,
                        other=_name(rival, sender),
                        own=self._own_name(),
                    )
                    self._show_role(rival)
        if self._election.role is not self._shown_role:
            self._show_role(None)
        self._stop_timer()
        if self.transport is not None:
            delay = max(0.0, self._election.deadline - self._now()[0])
            self._timer = self._reactor.callLater(delay, self._tick)

    def _show_role(self, leader: Standing | None) -> None:
        self._shown_role = self._election.role
        self._observer.role_changed(self._shown_role, leader)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _join(self) -> None:
        """Join the group on interfaces that have come."""
        self._joined_at = self._now()[0]
        try:
            joined = self.transport.join()
        except NoMulticast as e:
            self._complain(e)
            return
        for name in joined:
            self._log.info(
                "{log_id} joined {group} on {interface}", log_id="FLM002I", group=self._group, interface=name
            )

    def _announce(self, datagram: bytes) -> None:
        try:
            self.transport.tell(datagram)
        except NoMulticast as e:
            self._election.was_unheard()
            self._complain(e)
        else:
            self._is_silenced = False

    def _spell(self, standing: Standing) -> bytes:
        address, port = self._address or ("", 0)
        return encode(Discover(self._group.address, standing=standing, address=address, port=port))

    def _complain(self, why: NoMulticast) -> None:
        """Say that there is no way to the group: a reason not to start, but not to end."""
        if not self._has_started:
            raise why
        if not self._is_silenced:
            self._is_silenced = True
            self._log.error("{why}", why=str(why))

    def _send(self, datagram: bytes, addressee: Sender) -> None:
        with suppress(OSError):  # there is no way to it: as good as lost
            self.transport.write(datagram, addressee)

    def _answer(self, question: Discover, size: int, asker: Sender) -> None:
        """Tell the asker, and nobody else, where the daemon is; what is more than FLoM tells only if that is asked."""
        if question.group not in ("", self._group.address):
            return
        if question.orphaned:
            self._orphan_heard_at = self._now()[0]
        self._observer.was_asked(is_orphan=question.orphaned)
        if self._address is None:
            return
        if self._election.role is not Role.LEADER and not question.everyone:
            return
        plain = encode(Discovered(*self._address))
        if question.group:
            full = encode(Discovered(*self._address, self._election.standing, self._host, __version__))
            if len(full) <= size + MAX_AMPLIFICATION:
                self._send(full, asker)
                return
        if self._election.role is Role.LEADER:
            self._send(plain, asker)

    def _verify(self, rival: Standing, sender: Sender, place: Sender) -> None:
        """Yield to C{rival} if it can be reached: a datagram is easily forged, and clients could be kept from it."""
        if self._reaching is not None or not place[1]:
            return
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        reaching = self._reaching = connect_within(_REACH_TIMEOUT, self._reactor, *place, factory)

        def reached(protocol: Any) -> None:
            self._reaching = None
            peer, own = protocol.transport.getPeer(), protocol.transport.getHost()
            protocol.transport.loseConnection()
            if self._address is not None and (peer.host, peer.port) == (own.host, self._address[1]):
                return  # that is this daemon: somebody has made it up
            self._act(self._election.yield_to(rival, *self._now()), sender)

        def not_reached(failure: Failure) -> None:
            self._reaching = None
            if not failure.check(CancelledError, ConnectingCancelledError):  # as when we are leaving
                why = failure.getErrorMessage()
                text = "{other} says that it leads, but cannot be reached: {why}"
                self._mention(text, LogLevel.warn, other=_name(rival, sender), why=why)

        reaching.addCallbacks(reached, not_reached)

    def _mention(self, text: str, level: Any = LogLevel.info, **fields: object) -> None:
        """Log what anybody can bring about by a datagram, each thing once a second at most."""
        now, _ = self._now()
        if now - self._mentioned.get(text, -_MENTION) >= _MENTION:
            self._mentioned[text] = now
            self._log.emit(level, "{group}: " + text, group=self._group, **fields)

    def _own_name(self) -> str:
        return f"{self._election.standing.node} on {self._host}"


def _name(other: Standing, sender: Sender) -> str:
    return f"{'FLoM' if other == FLOM else other.node} at {host_port(*sender)}"
