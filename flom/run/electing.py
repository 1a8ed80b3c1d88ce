"""
The daemon of a multicast group, for a runner: found if there is one, elected if there is none
(docs/compatibility.md, "Who starts a daemon").

This process is the candidate; the daemon, which it starts at the same time, leads if it wins. Of the runners of one
host one has the seat of its group; the others go on asking until somebody leads, here or elsewhere.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from flom.client.addresses import daemon_host
from flom.client.deferred.discovery import Answer, Asker
from flom.client.deferred.group import GroupEndpoint
from flom.codes import ReturnCode
from flom.config import Config
from flom.core.group.addresses import Group
from flom.core.group.election import Timing
from flom.core.protocol.messages import Role, Standing
from flom.errors import DaemonUnreachable
from flom.net.claim import CannotClaim, Claim, claim_tcp
from flom.net.clock import system_instant
from flom.net.host_seat import Seat, SeatTaken, take_seat
from flom.reactor.multicast_port import GroupPort
from flom.run.daemonize import DaemonLaunch
from flom.run.launch import START_TIMEOUT, Unblocked
from flom.server.group.handover import FRESH, Candidate
from flom.server.group.member import GroupMember, MemberObserver

_ASK_AGAIN: Final = 0.05
"""Seconds between two questions while we stand for election."""

_BACK_OFF: Final = 0.25
"""Part of the time since we began that passes before the next question: there may be hundreds of us on this host."""

_LONGEST_PAUSE: Final = 1.0
"""Seconds between two questions at most."""


class ElectingEndpoint(GroupEndpoint):
    """
    Leads to the daemon of a group, elected if need be and allowed.

    If a unicast address is configured too, the daemon is looked for there first, and started there
    (docs/compatibility.md, "Who starts a daemon").

    @ivar is_starting: whether we are starting a daemon, and stand for election in its place.
    """

    _NOBODY = "no daemon answers in {group}, and daemon-lifespan 0 forbids to start one"

    def __init__(
        self,
        reactor: Any,
        config: Config,
        group: Group,
        unblocked: Unblocked,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        started: Callable[[], None],
    ) -> None:
        """
        @param say: told what is done.
        @param warn: told what the user should know.
        @param started: called when a daemon has been elected.
        """
        super().__init__(reactor, config, group, say, warn, may_elect=config.lifespan_ms != 0)
        self._unblocked = unblocked
        self._started = started
        self.is_starting = False

    async def _elect(self, asker: Asker) -> list[Answer]:
        """Stand for election, or wait until somebody else has won."""
        began = self._reactor.seconds()
        give_up = START_TIMEOUT + _timing(self._config).campaign
        pause = _ASK_AGAIN
        stand_again = 0.0
        candidacy: Candidacy | None = None
        try:
            while not (answers := await asker.ask(pause)):
                took = self._reactor.seconds() - began
                if candidacy is not None and candidacy.has_ended:
                    candidacy.end()
                    if candidacy.problem is not None:
                        raise candidacy.problem
                    candidacy = None
                    stand_again = took + self._config.timing.patience  # there is a leader, who should answer
                if candidacy is None and took >= stand_again:
                    candidacy = self._stand()
                self._note_start(candidacy is not None)
                pause = _ASK_AGAIN
                if candidacy is None and not self.is_orphaned:
                    pause = min(max(_ASK_AGAIN, took * _BACK_OFF), _LONGEST_PAUSE)
                if took > give_up:
                    raise DaemonUnreachable(
                        ReturnCode.DAEMON_NOT_STARTED, f"{self._group}: nobody was elected within {give_up:g} s"
                    )
        finally:
            self._note_start(False)
            if candidacy is not None:
                candidacy.end()
        return answers

    def _note_start(self, is_starting: bool) -> None:
        """Note whether we are starting a daemon, and tell when that has ended."""
        was_starting, self.is_starting = self.is_starting, is_starting
        if was_starting and not is_starting:
            self._started()

    def _stand(self) -> Candidacy | None:
        """Stand for election, if no other process of this host does, and if nobody else has the unicast address."""
        try:
            seat = take_seat(self._group)
        except SeatTaken:
            return None
        claim = None
        if self._config.unicast_address:
            try:
                claim = claim_tcp(daemon_host(self._config), self._config.unicast_port)
            except CannotClaim as e:
                seat.close()
                raise DaemonUnreachable(e.code, f"cannot start a daemon: {e}") from e
        self._say(f"nobody leads {self._group}: standing for election")
        return Candidacy(self._reactor, self._config, self._group, seat, claim, self._unblocked, self._say)


def _timing(config: Config) -> Timing:
    """Give a candidate half of the time in which a group would have to be silent, if we were just to ask it."""
    timing = config.timing
    return replace(timing, campaign=max(timing.campaign, config.discovery_time / 2))


class Candidacy(MemberObserver):
    """
    Stands for election in the place of a daemon that is being started, and makes it lead.

    @ivar has_ended: whether it is decided: the daemon leads, or another one does, or there is a problem.
    @ivar problem: why we cannot be elected.
    """

    def __init__(
        self,
        reactor: Any,
        config: Config,
        group: Group,
        seat: Seat,
        claim: Claim | None,
        unblocked: Unblocked,
        say: Callable[[str], None],
    ) -> None:
        """
        @param seat: of this host; it is the daemon's from now on.
        @param claim: where the daemon is to listen, if not just anywhere; likewise.
        """
        self._reactor = reactor
        self._group = group
        self._say = say
        self.has_ended = False
        self._port: GroupPort | None = None
        self.problem: BaseException | None = None
        self._candidate = Candidate(self._on_ready, self._on_gone)
        self._member = GroupMember(group, None, reactor, system_instant, self, _timing(config))
        self._member.election.may_win = False
        try:
            self._port = self._member.open()
            self._start_daemon(config, seat, claim, unblocked)
        finally:
            seat.close()
            if claim is not None:
                claim.close()

    def end(self) -> None:
        """Leave the group to the daemon, if it leads; otherwise, it goes."""
        self.has_ended = True
        if self._port is not None:
            self._port.stopListening()
            self._port = None
        if self._candidate.transport is not None:
            self._candidate.transport.loseConnection()

    def _start_daemon(self, config: Config, seat: Seat, claim: Claim | None, unblocked: Unblocked) -> None:
        ours, theirs = socket.socketpair()
        launch = DaemonLaunch(self._reactor, config, unblocked)
        options = [
            *("--group", self._group.address),
            *("--port", str(self._group.port)),
            *("--interface", self._group.interface),
            *("--discovery-ttl", str(self._group.ttl)),
            *("--seat", launch.pass_on(seat.descriptors())),
            *("--candidate", launch.pass_on([theirs.fileno()])),
        ]
        if claim is not None:
            told = [*("--told", config.unicast_address), *("--unicast-port", str(config.unicast_port))]
            options += [*told, "--inherit", launch.pass_on(claim.descriptors())]
        with ours, theirs:
            launch.start(options)
            ours.setblocking(False)
            self._reactor.adoptStreamConnection(
                ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: self._candidate)
            )
        launch.ended.addErrback(self._fail)

    def _on_ready(self) -> None:
        self._member.election.may_win = True

    def _on_gone(self) -> None:
        """Note that the daemon has ended, before it was told to lead or afterwards."""
        self._member.election.may_win = False
        self.has_ended = True

    def _fail(self, failure: Failure) -> None:
        self.problem = self.problem or failure.value
        self.has_ended = True

    def is_deaf(self, why: str) -> None:
        self._fail(Failure(DaemonUnreachable(ReturnCode.DAEMON_NOT_STARTED, why)))

    def role_changed(self, role: Role, leader: Standing | None) -> None:
        if role is Role.LEADER:
            self._candidate.hand_over(
                self._member.election.standing, system_instant().monotonic, has_orphans=self._member.has_orphans
            )
            self._say(f"elected: this host leads {self._group}")  # afterwards: stdout may be blocked
            self._reactor.callLater(FRESH, self.end)  # we answer candidates until the daemon does
        elif leader is not None:
            self._say(f"not elected: another host leads {self._group}")
            self._reactor.callLater(0, self.end)
