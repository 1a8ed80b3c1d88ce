"""
The connection on which a lock was asked for or held has ended: what it had goes on over another one, at the same daemon
or the one that takes over (docs/explanation/groups.md, docs/explanation/guarantees.md).
"""

from __future__ import annotations

from time import monotonic

from flom.client.addresses import peer_of
from flom.client.blocking.dial import NoDaemon, Seek, pause
from flom.client.blocking.stream import NEVER
from flom.client.retry import (
    CLOSE_TIMEOUT,
    COME_BACK_TIMEOUT,
    LONG_RETRY,
    RETRY,
    UNLOCK_TRY,
    RetryBudget,
    check_reclaimed,
    jitter,
    new_holder,
    with_time_left,
)
from flom.codes import Outcome
from flom.core.protocol.events import Granted
from flom.core.protocol.parts import again
from flom.errors import (
    CannotWait,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    LockTimeout,
    RemoteProtocolError,
    lock_refused,
)
from flom.lean import boottime
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.core.protocol.messages import Lock

_LOOKS: Final = 4  # for a daemon within the patience of a lease, at least

_trace = tracer("client")


class Reclaim:
    """
    One attempt to reclaim the lock of an L{Acquirer}.

    @ivar is_far: true while the lock is that of a daemon on another host, which has gone.
    @ivar is_late: true if it may be another client's already, because we did not run for a while.
    @ivar insists: true if it is asked for again and again, until there is a daemon at the address.
    """

    def __init__(self, acquirer: Acquirer, message: Lock) -> None:
        """@param message: what the lock was granted for."""
        former = acquirer.conversation
        self._acquirer = acquirer
        self._message = message
        self._former = former
        is_fixed = acquirer.is_known and not acquirer.is_by_quorum
        self.insists = is_fixed and not acquirer.is_in_group
        self.is_far = is_fixed and former is not None and former.holding is None
        self.is_late = False

    def run(self, deadline: float) -> Conversation:
        """See L{Acquirer.reclaim}."""
        acquirer, former = self._acquirer, self._former
        if former is not None and not self.insists:
            acquirer.time_to_release = max(CLOSE_TIMEOUT, former.connection.terms.timeout)
        elif acquirer.can_start:
            acquirer.time_to_release = max(CLOSE_TIMEOUT, acquirer.config.session_timeout_ms / 1000)
        acquirer.seek = Seek.TO_RECLAIM
        acquirer.holder = acquirer.holder or new_holder()
        acquirer.timeout, acquirer.deadline, acquirer.patience = None, deadline, NEVER
        if acquirer.held is not None:
            acquirer.held.lease.reconnected()
            self.is_late = acquirer.held.is_over()
        if self.is_late and former is not None and (acquirer.is_by_quorum or not former.is_broken):
            raise self.too_late()
        if self.is_far:
            expect(acquirer)
        acquirer.budget = RetryBudget(is_in_group=acquirer.is_in_group)
        ask = self._insist if self.insists else acquirer.ask
        conversation, granted = ask(going_on(acquirer, _again(acquirer, self._message)))
        try:
            check_reclaimed(conversation.peer, granted, acquirer.granted.elements)
            if acquirer.is_by_quorum and acquirer.held is not None and acquirer.held.is_over():
                raise self.too_late()  # another client may have had it before this daemon has answered
            if self.is_late and former is not None and conversation.connection.session != former.connection.session:
                raise self.too_late()
        except FlomError:
            conversation.close()
            raise
        if acquirer.held is not None:
            acquirer.held.renew(conversation, acquirer.asked_at)
        acquirer.note_grant(conversation, acquirer.granted.proven_by(granted), self._message)
        return conversation

    def too_late(self) -> DaemonLost:
        """
        Return the error that the daemon has gone while we did not run, and our time was over: others may have been
        granted the lock since, by one that has gone too, and have yet to reclaim it.
        """
        peer = peer_of(self._acquirer.config)
        if self._acquirer.is_by_quorum:
            return DaemonLost(f"{peer} has not answered in time")
        return DaemonLost(f"{peer} has gone while this program was stopped")

    def _insist(self, message: Lock) -> tuple[Conversation, Granted]:
        """Ask for a lock to be reclaimed at a fixed address, again and again until there is a daemon that decides."""
        acquirer = self._acquirer
        while True:
            acquirer.budget = RetryBudget(is_in_group=False)
            acquirer.budget.has_waited = acquirer.budget.has_told = True
            try:
                return acquirer.ask(message)
            except (NoDaemon, DaemonLost) as e:
                if self.is_late or acquirer.has_gone(e) or (self.is_far and not acquirer.is_expected):
                    raise
                acquirer.hooks.say(f"{e}, trying again")
            pause_before_look(acquirer, LONG_RETRY * jitter())


def pause_before_look(acquirer: Acquirer, seconds: float, deadline: float = NEVER) -> None:
    """
    Pause before another look for a daemon, but not for so long that what a lease believes ends meanwhile.

    @param deadline: at which L{LockTimeout} is raised, if that is before the acquirer's.
    """
    if acquirer.held is not None:
        seconds = min(seconds, acquirer.held.lease.patience / _LOOKS)
    pause(seconds, min(deadline, acquirer.deadline))


def check_in_time(acquirer: Acquirer) -> None:
    """Raise L{DaemonLost} if a lock is reclaimed that another client may have by now, because of a quorum."""
    reclaiming, held = acquirer.reclaiming, acquirer.held
    if reclaiming is not None and held is not None and acquirer.is_by_quorum and held.is_over():
        raise reclaiming.too_late()


def going_on(acquirer: Acquirer, message: Lock) -> Lock:
    """
    Return C{message} for another connection than the last one: if that is broken, its daemon expects us back, or in
    a group the one to which it has handed over.
    """
    broken = acquirer.conversation
    if broken is None or not broken.connection.session:
        return message
    if not (broken.is_broken or acquirer.is_in_group):  # a leader may have handed over what we have
        return message
    # if it is on this host and does not listen, it has gone, unless it seems to be here because a proxy is
    is_elsewhere = not broken.connection.start or (message.regains and broken.holding is None)
    if acquirer.is_by_quorum or (not acquirer.is_in_group and is_elsewhere):
        expect(acquirer, broken.connection.terms.timeout)
    if message.regains and broken.granted is not None and broken.granted.proof:  # of that session, and of no other
        message = again(message, broken.granted)
    return message.replace(session=broken.connection.session)


def expect(acquirer: Acquirer, timeout: float = 0.0) -> None:
    """
    Note until when what we have is kept for us: our lock, or our place in a queue.

    @param timeout: seconds for which it is kept, from now on, if there is no lease; 0 if it was not said how many.
    """
    if acquirer.held is None:
        acquirer.expected_until = monotonic() + (timeout or acquirer.config.session_timeout_ms / 1000)
    else:
        acquirer.expected_until = acquirer.held.expected_until()


def reclaim_to_release(acquirer: Acquirer, message: Lock, deadline: float) -> Conversation | None:
    """Do as L{Acquirer.reclaim}, but return C{None} if the daemon says that the lock is released already."""
    acquirer.hurry()
    try:
        return acquirer.reclaim(message, deadline)
    except CannotWait:
        return None


def go_on(acquirer: Acquirer, broken: Conversation, message: Lock, deadline: float) -> Conversation | None:
    """
    Return a connection on which the lock of C{message} is held, in the place of one that is C{broken} while it is
    released; C{None} if it is released.

    @raise FlomError: it is lost, or the daemon cannot be reached until C{deadline}.
    """
    seek = Seek.A_SUCCESSOR
    if acquirer.is_in_group:  # the next leader waits for us, as for those that reclaim
        seek, acquirer.holder = Seek.TO_RECLAIM, acquirer.holder or new_holder()
    message = _again(acquirer, message).replace(session=broken.connection.session)
    acquirer.hurry()
    while True:
        conversation: Conversation | None = None
        try:
            limit = min(deadline, monotonic() + COME_BACK_TIMEOUT)
            conversation = acquirer.connect(seek, limit)
            message = with_time_left(message, acquirer.granted.left, boottime() - acquirer.granted_at)
            answer = conversation.lock(message, min(deadline, monotonic() + UNLOCK_TRY))
            if isinstance(answer, Granted):
                check_reclaimed(conversation.peer, answer, acquirer.granted.elements)
                return conversation
            conversation.close()
            if answer.outcome == Outcome.CANNOT_WAIT:
                return None
            raise lock_refused(answer.outcome, message.name_of(answer.part), conversation.peer, answer.why)
        except (DaemonLost, DaemonUnreachable, LockTimeout) as e:
            if acquirer.has_gone(e):
                raise
            _trace.debug("%s: %s", message.name, e)
        except RemoteProtocolError:
            if conversation is not None:
                conversation.close()
            raise
        pause(RETRY * jitter(), deadline)


def _again(acquirer: Acquirer, message: Lock) -> Lock:
    """Return what reclaims the lock of C{message}, which was granted."""
    granted = acquirer.granted
    session = acquirer.session if granted.proof else ""  # which is of it
    return again(message, granted).replace(holder=acquirer.holder, session=session)
