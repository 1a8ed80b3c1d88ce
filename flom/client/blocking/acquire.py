"""
Taking a lock, without a reactor: connect, ask, and ask again if the daemon goes (docs/compatibility.md, "Commands under
a lock").

C{flom.lock}, C{flom-run} and FLoM's library have one L{Acquirer} for each lock; what differs is in its L{Hooks}. What
few locks need stands in modules beside this one, which are imported when it is needed:

  - L{flom.client.blocking.absence}: there is no daemon; L{flom.client.blocking.start} starts one, or has one elected.
  - L{flom.client.blocking.lease}: what may be believed of a lock that can outlive its connection.
  - L{flom.client.blocking.reclaim}: the connection has ended, and another one is to have what it had.
"""

from __future__ import annotations

from time import monotonic

from flom.client.addresses import peer_of
from flom.client.blocking.connection import connect
from flom.client.blocking.dial import NoDaemon, Seek, pause, prepare
from flom.client.blocking.stream import NEVER
from flom.client.retry import (
    ANSWER_TIMEOUT,
    CLOSE_TIMEOUT,
    COME_BACK_TIMEOUT,
    FIRST_RETRY,
    RETRY,
    TAKEOVER_ANSWER_TIMEOUT,
    RetryBudget,
    jitter,
    silent,
    with_time_left,
)
from flom.codes import ReturnCode
from flom.core.names import DEFAULT_NAME, parse_name
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Lock, WhyWithdrawn
from flom.errors import DaemonLost, DaemonUnreachable, FlomError, LockTimeout, lock_refused
from flom.lean import RLock, boottime
from flom.net.machine_id import unique_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.client.blocking.absence import Absence
    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.leaders import Leaders
    from flom.client.blocking.lease import HeldLease
    from flom.client.blocking.reclaim import Reclaim
    from flom.config import Config
    from flom.core.lease import Lease
    from flom.core.protocol.events import Refused
    from flom.core.protocol.messages import Terms

_LONG: Final = 0.2  # seconds, less than which a grant is not old


class Hooks:
    """What a program wants to hear while a lock is taken; by default, nothing."""

    def warn(self, text: str) -> None:
        """Called with a warning for the user."""

    def say(self, text: str) -> None:
        """Called with a line about a step of the work."""

    @property
    def wants_reasons(self) -> bool:
        """Whether daemons are to be asked why none of them leads, so that L{say} can tell."""
        return False

    def pass_on(self, line: str) -> None:
        """Called with a line that the daemon, which was started, has written to stderr."""

    def asks(self, conversation: Conversation) -> None:
        """Called when the lock is about to be asked for; L{FlomError} is raised if it is not to be."""


def request_of(config: Config) -> Lock:
    """Return the request for what C{config} says is to be locked, and how."""
    return Lock(
        config.resource_name,
        config.lock_mode,
        config.quantity,
        wait=config.timeout_ms != 0,
        create=bool(config.create),
        lifespan=config.idle_lifespan_ms / 1000,
        peer_id=unique_id(),
        wishes=config.wishes,
    )


class Acquirer:
    """
    Takes one lock from the daemon that it finds or starts, and reclaims it from a daemon that takes over.

    Programs use its methods and L{conversation}; the other attributes are for the modules beside this one.

    @ivar conversation: the connection on which the lock is asked for or held; C{None} before there is one.
    @ivar config: says where the daemon is.
    @ivar hooks: hear of what is done.
    @ivar is_in_group: true if the daemon is the one that leads a group.
    @ivar is_by_quorum: true once a daemon has said that it leads by a quorum.
    @ivar leaders: several hosts, the daemon of one of which leads; C{None} if there is one.
    @ivar may_start: what L{__init__} was told, as C{waits_on}; C{config} may forbid it.
    @ivar budget: what is left of the attempts.
    @ivar seek: which daemon is sought next, one of L{Seek}.
    @ivar timeout: seconds to wait for the lock at most; C{None} for any.
    @ivar deadline: a time of C{time.monotonic}, at which everything ends.
    @ivar patience: seconds that a daemon has to answer.
    @ivar may_wait: false if what was asked for last is not to wait.
    @ivar granted: what was granted last.
    @ivar session: of the connection on which it was.
    @ivar asked_at: by L{boottime}: when the daemon was asked what it has answered by the grant.
    @ivar granted_at: by L{boottime}: when it had answered so.
    @ivar holder: what says to a daemon that takes over which holder we are; 0 before a lock was to be reclaimed.
    @ivar held: what is believed of the lock; C{None} before L{begin_lease}, and where that returns C{None}.
    @ivar reclaiming: the last attempt to reclaim it; C{None} before there was one.
    @ivar expected_until: a time of C{time.monotonic}; see L{is_expected}.
    @ivar time_to_release: seconds for which the lock that is being reclaimed can be released yet.
    """

    def __init__(
        self,
        config: Config,
        hooks: Hooks,
        timeout: float | None,
        *,
        may_start: bool,
        waits_on: bool = True,
        interrupts: bool = False,
    ) -> None:
        """
        @param timeout: seconds to wait for the lock at most, besides those in which a daemon is started; C{None}: any.
        @param may_start: whether to start a daemon if there is none; C{config} may forbid it.
        @param waits_on: whether to go on waiting at the next daemon of a fixed address when the one there has gone; in
            a group, that is always so.
        @param interrupts: see L{Conversation.lock}.
        """
        self.conversation: Conversation | None = None
        self.config = config
        self.hooks = hooks
        self.is_in_group = bool(config.multicast_address)
        self.is_by_quorum = False
        self.leaders: Leaders | None = None
        if config.has_several_hosts:
            from flom.client.blocking.leaders import Leaders  # which few have

            self.leaders = Leaders(self)
        self.may_start = may_start
        self.waits_on = waits_on
        self.budget = RetryBudget(is_in_group=self.is_in_group, waits_on=waits_on, may_start=self.can_start)
        self.seek = Seek.BEFORE_START if self.can_start else Seek.ANY
        self.timeout = timeout
        self.deadline = NEVER
        self.patience = NEVER
        self.may_wait = True
        self.granted = Granted(None)
        self.session = ""
        self.asked_at = self.granted_at = 0.0
        self.holder = 0
        self.held: HeldLease | None = None
        self.reclaiming: Reclaim | None = None
        self.expected_until = 0.0
        self.time_to_release = CLOSE_TIMEOUT
        self._is_hurried = False
        self._refused_since = NEVER  # since when the daemon's host has said that there is none, without a break
        self._interrupts = interrupts
        self._stepping = RLock()  # held while we step out, and while it is looked at whether we have
        self._is_undecided = False
        self._has_stepped_out = False

    def acquire(self, message: Lock) -> tuple[Conversation, Granted]:
        """
        Acquire the lock that C{message} asks for.

        @return: the connection on which it is held, and what was granted.
        @raise flom.errors.LockRefused: the daemon refuses it.
        @raise LockTimeout: it was not granted in time.
        @raise DaemonUnreachable: there is no daemon, and none could be started.
        @raise DaemonLost: the daemon went away.
        @raise FlomError: see L{connect} and L{Conversation.lock}.
        """
        prepare(self.config)
        self.limit_wait()
        if not message.wait:
            self.patience = TAKEOVER_ANSWER_TIMEOUT if self.is_in_group else ANSWER_TIMEOUT
        conversation, granted = self.ask(message)
        self.note_grant(conversation, granted, message)
        return conversation, granted

    def reach(self) -> Conversation:
        """
        Connect to the daemon, which is started or elected if need be and allowed, to say something else than a lock.

        @raise FlomError: see L{acquire}.
        """
        prepare(self.config)
        self.limit_wait()
        self.patience = ANSWER_TIMEOUT
        return self._connect()

    def note_grant(self, conversation: Conversation, granted: Granted, message: Lock) -> None:
        """Note what was granted as C{message} has asked, on C{conversation}, and how that releases it if it breaks."""
        self.granted, self.session = granted, conversation.connection.session
        self.granted_at = boottime()
        is_transactional = any(parse_name(part.name).transactional for part in message.parts)
        if conversation.is_awaited or (is_transactional and self.can_reclaim()):
            conversation.reclaim = lambda deadline: self._reclaim_to_release(message, deadline)
        if self.session:
            conversation.goes_on_elsewhere = self.is_in_group
            conversation.go_on = lambda deadline: self._go_on(conversation, message, deadline)

    def begin_lease(self, time_to_end: float | None = 0.0, *, is_ended: bool = False) -> Lease | None:
        """
        Return what can be believed of the lock that was granted, by L{boottime}; C{None} if its connection is not over
        TCP, or its daemon does not keep it when that breaks.

        @param time_to_end: see L{flom.core.lease.times_within}; L{Lease.kill_after} is what it comes to.
        @param is_ended: whether what the lock is for ends when it is lost: before the leader of a group can have a
            successor, then.
        @raise flom.errors.ConfigError: there is no room for C{time_to_end}.
        """
        held_on = self.conversation
        if held_on is None or not held_on.connection.session:
            return None
        from flom.client.blocking.lease import HeldLease

        self.held = HeldLease(self.config, held_on, time_to_end, is_ended=is_ended)
        self.held.renew(held_on, self.asked_at)
        return self.held.lease

    def can_reclaim(self) -> bool:
        """
        Return whether the lock can be reclaimed when its connection ends, or now that it has: from a daemon that takes
        over, in a group or where it knows of us, or from the same one, if neither end has closed it.
        """
        if self.is_in_group or self.is_known:
            return True
        held_on = self.conversation
        if held_on is None or not held_on.connection.session:
            return False
        return not held_on.is_lost or held_on.is_broken

    def reclaim(self, message: Lock, deadline: float = NEVER) -> Conversation:
        """
        Acquire the lock of C{message} again, whose connection has ended, from the same daemon or the one that takes
        over: the same element.

        As long as there is none at a fixed address, nobody else can have been granted it: it is looked for, and if we
        may, started, again and again, until C{deadline}. Of one on another host, that is known only while that host
        says so.

        @raise FlomError: that is not possible; see L{acquire} and L{check_reclaimed}.
        """
        from flom.client.blocking.reclaim import Reclaim  # which most locks do not need

        self.reclaiming = Reclaim(self, message)
        return self.reclaiming.run(deadline)

    def hurry(self) -> float:
        """
        Note that the lock, which another thread may reclaim, is only to be released; return the seconds which that may
        take: as long as its daemon keeps it, or less if that has gone.
        """
        self._is_hurried = True
        return self.time_to_release

    def stop(self) -> None:
        """End a reclaim, which another thread is about, unless it is starting a daemon: then, when that is over."""
        self.deadline = 0.0
        if self.conversation is not None:
            self.conversation.hang_up()

    def give_up(self) -> None:
        """Close the connection, so that nothing is asked for or held."""
        if self.conversation is not None:
            self._say_goodbye(self.conversation)
            self.conversation.close()

    def leave(self) -> None:
        """
        Say goodbye because a signal is about to end this process: L{acquire}, which runs in another thread, does not
        return any more.
        """
        self._stepping.acquire()
        if self.conversation is not None:
            self._say_goodbye(self.conversation, WhyWithdrawn.SIGNAL)

    def step_out(self) -> None:
        """
        Leave the queue, if we are in it: L{acquire}, which runs in another thread, asks anew.

        Nothing happens if the lock has been granted; a grant that comes at this moment is given back.
        """
        with self._stepping:
            if self._is_undecided and self.conversation is not None:
                self._has_stepped_out = True
                self._say_goodbye(self.conversation)
                self.conversation.hang_up()

    # what follows is for the modules beside this one

    @property
    def can_start(self) -> bool:
        """True if a daemon may be started, or elected; those that lead by a quorum are not."""
        return self.may_start and self.config.lifespan_ms != 0 and not self.waits_for_leader

    @property
    def waits_for_leader(self) -> bool:
        """True if daemons that others start agree on one that leads, for which we wait as long as there is none."""
        return self.leaders is not None or self.is_by_quorum

    @property
    def is_known(self) -> bool:
        """True if the lock is held, and the next daemon at the address knows of us."""
        return self.conversation is not None and self.conversation.is_awaited

    @property
    def is_expected(self) -> bool:
        """True while a daemon keeps what we had of it, although we cannot reach it: nobody starts another one."""
        return monotonic() < self.expected_until

    def has_gone(self, error: FlomError) -> bool:
        """Note why there is no daemon; return whether its host says so for too long, if we L{hurry}."""
        if not (isinstance(error, DaemonUnreachable) and error.is_refused):
            self._refused_since = NEVER
            return False
        self._refused_since = min(self._refused_since, monotonic())
        return self._is_hurried and not self.can_start and monotonic() >= self._refused_since + CLOSE_TIMEOUT

    def limit_wait(self) -> None:
        """Start the user's timeout: when the wait begins, and anew when a daemon has been started, which takes time."""
        self.deadline = NEVER if self.timeout is None else monotonic() + self.timeout

    def ask(self, message: Lock) -> tuple[Conversation, Granted]:
        """
        Ask for the lock; if the daemon goes before it has decided, ask again as often as L{RetryBudget} allows.

        @raise FlomError: see L{acquire}.
        """
        began, has_asked = monotonic(), False
        retry = FIRST_RETRY
        self.may_wait = message.wait or message.regains
        if self.leaders is not None:
            self.leaders.begin(message)
        while True:
            self.conversation = None
            self._is_undecided = True
            try:
                self.conversation = conversation = self._connect()
                self.hooks.asks(conversation)
                if message.regains and self.granted.left:
                    message = with_time_left(message, self.granted.left, boottime() - self.granted_at)
                waited = monotonic() - began if has_asked and not message.regains else 0.0
                answer = self._decide(conversation, message.replace(waited=waited))
            except FlomError as e:
                if self._asks_anew():
                    began, has_asked = monotonic(), False
                    continue
                if not isinstance(e, DaemonLost):
                    raise
                answered = self.conversation is not None and self.conversation.connection.has_answered
                if self._note_loss():
                    pass  # another daemon may lead, or this one again
                elif (answered or not self.is_expected) and not self._stands_by(answered=answered):
                    self.budget.spend(e, answered=answered)
                has_asked = True
                message = self._going_on(message)
                if answered or self.leaders is None:  # or else it is one of those that do not lead
                    self.hooks.say(f"{e}, asking again")
                if self.seek != Seek.TO_RECLAIM:
                    self.seek = Seek.A_SUCCESSOR  # which may be about to take the place of the one that has gone
            else:
                if self._asks_anew():
                    began, has_asked = monotonic(), False
                    continue
                if isinstance(answer, Granted):
                    self._check_leader(conversation, message)
                    return conversation, answer
                conversation.close()
                raise lock_refused(answer.outcome, message.name_of(answer.part), conversation.peer, answer.why)
            if self.leaders is not None:
                continue  # they pause when all have been asked
            if self.is_in_group:
                pause(retry * jitter(), self.deadline)
                retry = min(2 * retry, RETRY)
            elif self.budget.has_waited or self.budget.silent > 1 or self.is_expected or self.is_by_quorum:
                pause(RETRY * jitter(), self.deadline)

    def _stands_by(self, *, answered: bool) -> bool:
        """
        Return whether the daemon, which has gone without a word as often as one that serves locks may, does not lead
        by its quorum, so that it is to be waited for.

        @raise DaemonUnreachable: it does not, and what is asked for is not to wait.
        """
        if answered or self.is_in_group or not self.waits_on or self.budget.silent < 1:
            return False
        from flom.client.blocking.leaders import why_none_leads  # which few need

        why = why_none_leads(self.config, DEFAULT_NAME)
        if why is None:
            return False
        what = f"{peer_of(self.config)} does not lead by its quorum{why and f' ({why})'}"
        if not self.may_wait:
            raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, what)
        self.hooks.warn(f"{what}: waiting until it does; of several hosts (-a h1,h2,h3), another one may lead")
        self.is_by_quorum = True
        return True

    def _check_leader(self, conversation: Conversation, message: Lock) -> None:
        """Release what was granted, and raise L{FlomError}, if it was by one of several daemons that might."""
        if self.leaders is None:
            return
        try:
            self.leaders.check(conversation)
        except FlomError:
            conversation.unlock(message.name, rollback=True)
            raise

    def _note_loss(self) -> bool:
        """Note that the daemon has gone; return whether to ask until another one leads, as often as it takes."""
        if self.conversation is not None and self.conversation.connection.terms.quorum:
            self.is_by_quorum = True
        if self.leaders is not None:
            self.leaders.note_loss()
        return self.leaders is not None or (self.is_by_quorum and self.may_wait)

    def _say_goodbye(self, conversation: Conversation, reason: WhyWithdrawn = WhyWithdrawn.GONE) -> None:
        """Say goodbye on C{conversation}, unless a lock is being reclaimed: what it protects may run on for a while."""
        if not self.holder:
            conversation.say_goodbye(reason)

    def _asks_anew(self) -> bool:
        """Return whether we have stepped out since the lock was asked for; if not, what has come is the decision."""
        with self._stepping:
            anew, self._has_stepped_out = self._has_stepped_out, False
            self._is_undecided = False
        if anew and self.conversation is not None:
            self.conversation.close()
        return anew

    def _going_on(self, message: Lock) -> Lock:
        """Return C{message} for another connection than the last one; see L{flom.client.blocking.reclaim.going_on}."""
        from flom.client.blocking.reclaim import going_on  # once a daemon has gone

        return going_on(self, message)

    def _go_on(self, broken: Conversation, message: Lock, deadline: float) -> Conversation | None:
        from flom.client.blocking.reclaim import go_on  # once the connection is broken

        return go_on(self, broken, message, deadline)

    def _reclaim_to_release(self, message: Lock, deadline: float) -> Conversation | None:
        from flom.client.blocking.reclaim import reclaim_to_release  # once the connection has ended

        return reclaim_to_release(self, message, deadline)

    def _decide(self, conversation: Conversation, message: Lock) -> Granted | Refused:
        """Return the daemon's decision; L{DaemonUnreachable} is raised if C{message} is not to wait, and none comes."""
        began, asked_at = monotonic(), boottime()
        limit = began + self.patience
        if self.is_expected and not message.wait:
            limit = min(limit, max(self.expected_until, began + ANSWER_TIMEOUT))  # one that is there decides
        try:
            decision = conversation.lock(message, min(self.deadline, limit), self._interrupts)
        except LockTimeout:
            if self.deadline <= limit:
                if self.leaders is not None and not conversation.connection.has_answered:
                    raise self.leaders.too_late() from None
                raise
            raise silent(conversation.peer, limit - began) from None
        if isinstance(decision, Granted):
            while (waited := boottime() - asked_at) > _LONG and waited > _old_age(conversation.connection.terms):
                asked_at = conversation.check(self.deadline)
            conversation.outlive_daemon()
            self.asked_at = asked_at
            self.is_by_quorum = conversation.connection.terms.quorum
        return decision

    def connect(self, seek: int, deadline: float) -> Conversation:
        """
        Connect to the daemon, or to the next one of several that may lead; L{connect} has the errors.

        @param seek: one of L{Seek}.
        """
        if self.leaders is not None:
            return self.leaders.connect(deadline)
        warn, say = self.hooks.warn, self.hooks.say
        return connect(self.config, deadline=deadline, warn=warn, say=say, seek=seek, holder=self.holder)

    def _connect(self) -> Conversation:
        """Connect to the daemon, which is started or elected if need be and allowed."""
        began, seek = monotonic(), self.seek
        absence: Absence | None = None
        while True:
            asked_at = boottime()
            try:
                return self._connect_once(seek)
            except NoDaemon as e:
                error = e
            if absence is None:
                from flom.client.blocking.absence import Absence  # which most locks do not need

                absence = Absence(self, began, seek)
            seek = absence.end(error, asked_at)

    def _connect_once(self, seek: int) -> Conversation:
        """Connect to the daemon; L{connect} has the errors, and L{silent} is one if it cannot be connected to."""
        if self.leaders is not None:
            return self.leaders.connect(self.deadline)
        limit = NEVER if self.is_in_group else monotonic() + self.patience
        if is_expected := self.is_expected:
            limit = min(limit, monotonic() + COME_BACK_TIMEOUT, self.expected_until)
        try:
            conversation = self.connect(seek, min(self.deadline, limit))
            self._refused_since = NEVER
            return conversation
        except LockTimeout as e:
            if self.deadline <= limit:
                raise
            if type(e) is not LockTimeout:  # no name server has answered
                raise DaemonUnreachable(ReturnCode.GETADDRINFO_ERROR, str(e)) from None
            if is_expected:
                raise NoDaemon(ReturnCode.NETWORK_TIMEOUT, str(e)) from None
            raise silent(peer_of(self.config), self.patience) from None


def prepare_to_reclaim() -> None:
    """Import what a reclaim may need, while its files are as they were: an upgrade replaces them."""
    import flom.client.blocking.absence
    import flom.client.blocking.reclaim
    import flom.client.blocking.start  # noqa: F401


def _old_age(terms: Terms) -> float:
    """Return the seconds after which a grant may be old, so that the daemon has to be asked whether it still holds."""
    return min(terms.timeout or NEVER, terms.succession or NEVER) / 3 if terms.timeout else NEVER
