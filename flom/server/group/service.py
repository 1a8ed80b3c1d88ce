"""A daemon's part in its group: it takes the seat of this host, stands for election, leads, stands by, yields."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.grace import GRACE
from flom.core.group.addresses import Group
from flom.core.group.listening import Listening
from flom.core.group.ranking import FLOM
from flom.core.group.timing import DEFAULT_TIMING, Timing
from flom.core.protocol.messages import Challenge, Offer, Role, Standing
from flom.interfaces import IReactor
from flom.net.clock import system_instant
from flom.net.host_seat import Seat, SeatTaken
from flom.net.multicast import NoMulticast
from flom.reactor.multicast_port import GroupPort
from flom.reactor.transports import adopt
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.group.member import GroupMember, MemberObserver
from flom.server.group.rival import answer
from flom.server.group.starter import StarterConnection
from flom.server.lifespan import LifespanService
from flom.server.proofs import Proofs
from flom.text import one_line, truncate

if TYPE_CHECKING:
    from flom.core.locks.handover import Estate
    from flom.core.locks.overlap import Digests, HeldThere
    from flom.core.locks.snapshot import LockView
    from flom.net.campaign import Campaign
    from flom.server.sessions import Sessions
    from flom.tls.context import Tls


_MOST_LOGGED: Final = 20
"""Locks that both leaders have granted that are logged one by one."""

_CONTESTED_FOR: Final = 10.0
"""
Seconds for which another leader is told of a lock that was found to be contested here: it may ask when that has been
released, and would not tell its own holder otherwise. Leaders ask each other within 2 s.
"""


@dataclass(frozen=True, slots=True)
class Membership:
    """
    The group of a daemon, and how it takes part in it.

    @ivar listening: where clients are sent to.
    @ivar seat: of this host; C{None} to take it as soon as it is free.
    @ivar starter: a socket to the program that is told how the election ends (L{flom.server.group.starter}), if any.
    @ivar stands_by: whether to stay while another daemon leads, to take over from it.
    @ivar waits_for_network: whether to wait for a way to the group, instead of failing to start without one.
    @ivar on_role: called with what the daemon has become.
    @ivar campaign: that was begun for the daemon, if any.
    """

    group: Group
    listening: Listening
    timing: Timing = DEFAULT_TIMING
    seat: Seat | None = None
    starter: socket.socket | None = None
    stands_by: bool = True
    waits_for_network: bool = False
    on_role: Callable[[Role], None] = lambda role: None
    campaign: Campaign | None = None


class MembershipService(Service, MemberObserver):
    """Makes the arbiter grant locks for as long as this daemon leads its group."""

    is_appointed = False
    """Whether a quorum decides if it leads."""

    _log = Logger()

    def __init__(
        self,
        reactor: IReactor,
        arbiter: DeferredArbiter,
        lifespan: LifespanService,
        membership: Membership,
        end: Callable[[], None],
        counters: Counters,
        sessions: Sessions,
        tls: Tls | None = None,
        proofs: Proofs | None = None,
    ) -> None:
        """
        @param lifespan: runs while this daemon leads.
        @param end: called when the daemon is to end: it does not stand by, or cannot.
        @param sessions: those of the daemon's clients.
        @param tls: this end of TLS, as for clients; C{None} for plain text.
        @param proofs: are asked for when this daemon takes over, unless the last leader had none.
        """
        self._reactor = reactor
        self._arbiter = arbiter
        self._lifespan = lifespan
        self._membership = membership
        self._end = end
        self._counters = counters
        self._sessions = sessions
        self._tls = tls
        self._proofs = proofs or Proofs()
        counters.group = str(membership.group)
        self._seat = membership.seat or Seat(membership.group)
        self._member: GroupMember | None = None
        self._port: GroupPort | None = None
        self._retry: IDelayedCall | None = None
        self._starter: StarterConnection | None = None
        self._waits_for = ""  # what is missing before this can be a member, as it was logged
        self._followed: Standing | None = None  # the last leader beside this daemon
        self._is_finished = False
        self._contested: list[
            tuple[float, str, LockView]
        ] = []  # when to forget it, by the reactor; the rival; the lock
        self._handing: Deferred[None] | None = None
        self._inherited: tuple[Estate, list[str]] | None = None  # from the leader that hands over to this daemon
        arbiter.retire()

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        self._is_finished = False
        if (inherited := self._membership.starter) is not None:
            self._starter = StarterConnection(self._finish)
            adopt(self._reactor, inherited, self._starter)
            inherited.close()  # the connection has a copy
        self._take_seat(is_first=True)

    def stopService(self) -> Any:
        super().stopService()
        self._is_finished = True  # the end need not be asked for
        if self._handing is not None:
            self._handing.cancel()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._lifespan.running:
            self._lifespan.stopService()
        if self._member is not None:
            self._member.leave()
        stopped = self._port.stopListening() if self._port is not None else None
        self._seat.close()
        return stopped

    def _take_seat(self, *, is_first: bool = False) -> None:
        """Become a member, and stand for election, once no other daemon of the group is on this host."""
        group, listening, timing = self._membership.group, self._membership.listening, self._membership.timing
        self._retry = None
        try:
            self._seat.extend()
        except (SeatTaken, NoMulticast) as e:
            if is_first:
                if self._membership.campaign is not None:
                    self._membership.campaign.give_up()
                if isinstance(e, NoMulticast) and not self._membership.waits_for_network:
                    raise
                self._show_role(Role.STANDBY)
            if str(e) != self._waits_for:
                self._waits_for = str(e)
                self._log.info("waiting: {why}", why=str(e))
            self._retry = self._reactor.callLater(timing.heartbeat, self._take_seat)
            return
        try:
            campaign = self._membership.campaign if is_first else None
            self._member = GroupMember(
                group,
                listening,
                self._reactor,
                system_instant,
                self,
                timing,
                self._tls,
                campaign,
                self._membership.waits_for_network,
                is_appointed=self.is_appointed,
            )
            self._port = self._member.open()
            self._note_seated()
        except NoMulticast as e:
            if is_first:
                raise
            self._log.critical("{why}", why=str(e))
            self._finish()

    def _note_seated(self) -> None:
        """Note that this daemon is a member of the group, the only one on its host."""

    def _finish(self) -> None:
        """Ask for the end of the daemon, once."""
        if not self._is_finished:
            self._is_finished = True
            self._end()

    def _tell_starter(self, line: str) -> None:
        if self._starter is not None:
            self._starter.tell(line)

    def was_asked(self, *, is_orphan: bool, holder: int) -> None:
        self._counters.discoveries += 1
        if is_orphan:
            self._arbiter.prolong_grace(holder)

    def epoch(self) -> int:
        return self._arbiter.epoch

    def heard_epoch(self, epoch: int) -> None:
        self._arbiter.epochs.heard = max(self._arbiter.epochs.heard, epoch)

    def prevailed(self) -> None:
        self._arbiter.outrank()

    def is_deaf(self, why: str) -> None:
        self._log.error("{why}", why=why)
        self._arbiter.dismiss()  # if it has led: holders reclaim from the leader that the others elect
        if self._starter is not None:  # it was started to lead, and cannot
            self._tell_starter(f"deaf {why}")
            self._finish()

    def answer_challenge(self, challenge: Challenge) -> bytes:
        """Return the answer to another leader of the group; see L{flom.server.group.rival.answer}."""
        member = self._member
        is_known = member is not None and member.has_heard(challenge.node)
        standing = None if member is None else member.election.standing
        return answer(
            challenge, self._membership.group, standing, partial(self._list_held, challenge.node) if is_known else None
        )

    @property
    def is_promised(self) -> bool:
        """True if the leader of the group is about to offer that this daemon takes over."""
        return self._member is not None and self._member.is_promised

    def hand_over(self, tell: Callable[[str, str], None]) -> None:
        """Hand over to a standby; see L{flom.server.connection.LockFactory}."""
        if self._handing is not None:
            tell("", "it is about to do so")
            return
        self._handing = Deferred.fromCoroutine(self._hand_over(tell))
        self._handing.addBoth(self._note_handed)

    async def _hand_over(self, tell: Callable[[str, str], None]) -> None:
        from flom.server.estate import HandoverFailed
        from flom.server.group.handover import Handover

        assert self._member is not None
        handover = Handover(
            self._membership.group, self._reactor, self._member, self._arbiter, self._sessions, self._tls
        )
        try:
            await handover.run(lambda leader: tell(leader, ""))
        except HandoverFailed as e:
            self._log.warn("{group}: not handed over: {why}", group=self._membership.group, why=str(e))
            tell("", str(e))
        except CancelledError:
            raise  # the daemon ends
        except Exception:
            self._log.failure("handing over")
            tell("", "an error in it, which its log has")

    def _note_handed(self, result: Failure | None) -> None:
        self._handing = None
        if isinstance(result, Failure) and not result.check(CancelledError):
            self._log.failure("handing over", result)

    def answer_offer(
        self, offer: Offer, send: Callable[[bytes], None], hang_up: Callable[[], None]
    ) -> Callable[[bytes], None]:
        """Answer the leader that hands over; see L{flom.server.connection.LockFactory}."""
        from flom.server.group.handover import Heir, Lines

        assert self._member is not None
        why_not = self._member.why_not_succeed(offer)
        if not self._sessions.are_kept:
            why_not = "its --session-timeout is 0"

        def lead(estate: Estate, gone: list[str]) -> None:
            self._succeed(offer, estate, gone)

        heir = Heir(Lines(self._membership.group, offer.nonce), self._reactor, send, hang_up, self._arbiter.check, lead)
        heir.begin(why_not)
        return heir.receive

    def _succeed(self, offer: Offer, estate: Estate, gone: list[str]) -> None:
        """Lead in the place of the leader of C{offer}."""
        from flom.server.estate import HandoverFailed

        assert self._member is not None
        if why_not := self._member.why_not_succeed(offer):
            raise HandoverFailed(why_not)
        text = "{group}: {leader} hands over {locks} locks and waiters of {clients} clients"
        counts = {"locks": len(estate.claims), "clients": len(estate.clients)}
        self._log.info(text, group=self._membership.group, leader=offer.node, **counts)
        self._inherited = estate, gone
        self._member.succeed()

    def _list_held(self, rival: str, digests: Digests) -> bytes:
        from flom.core.locks.overlap import list_held

        self._forget_contested()
        return list_held(self._arbiter.view(), digests, [lock for _, other, lock in self._contested if other == rival])

    def _forget_contested(self) -> None:
        now = self._reactor.seconds()
        self._contested = [each for each in self._contested if each[0] > now]

    def holds_elsewhere(self, rival: str, held: list[HeldThere], digests: Digests) -> None:
        from flom.core.locks.overlap import contested  # most daemons never have a rival

        locks = contested(self._arbiter.view(), held, digests)
        self._forget_contested()
        forget_at = self._reactor.seconds() + _CONTESTED_FOR
        self._contested += [(forget_at, rival, lock) for lock in locks]
        for lock in locks[:_MOST_LOGGED]:
            text = "{group}: {resource} ({mode}) is held by {peer}, and at {rival} too: both leaders have granted it"
            peer, name = self._arbiter.peer(lock.request.session), truncate(one_line(lock.request.name.text))
            about = {"resource": name, "mode": lock.request.mode.name, "peer": peer and peer.name, "rival": rival}
            self._log.error(text, group=self._membership.group, **about)
        if len(locks) > _MOST_LOGGED:
            text = "{group}: {count} more locks are held at {rival} too"
            self._log.error(text, group=self._membership.group, count=len(locks) - _MOST_LOGGED, rival=rival)
        self._arbiter.contest({lock.request.session: None for lock in locks})

    def role_changed(self, role: Role, leader: Standing | None) -> None:
        assert self._member is not None
        self._followed = leader or self._followed
        if role is Role.LEADER:
            self._proofs.note_predecessor(has_key=self._followed != FLOM)
        if role is Role.LEADER and self._inherited is not None:
            estate, gone = self._inherited
            self._inherited = None
            self._arbiter.resume()
            self._arbiter.take_over(estate, [self._sessions.inherit(client) for client in estate.clients])
            for secret in gone:
                self._sessions.drop(secret)
            self._lifespan.startService()
        elif role is Role.LEADER:
            self._tell_starter("elected")
            is_takeover = self._member.has_orphans or self._followed is not None
            least = self._member.predecessor.time_to_notice()
            self._arbiter.resume(GRACE if is_takeover else 0.0, self._member.take_looking(), least)
            self._lifespan.startService()
        elif self._lifespan.running:
            self._lifespan.stopService()
            self._arbiter.on_change = self._await_last_holder
            self._arbiter.retire()
            self._await_last_holder()
        elif leader is not None and not self._membership.stands_by and self._arbiter.is_deserted:
            self._tell_starter("beaten")
            self._finish()
        self._show_role(role)

    def _show_role(self, role: Role) -> None:
        self._counters.role = role.value
        self._counters.leader = self._member.leader if self._member and role is Role.STANDBY else ""
        self._membership.on_role(role)

    def _await_last_holder(self) -> None:
        """Check whether all locks that were held when this daemon had to yield have been released."""
        assert self._member is not None
        if not self._arbiter.is_deserted:
            return
        self._arbiter.on_change = lambda: None
        self._log.info("the last lock of this daemon is released")
        self._member.election.finished()
        if not self._membership.stands_by:
            self._finish()
