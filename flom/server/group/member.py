"""
A daemon in its multicast group: it takes part in the election and, while it leads, answers clients that look for a
daemon (docs/compatibility.md, "Discovery by the daemon").
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger, LogLevel
from typing_extensions import assert_never

from flom._version import __version__
from flom.core.effects import Instant
from flom.core.grace import LOOKING, Looking
from flom.core.group.addresses import Group, Sender, destination
from flom.core.group.appointment import Appointment
from flom.core.group.election import (
    GOODBYES,
    Action,
    Announce,
    BecameCandidate,
    BecameStandby,
    Deaf,
    Election,
    Follow,
    Lead,
    Outrank,
    Relay,
    Verify,
    Yield,
    successor_of,
)
from flom.core.group.hearing import Hearing
from flom.core.group.key import promise_of, vouch
from flom.core.group.listening import Address, Listening
from flom.core.group.ranking import FLOM
from flom.core.group.timing import DEFAULT_TIMING, Timing
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_MESSAGE_SIZE
from flom.core.protocol.messages import Discover, Discovered, Message, Offer, Role, Standing
from flom.errors import RemoteProtocolError
from flom.interfaces import IReactor
from flom.net.multicast import NoMulticast
from flom.reactor.multicast_port import GroupPort
from flom.server.group.predecessor import Predecessor
from flom.server.group.rival import RivalObserver, Rivals, Source
from flom.text import host_port, reason

if TYPE_CHECKING:
    from flom.core.locks.overlap import Digests, HeldThere
    from flom.net.campaign import Campaign
    from flom.tls.context import Tls

MAX_AMPLIFICATION: Final = 64
"""Bytes by which the extended answer may exceed the question, or the short one is sent: against reflected floods."""

LEADER_MEMORY: Final = 10.0
"""Seconds for which another leader is remembered: it is shown what is held here, if it asks."""

PROMISE: Final = 5.0
"""Seconds for which a leader has to hand over after it has announced that."""

HOLD: Final = 6.0
"""Seconds for which questions are held at most; a handover whose end is not known then has failed."""

REDIRECT: Final = 0.5
"""Seconds for which a leader that has handed over sends clients to the next one, as long as it follows that."""

MISSED: Final = 0.5
"""Seconds for which a daemon that is appointed remembers questions that it has heard before: no leader has answered."""

_MOST_HELD: Final = 1000  # questions
_MOST_MISSED: Final = 64
_MOST_LEADERS: Final = 100  # that are remembered; as many standbys are
_LOG_PAUSE: Final = 1.0  # seconds between two lines of the same kind in the log
_REJOIN: Final = 1.0  # seconds after which new interfaces are looked for again


class Standby(NamedTuple):
    """
    A daemon that stands by.

    @ivar host: the name of its host; may be empty.
    """

    standing: Standing
    source: Source
    host: str

    @property
    def name(self) -> str:
        """Its host and address, for a line to a user."""
        return f"{self.host or 'unknown host'}, {host_port(*self.source.server)}"


class _Successor(NamedTuple):
    """The daemon to which this one hands over, see L{GroupMember.announce_successor}."""

    node: str
    promise: str
    on_lead: Callable[[], None]


class MemberObserver:
    """Hears what happens to a member of a group; subclasses override what they need."""

    def role_changed(self, role: Role, leader: Standing | None) -> None:
        """Note what the daemon has become, and C{leader}, the daemon that it leaves the granting to."""

    def was_asked(self, *, is_orphan: bool, holder: int) -> None:
        """Note that a client asks for a daemon; C{is_orphan} if it holds a lock of one that has gone, as C{holder}."""

    def epoch(self) -> int:
        """Return the epoch of this daemon's fencing tokens, which it announces while it leads; 0 for none."""
        return 0

    def heard_epoch(self, epoch: int) -> None:
        """Note that of another daemon that leads, or has led until now."""

    def prevailed(self) -> None:
        """Note that another daemon that leads too has to yield to this one."""

    def is_deaf(self, why: str) -> None:
        """Note that the daemon cannot be elected because it does not hear the group."""

    def holds_elsewhere(self, rival: str, held: list[HeldThere], digests: Digests) -> None:
        """Note what is held at another leader, C{rival}, see L{flom.core.locks.overlap.contested}."""


class GroupMember(DatagramProtocol, RivalObserver):
    """
    This daemon as a member of its group.

    A datagram that is not for it is ignored (docs/compatibility.md, "A datagram can end the daemon").

    @ivar election: the part of this daemon in it.
    @ivar predecessor: the last other leader.
    @ivar leader: names the daemon for which this one stands by, or has stood by last; the empty string for none.
    """

    _log = Logger()

    transport: Any  # a GroupPort, which the base class cannot say

    def __init__(
        self,
        group: Group,
        listening: Listening | None,
        reactor: IReactor,
        instant: Callable[[], Instant],
        observer: MemberObserver,
        timing: Timing = DEFAULT_TIMING,
        tls: Tls | None = None,
        campaign: Campaign | None = None,
        waits_for_network: bool = False,
        *,
        is_appointed: bool = False,
    ) -> None:
        """
        @param listening: where it listens; C{None} to answer no client.
        @param reactor: has the timers, and connects to other leaders to check whether they are there.
        @param tls: this end of TLS, as for clients; C{None} for plain text.
        @param campaign: to go on with; C{None} to begin one.
        @param waits_for_network: whether there may be no way to the group yet.
        @param is_appointed: whether it leads while L{appoint} says so, instead of by an election.
        """
        self._group = group
        self._campaign = campaign
        self._listening = listening
        self._reactor = reactor
        self._instant = instant
        self._observer = observer
        self._host = gethostname()
        now, wall = self._now()
        self._appointment = Appointment(secrets.token_hex(8), now, wall, timing) if is_appointed else None
        self.election: Election
        if self._appointment is not None:
            self.election = self._appointment
        elif campaign is None:
            self.election = Election(secrets.token_hex(8), now, wall, timing)
        else:
            self.election = Election(campaign.standing.node, campaign.began, campaign.standing.since, timing)
        self._hearing = Hearing()
        self._lost: list[str] = []  # interfaces that have become deaf while this daemon led
        self._timer: IDelayedCall | None = None
        self._joined_at = now
        self._waits_for_network = waits_for_network
        self._has_started = False
        self._orphan_heard_at = now - LOOKING
        self._looking = Looking()
        self._has_complained = False
        self._rivals = Rivals(group, self.election.standing.node, reactor, self, tls)
        self.predecessor = Predecessor(reactor, timing)
        self.leader = ""
        self._leaders: dict[str, float] = {}  # when other leaders were heard last, by node
        self._announced = 0  # announcements so far
        self._heard: dict[str, int] = {}  # the number of the last announcement of others, by node
        self._logged_at: dict[str, float] = {}  # by the text of the line
        self._standbys: dict[str, Standby] = {}  # by node
        self._successor: _Successor | None = None  # to which this daemon is about to hand over
        self._promise: tuple[str, str] | None = None  # the leader that hands over to this daemon, and its promise
        self._promised_at = now
        self._held: list[tuple[Discover, int, Sender, Any]] | None = None  # with size, asker, and how they came
        self._holding: IDelayedCall | None = None
        self._redirected: tuple[Discovered, float] | None = None  # what clients are told, and until when
        self._missed: deque[tuple[float, Discover, int, Sender, Any]] = deque(maxlen=_MOST_MISSED)  # when, and as held

    @property
    def has_orphans(self) -> bool:
        """True if a client that wants to reclaim a lock was heard in the last L{LOOKING} seconds."""
        return self._now()[0] - self._orphan_heard_at < LOOKING

    def take_looking(self) -> Looking:
        """Return the clients that are known to look for a daemon to reclaim locks from; they are forgotten here."""
        looking, self._looking = self._looking, Looking()
        return looking

    def has_heard(self, leader: str) -> bool:
        """Return whether another node, C{leader}, has announced in the last L{LEADER_MEMORY} seconds that it leads."""
        heard = self._leaders.get(leader)
        return heard is not None and self._now()[0] - heard < LEADER_MEMORY

    @property
    def standbys(self) -> list[Standby]:
        """Those that have answered since L{ask_standbys}; the one that has stood by for longest comes first."""
        return sorted(self._standbys.values(), key=lambda standby: (standby.standing.since, standby.standing.node))

    def ask_standbys(self) -> None:
        """Ask the group which daemons stand by."""
        self._standbys.clear()
        with suppress(NoMulticast):  # then there is none
            self.transport.tell(self._seal(Discover(self._group.address, everyone=True)))

    def announce_successor(self, node: str, promise: str, on_lead: Callable[[], None]) -> None:
        """Announce, as the leader, that C{node} is to take over; C{on_lead} is called whenever it is heard to lead."""
        self._successor = _Successor(node, promise, on_lead)
        self._announce(self.election.standing)

    def forget_successor(self) -> None:
        """Announce and expect it no more."""
        self._successor = None

    def hold_questions(self) -> None:
        """Answer no question for L{HOLD} seconds, or until L{answer_held}: it is being decided who leads."""
        self._held = []
        if self._holding is not None:
            self._holding.cancel()
        self._holding = self._reactor.callLater(HOLD, self.answer_held)

    def answer_held(self) -> None:
        """Answer the questions that have come since L{hold_questions}."""
        held, self._held = self._held or [], None
        if self._holding is not None and self._holding.active():
            self._holding.cancel()
        self._holding = None
        for question, size, asker, arrival in held:
            self.transport.arrival = arrival
            self._answer(question, size, asker)

    def hand_over(self, standby: Standby) -> None:
        """
        Stand by for C{standby}, which leads in the place of this daemon.

        For L{REDIRECT} seconds, clients are sent there: a question may have come there before that daemon has led.
        """
        leader = successor_of(self.election.standing, standby.standing.node)
        now, wall = self._now()
        host, port = standby.source.server
        answer = Discovered(host.partition("%")[0], port, leader, standby.host, alone=self._is_alone)
        self._redirected = answer, now + REDIRECT
        self._act(self.election.hand_over(leader, now, wall, standby.source))

    @property
    def is_promised(self) -> bool:
        """True if our leader has announced in the last L{PROMISE} seconds that this daemon is to take over."""
        return self._promise is not None and self._now()[0] - self._promised_at < PROMISE

    def why_not_succeed(self, offer: Offer) -> str:
        """Return why this daemon cannot take over by C{offer}; the empty string if it can."""
        own = self.election.standing.node
        expected = seal_offer(self._group, offer.node, own, offer.nonce).sealed
        if not secrets.compare_digest(expected.encode(), offer.sealed.encode()):
            return "it does not have the key of the group"
        if not self.is_promised or self._promise != (offer.node, promise_of(offer.nonce)):
            return "it has not heard that its leader hands over"
        if not self._hearing.is_complete:
            return "it does not hear what it sends to the group"
        return "" if self.election.can_succeed(offer.node) else "it does not stand by for this leader"

    def succeed(self) -> None:
        """Lead in the place of our leader."""
        self._promise = None
        self._act(self.election.succeed(*self._now()))

    def appoint(self, leads: bool) -> None:
        """Lead the group, or stand by, because the quorum says so."""
        assert self._appointment is not None
        decide = self._appointment.appoint if leads else self._appointment.dismiss
        self._act(decide(*self._now()))

    def open(self) -> GroupPort:
        """
        Join the group and stand for election.

        @raise NoMulticast: the group cannot be joined, unless that is waited for, or a program has the port that does
            not share it.
        """
        opened = None if self._campaign is None else self._campaign.socket
        port = GroupPort(self._group, self, self._reactor, is_member=True, opened=opened)
        try:
            port.startListening()
        except CannotListenError as e:
            raise NoMulticast(f"{self._group}: {reason(e.socketError)}") from e
        return port

    def leave(self) -> None:
        """Announce that this daemon leaves, L{GOODBYES} times."""
        for action in self.election.leave() * GOODBYES:
            self._act([action])
        self._stop_timer()

    def startProtocol(self) -> None:
        if self._campaign is not None:  # its thread uses the port until the reactor runs
            self._show_role(None)
            self._timer = self._reactor.callLater(0.0, self._take_over, self._campaign)
            return
        # on its own host, its clients need no multicast: see Group.own_host
        self._has_started = self._group.is_own_host or self._waits_for_network
        self._join()
        self._show_role(None)
        if self._group.is_own_host:
            self._act(self.election.lead_alone(*self._now()))
        self._tick()
        self._has_started = True

    def _take_over(self, campaign: Campaign) -> None:
        """Go on with C{campaign}, after what was heard meanwhile."""
        self._timer = None
        campaign.stop()
        self._log_joined(campaign.joined)
        self._join()
        self._announced = campaign.announced
        self._hearing.note_sent(self.transport.expected)
        self.transport.hear_again(campaign.heard)
        self.election.resume(campaign.in_a_row, campaign.last_at)
        self._stop_timer()
        self._has_started = True
        self._tick()

    def stopProtocol(self) -> None:
        self._stop_timer()
        self._held = None
        self.answer_held()
        self._rivals.stop()
        self.predecessor.forget()

    def datagramReceived(self, datagram: bytes, addr: Sender) -> None:
        if len(datagram) > MAX_MESSAGE_SIZE:
            return
        try:
            message = decode(datagram)
            self._check_seal(message, datagram)
        except RemoteProtocolError as e:
            self._log_rarely("ignoring a datagram of {sender}: {why}", sender=host_port(*addr), why=str(e))
            return
        match message:
            case Discover(standing=Standing() as other):
                if self._is_repeated(message) or message.group != self._group.address:
                    pass
                elif message.relayed:
                    self._act(self.election.hear_of(other, *self._now(), Source(addr, ("", 0))))
                else:
                    self._hear(other, addr, message)
            case Discover() if self._held is not None and len(self._held) < _MOST_HELD:
                self._held.append((message, len(datagram), addr, self.transport.arrival))
            case Discover():
                self._answer(message, len(datagram), addr)
            case Discovered(standing=Standing(node=node)) if node == self.election.standing.node:
                pass  # by which this daemon has answered itself
            case Discovered(standing=Standing(role=Role.STANDBY) as other):
                source = Source(addr, (destination(message.address, addr, self._group), message.port))
                if len(self._standbys) < _MOST_LEADERS:
                    self._standbys[other.node] = Standby(other, source, message.host)
            case Discovered(standing=None) | Discovered(standing=Standing(role=Role.LEADER)):
                self._hear(message.standing or FLOM, addr, message)

    def _now(self) -> tuple[float, int]:
        now = self._instant()
        return now.monotonic, round(now.wall * 1000)

    def _tick(self) -> None:
        self._timer = None
        if self._now()[0] - self._joined_at >= _REJOIN:
            self._join()
            self._probe()
        if self.election.role is Role.LEADER and not self._group.is_own_host:
            self._check_hearing()
        self._act(self.election.tick(*self._now()))

    def _hear(self, other: Standing, sender: Sender, message: Discover | Discovered) -> None:
        if self._successor is not None and other.node == self._successor.node and other.role is Role.LEADER:
            self._successor.on_lead()
            return
        if isinstance(message, Discover) and message.successor == self.election.standing.node:
            self._promise, self._promised_at = (other.node, message.promise), self._now()[0]
        if other.role is Role.LEADER and other.node:
            self._note_leader(other.node)
        if isinstance(message, Discover) and message.epoch and other.node != self.election.standing.node:
            self._observer.heard_epoch(message.epoch)
        if other.node == self.election.standing.node:
            if self.transport.came_by and self._hearing.note_heard(self.transport.came_by):
                text = "what is sent to {group} by {interface} comes back again"
                self._log.info(text, group=self._group, interface=self.transport.came_by)
            if not self._hearing.is_complete:
                return  # a rival may be where we have not heard ourselves yet
        source = Source(sender, (destination(message.address, sender, self._group), message.port))
        if other.node and other.node != self.election.standing.node:
            if other.role is Role.LEADER:
                self.predecessor.note_heard(source.server)
            elif other.role is Role.LEAVING:
                self.predecessor.forget()
        self._act(self.election.hear(other, *self._now(), source))

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Announce(standing):
                    self._announce(standing)
                case Relay(standing, source):
                    relayed = Discover(self._group.address, standing=standing, relayed=True)
                    self._send(self._seal(relayed), source.sender)
                case BecameCandidate():
                    self.predecessor.reach()
                    self._hearing.restart()
                    self._show_role(None)
                case BecameStandby():
                    self._show_role(None)
                case Lead():
                    self._log.info("leading {group}", group=self._group)
                    self._show_role(None)
                    self._answer_missed()
                case Follow(leader, source):
                    self.leader = _name(leader, source)
                    self._log_rarely("standing by: {other} leads", other=_name(leader, source))
                    self._show_role(leader)
                case Verify(rival, source):
                    self._check(rival, source)
                case Outrank(rival, source):
                    self._log_rivals("{other} has to yield to this one, {own}", rival, source)
                    self._check(rival, source)
                case Deaf():
                    by = f" by {', '.join(unheard)}" if (unheard := self._hearing.unheard or self._lost) else ""
                    self._lost = []
                    self._hearing.restart()
                    self._show_role(None)
                    self._observer.is_deaf(
                        f"{self._group}: what this host sends to the group{by} does not come back to it, so others "
                        "would not be heard either: does a firewall drop it? No daemon is elected here; -n chooses "
                        "the interface of the group, flomctl doctor may tell more"
                    )
                case Yield(rival, source):
                    self.leader = _name(rival, source)
                    self._log_rivals("this one, {own}, yields to {other} and grants nothing more", rival, source)
                    self._show_role(rival)
                case _:
                    assert_never(action)
        self._stop_timer()
        if self.transport is not None:
            delay = max(0.0, self.election.deadline - self._now()[0])
            self._timer = self._reactor.callLater(delay, self._tick)

    def _show_role(self, leader: Standing | None) -> None:
        self._observer.role_changed(self.election.role, leader)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _join(self) -> None:
        """Join the group on new interfaces."""
        self._joined_at = self._now()[0]
        try:
            self._log_joined(self.transport.join())
        except NoMulticast as e:
            self._complain(e)

    def _log_joined(self, interfaces: list[str]) -> None:
        for name in interfaces:
            text = "{log_id} joined {group} on {interface}"
            self._log.info(text, log_id="FLM002I", group=self._group, interface=name)

    def _announce(self, standing: Standing) -> None:
        def write(interface: str, addresses: list[Address]) -> bytes | None:
            if interface in self._hearing.left_out:
                return None
            return self._announcement(standing, self._group.address, addresses)

        self._announced += 1
        try:
            self.transport.tell_each(write)
            self._hearing.note_sent(self.transport.expected)
        except NoMulticast as e:
            self.election.was_unheard()
            self._hearing.note_sent([])
            self._complain(e)
        else:
            self._has_complained = False

    def _announcement(self, standing: Standing, to: str, addresses: list[Address]) -> bytes:
        """Return the announcement of C{standing} to a host or the group, by an interface with C{addresses}."""
        host, port = "", 0
        if self._listening is not None:
            host, port = self._listening.host_for(to, addresses), self._listening.port
        epoch = self._observer.epoch() if standing.role in (Role.LEADER, Role.LEAVING) else 0
        announcement = Discover(
            self._group.address, standing=standing, address=host, port=port, number=self._announced, epoch=epoch
        )
        if self._successor is not None:
            announcement = announcement.replace(successor=self._successor.node, promise=self._successor.promise)
        return self._seal(announcement)

    def _probe(self) -> None:
        """Check whether the interfaces that were left out hear now, by an announcement that impresses no daemon."""
        if left_out := self._hearing.left_out:
            probe = self._seal(
                Discover(self._group.address, standing=self.election.standing.replace(role=Role.STANDBY))
            )
            with suppress(NoMulticast):
                self.transport.tell_each(lambda name, addresses: probe if name in left_out else None)

    def _check_hearing(self) -> None:
        """Join the group again where this leader does not hear itself any more; if that does not help, stop leading."""
        if silent := self._hearing.to_rejoin():
            text = "what is sent to {group} by {interfaces} does not come back: joining it again"
            self._log.warn(text, group=self._group, interfaces=", ".join(silent))
            self.transport.forget(silent)
            self._join()
        late, lost = self._hearing.leave_out()
        for name in late:
            text = "{group}: {interface} is left out: what is sent by it does not come back. Does a firewall drop it?"
            self._log.error(text, group=self._group, interface=name)
        if lost:
            self._lost = lost
            self._act(self.election.lose_hearing(*self._now()))
        self._hearing.count_round()

    def _complain(self, why: NoMulticast) -> None:
        """Report that there is no way to the group: at the start as an error, later by one log line."""
        if not self._has_started:
            raise why
        if not self._group.is_own_host and not self._has_complained:
            self._has_complained = True
            self._log.error("{why}", why=str(why))

    def _send(self, datagram: bytes, addressee: Sender) -> None:
        with suppress(OSError):  # there is no way to it: as good as lost
            self.transport.write(datagram, addressee)

    def _send_answer(self, datagram: bytes, asker: Sender) -> None:
        with suppress(OSError):  # as in _send
            self.transport.answer(datagram, asker)

    def _answer(self, question: Discover, size: int, asker: Sender) -> None:
        """Answer C{asker} alone, with more than FLoM's answer only if the question names the group."""
        if question.group not in ("", self._group.address):
            return
        if question.orphaned:
            self._orphan_heard_at = self._now()[0]
            self._looking.note_question(question.holder, self._reactor.seconds())
        self._observer.was_asked(is_orphan=question.orphaned, holder=question.holder)
        is_leader = self.election.role is Role.LEADER
        if not is_leader and (leader := self._successor_to_tell()) is not None:
            self._answer_by(leader, question, size, asker, is_of_leader=True)
        is_asked = question.everyone or (
            bool(question.group) and self._appointment is not None and self._appointment.keeps_others_back
        )
        if self._appointment is not None and not is_leader:
            self._missed.append((self._now()[0], question, size, asker, self.transport.arrival))
        if self._listening is None or not (is_leader or is_asked):
            return
        host = self._listening.host_for(asker[0], self.transport.asked_addresses)
        answer = Discovered(
            host, self._listening.port, self.election.standing, self._host, __version__, alone=self._is_alone
        )
        self._answer_by(answer, question, size, asker, is_of_leader=is_leader)

    def _answer_missed(self) -> None:
        """Answer those who have asked just before this daemon was appointed: they would ask again much later."""
        missed, arrival = list(self._missed), self.transport.arrival
        self._missed.clear()
        for asked_at, question, size, asker, self.transport.arrival in missed:
            if self._now()[0] - asked_at < MISSED:
                self._answer(question, size, asker)
        self.transport.arrival = arrival

    def _answer_by(
        self, answer: Discovered, question: Discover, size: int, asker: Sender, *, is_of_leader: bool
    ) -> None:
        """Send C{answer} to C{asker}, or what FLoM's daemon would, if it is much longer than C{size} bytes."""
        if question.group:
            full = self._seal(answer, question.nonce)
            if len(full) <= size + MAX_AMPLIFICATION:
                self._send_answer(full, asker)
                return
        if is_of_leader:
            self._send_answer(self._seal(Discovered(answer.address, answer.port), question.nonce), asker)

    def _successor_to_tell(self) -> Discovered | None:
        """Return how to find the daemon to which this one has handed over a moment ago; C{None} if it has not."""
        if self._redirected is None:
            return None
        answer, until = self._redirected
        is_true = self._now()[0] < until and self.election.leader == answer.standing
        return answer if is_true else None

    @property
    def _is_alone(self) -> bool:
        """See L{Discovered.alone}."""
        return not self._group.is_own_host and self._hearing.is_sharp and self.election.is_alone(self._now()[0])

    def rival_proven(self, rival: Standing, source: Source) -> None:
        if rival.role is Role.LEADER:
            self._act(self.election.yield_to(rival, *self._now(), source))
            if self.election.role is Role.LEADER:
                self._observer.prevailed()

    def rival_unproven(self, rival: Standing, source: Source, why: str) -> None:
        text = "{other} says that it leads, and does not prove it: {why}"
        self._log_rarely(text, LogLevel.warn, other=_name(rival, source), why=why)

    def rival_holds(self, rival: Standing, held: list[HeldThere], digests: Digests) -> None:
        self._observer.holds_elsewhere(rival.node, held, digests)

    def _check(self, rival: Standing, source: Source) -> None:
        """Yield to C{rival} if it proves that it leads, and compare what is held at both."""
        standing = self.election.standing  # as a leader, which this may not be any more when it is told
        addresses = self.transport.asked_addresses

        def announce() -> None:
            self._announced += 1
            self._send(self._announcement(standing, source.sender[0], addresses), source.sender)

        self._rivals.check(rival, source, announce)

    def _seal(self, message: Discover | Discovered, nonce: str = "") -> bytes:
        """Write C{message}, sealed if the group has a key; see L{flom.core.group.key.GroupKey.seal}."""
        written, key = encode(message), self._group.key
        return written if key is None else key.seal(written, nonce)

    def _check_seal(self, message: Message, datagram: bytes) -> None:
        """
        Check that a member of the group has sent C{datagram}.

        A question without a seal is answered, and a daemon of FLoM is believed, unless the key is required.

        @raise RemoteProtocolError: it does not have the key.
        """
        key = self._group.key
        is_of_flom = isinstance(message, (Discover, Discovered)) and message.standing is None
        if key is not None and (key.is_required or not is_of_flom) and not key.is_sealed(datagram):
            raise RemoteProtocolError("it does not have the key of the group")

    def _is_repeated(self, announcement: Discover) -> bool:
        """Return whether C{announcement} was heard before: it may have been recorded, of a leader that has gone."""
        if self._group.key is None or announcement.relayed:
            return False  # without a key, anything could be made up
        assert announcement.standing is not None
        node = announcement.standing.node
        is_repeated = node != self.election.standing.node and announcement.number <= self._heard.get(node, 0)
        self._heard[node] = max(self._heard.get(node, 0), announcement.number)
        return is_repeated

    def _note_leader(self, node: str) -> None:
        """Remember that C{node} leads, too."""
        if node != self.election.standing.node:
            self._looking.note_leader(self._reactor.seconds())
            self._leaders.pop(node, None)  # those that were heard last come last
            self._leaders[node] = self._now()[0]
            if len(self._leaders) > _MOST_LEADERS:
                del self._leaders[next(iter(self._leaders))]

    def _log_rarely(self, text: str, level: Any = LogLevel.info, **fields: object) -> None:
        """Log what any datagram can cause, each kind of line once in L{_LOG_PAUSE} seconds at most."""
        now, _ = self._now()
        if now - self._logged_at.get(text, -_LOG_PAUSE) >= _LOG_PAUSE:
            self._logged_at[text] = now
            self._log.emit(level, "{group}: " + text, group=self._group, **fields)

    def _log_rivals(self, text: str, rival: Standing, source: Source) -> None:
        own, other = f"{self.election.standing.node} on {self._host}", _name(rival, source)
        self._log.error("two leaders of {group}: " + text, group=self._group, other=other, own=own)


def _name(other: Standing, source: Source) -> str:
    return f"{'FLoM' if other == FLOM else other.node} at {host_port(*source.sender)}"


def seal_offer(group: Group, node: str, successor: str, nonce: str) -> Offer:
    """Return the offer of the leader C{node} to C{successor}."""
    secret = b"" if group.key is None else group.key.secret
    return Offer(group.address, node, nonce, vouch(secret, "offer", group.address, node, successor, nonce))
