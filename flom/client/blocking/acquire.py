"""
Taking a lock, without a reactor: connect, ask, ask again if the daemon goes, start a daemon or have one elected if
there is none (docs/compatibility.md, "Who starts a daemon", "Commands under a lock").

C{flom.lock}, C{flom-run} and FLoM's library have one L{Acquirer} for each lock; what differs is in its L{Hooks}.
"""

from __future__ import annotations

from time import monotonic

from flom.client.addresses import peer_of
from flom.client.blocking.connection import connect
from flom.client.blocking.dial import NoDaemon, Seek, pause, prepare
from flom.client.blocking.stream import NEVER
from flom.client.retry import (
    ANSWER_TIMEOUT,
    BACK_OFF,
    COME_BACK_TIMEOUT,
    FIRST_RETRY,
    LONG_RETRY,
    RETRY,
    TAKEOVER_ANSWER_TIMEOUT,
    RetryBudget,
    check_reclaimed,
    jitter,
    new_holder,
    silent,
    until_next_look,
)
from flom.codes import Outcome, ReturnCode
from flom.core.names import parse_name
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Lock
from flom.errors import (
    CannotWait,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    LockTimeout,
    RemoteProtocolError,
    lock_refused,
)
from flom.lean import RLock, boottime
from flom.net.machine_id import unique_id
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.launch import Candidate
    from flom.config import Config
    from flom.core.lease import Lease
    from flom.core.protocol.events import Refused
    from flom.core.protocol.messages import Terms

_POLL: Final = 0.02  # seconds between two questions while we have a candidate
_LOOKS: Final = 4  # for a daemon within the patience of a lease, at least
_LONG: Final = 0.2  # seconds, less than which a grant is not old

_trace = tracer("client")


class Hooks:
    """What a program wants to hear while a lock is taken; by default, nothing."""

    def warn(self, text: str) -> None:
        """Called with a warning for the user."""

    def say(self, text: str) -> None:
        """Called with a line about a step of the work."""

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
    )


class Acquirer:
    """
    Takes one lock from the daemon that it finds or starts, and reclaims it from a daemon that takes over.

    @ivar conversation: the connection on which the lock is asked for or held; C{None} before there is one.
    @ivar lease: what L{begin_lease} has returned last.
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
        self.lease: Lease | None = None
        self._config = config
        self._hooks = hooks
        self._timeout = timeout
        self._may_start = may_start
        self._interrupts = interrupts
        self._is_in_group = bool(config.multicast_address)
        may_start = may_start and config.lifespan_ms != 0
        self._waits_on = waits_on
        self._budget = RetryBudget(is_in_group=self._is_in_group, waits_on=waits_on, may_start=may_start)
        self._seek = Seek.BEFORE_START if may_start else Seek.ANY
        self._granted = Granted(None)  # what was
        self._session = ""  # of the connection on which it was
        self._holder = 0  # what says to a daemon that takes over which holder we are
        self._starts = 0  # of daemons, since we were connected to one
        self._deadline = NEVER
        self._patience = NEVER
        self._stepping = RLock()  # held while we step out, and while it is looked at whether we have
        self._is_undecided = False
        self._has_stepped_out = False
        self._insists = False
        self._is_ended = False  # whether what the lock is for ends when it is lost
        self._is_late = False  # whether it may be another client's already, because we did not run for a while
        self._asks = True  # whether the daemon is asked whether it is there
        self._come_back_in = 0.0  # seconds, when a connection is found broken whose daemon was not asked
        self._asked_at = 0.0  # by boottime: when the daemon was asked what it has answered by the grant
        self._expected_until = 0.0
        self._is_far = False  # while we reclaim the lock of a daemon on another host, which has gone

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
        prepare(self._config)
        self._limit_wait()
        if not message.wait:
            self._patience = TAKEOVER_ANSWER_TIMEOUT if self._is_in_group else ANSWER_TIMEOUT
        conversation, self._granted = self._ask(message)
        self._session = conversation.connection.session
        self._let_go_on(conversation, message)
        return conversation, self._granted

    def begin_lease(
        self, time_to_end: float | None = 0.0, *, is_ended: bool = False, asks: bool = True
    ) -> Lease | None:
        """
        Return what can be believed of the lock that was granted, by L{boottime}; C{None} if its connection is not over
        TCP, or its daemon does not keep it when that breaks.

        @param time_to_end: see L{flom.core.lease.times_within}; L{Lease.kill_after} is what it comes to.
        @param is_ended: whether what the lock is for ends when it is lost: before the leader of a group can have a
            successor, then.
        @param asks: whether the daemon will be asked whether it is there; if not, the kernel sends probes.
        @raise flom.errors.ConfigError: there is no room for C{time_to_end}.
        """
        held_on = self.conversation
        if held_on is None or not held_on.connection.session:
            return None
        from flom.core.lease import Lease, times_within

        self._is_ended, self._asks = is_ended, asks
        whole, what = self._time_kept(held_on.connection.terms)
        times = times_within(whole, time_to_end, what=what)
        self.lease = Lease(times.patience, times.interval, times.kill_after)
        self._renew_lease(held_on)
        return self.lease

    def _time_kept(self, terms: Terms) -> tuple[float, str]:
        """Return the seconds after which another client may be granted the lock, and what they are."""
        whole = terms.timeout or self._config.session_timeout_ms / 1000
        if self._is_ended and 0 < terms.succession < whole:
            return terms.succession, "if the leader of the group goes"
        return whole, "the daemon's session-timeout"

    def _renew_lease(self, held_on: Conversation) -> None:
        """Note in the lease that the lock is C{held_on} this connection, by the times of its daemon."""
        from flom.core.lease import time_to_come_back, times_within

        lease, terms = self.lease, held_on.connection.terms
        if lease is None:
            return
        whole, _ = self._time_kept(terms)
        times = times_within(whole, min(lease.kill_after, whole / 2))
        asks = self._asks and terms.timeout > 0  # older daemons do not understand the question
        lease.patience, lease.interval = times.patience, times.interval if asks else NEVER
        lease.sent(self._asked_at)
        lease.answered()
        self._come_back_in = times.patience
        if not self._asks and terms.timeout:
            self._come_back_in = time_to_come_back(whole, held_on.probe_early())

    def can_reclaim(self) -> bool:
        """
        Return whether the lock can be reclaimed when its connection ends, or now that it has: from a daemon that takes
        over, in a group or where it knows of us, or from the same one, if neither end has closed it.
        """
        if self._is_in_group or self._is_known:
            return True
        held_on = self.conversation
        if held_on is None or not held_on.connection.session:
            return False
        return not held_on.is_lost or held_on.is_broken

    @property
    def _is_known(self) -> bool:
        """True if the lock is held, and the next daemon at the address knows of us."""
        return self.conversation is not None and self.conversation.is_awaited

    def reclaim(self, message: Lock, deadline: float = NEVER) -> Conversation:
        """
        Acquire the lock of C{message} again, whose connection has ended, from the same daemon or the one that takes
        over: the same element.

        As long as there is none at a fixed address, nobody else can have been granted it: it is looked for, and if we
        may, started, again and again, until C{deadline}. Of one on another host, that is known only while that host
        says so.

        @raise FlomError: that is not possible; see L{acquire} and L{check_reclaimed}.
        """
        self._seek = Seek.TO_RECLAIM
        self._holder = self._holder or new_holder()
        self._timeout, self._deadline, self._patience = None, deadline, NEVER
        self._insists = self._is_known and not self._is_in_group
        if self.lease is not None:
            self.lease.reconnected()
            self._is_late = self._is_ended and self.lease.interval != NEVER and self.lease.is_over(boottime())
        former = self.conversation
        if self._is_late and former is not None and not former.is_broken:
            raise self._too_late()
        ask = self._insist if self._insists else self._ask
        self._is_far = self._is_known and self.conversation is not None and self.conversation.holding is None
        if self._is_far:
            self._expect()
        self._budget = RetryBudget(is_in_group=self._is_in_group)
        conversation, granted = ask(self._goes_on(self._again(message)))
        try:
            check_reclaimed(conversation.peer, granted.element, self._granted.element)
            if self._is_late and former is not None and conversation.connection.session != former.connection.session:
                raise self._too_late()
        except FlomError:
            conversation.close()
            raise
        self._granted, self._session = self._granted.replace(proof=granted.proof), conversation.connection.session
        self._renew_lease(conversation)
        self._let_go_on(conversation, message)
        return conversation

    def _insist(self, message: Lock) -> tuple[Conversation, Granted]:
        """Ask for a lock to be reclaimed at a fixed address, again and again until there is a daemon that decides."""
        while True:
            self._budget = RetryBudget(is_in_group=False)
            self._budget.has_waited = self._budget.has_told = True
            try:
                return self._ask(message)
            except (NoDaemon, DaemonLost) as e:
                if self._is_late or (self._is_far and not self._is_expected):
                    raise
                self._hooks.say(f"{e}, trying again")
            self._pause(LONG_RETRY * jitter())

    def stop(self) -> None:
        """End a reclaim, which another thread is about, unless it is starting a daemon: then, when that is over."""
        self._deadline = 0.0
        if self.conversation is not None:
            self.conversation.hang_up()

    def give_up(self) -> None:
        """Close the connection, so that nothing is asked for or held."""
        if self.conversation is not None:
            self._say_goodbye(self.conversation)
            self.conversation.close()

    def leave(self) -> None:
        """
        Say goodbye because this process is about to end: L{acquire}, which runs in another thread, does not return any
        more.
        """
        self._stepping.acquire()
        if self.conversation is not None:
            self._say_goodbye(self.conversation)

    def _say_goodbye(self, conversation: Conversation) -> None:
        """Say goodbye on C{conversation}, unless a lock is being reclaimed: what it protects may run on for a while."""
        if not self._holder:
            conversation.say_goodbye()

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

    def _asks_anew(self) -> bool:
        """Return whether we have stepped out since the lock was asked for; if not, what has come is the decision."""
        with self._stepping:
            anew, self._has_stepped_out = self._has_stepped_out, False
            self._is_undecided = False
        if anew and self.conversation is not None:
            self.conversation.close()
        return anew

    def _again(self, message: Lock) -> Lock:
        """Return what reclaims the lock of C{message}, which was granted."""
        granted = self._granted
        again = message.replace(wait=False, create=True, regains=True, holder=self._holder, element=granted.element)
        session = self._session if granted.proof else ""  # which is of it
        return again.replace(token=granted.token or 0, proof=granted.proof, session=session)

    def _goes_on(self, message: Lock) -> Lock:
        """
        Return C{message} for another connection than the last one: if that is broken, its daemon expects us back, or in
        a group the one to which it has handed over.
        """
        broken = self.conversation
        if broken is None or not broken.connection.session:
            return message
        if not (broken.is_broken or self._is_in_group):  # a leader may have handed over what we have
            return message
        # if it is on this host and does not listen, it has gone, unless it seems to be here because a proxy is
        is_elsewhere = not broken.connection.start or (message.regains and broken.holding is None)
        if not self._is_in_group and is_elsewhere:
            self._expect(broken.connection.terms.timeout)
        return message.replace(session=broken.connection.session)

    def _expect(self, timeout: float = 0.0) -> None:
        """
        Note until when what we have is kept for us: our lock, or our place in a queue.

        @param timeout: seconds for which it is kept, from now on, if there is no lease; 0 if it was not said how many.
        """
        if self.lease is None:
            self._expected_until = monotonic() + (timeout or self._config.session_timeout_ms / 1000)
            return
        from flom.client.blocking.heartbeat import deadline_of

        if self.lease.interval == NEVER:  # the daemon has not been asked whether it is there
            self.lease.woke(boottime(), self.lease.patience if self._is_far else self._come_back_in)
        self._expected_until = deadline_of(self.lease)

    def _let_go_on(self, conversation: Conversation, message: Lock) -> None:
        """Note how C{conversation}, which holds the lock of C{message}, releases it if it is broken by then."""
        if conversation.is_awaited or (parse_name(message.name).transactional and self.can_reclaim()):
            conversation.reclaim = lambda deadline: self._reclaim_to_release(message, deadline)
        if conversation.connection.session:
            conversation.goes_on_elsewhere = self._is_in_group
            conversation.go_on = lambda deadline: self._go_on(conversation, message, deadline)

    def _reclaim_to_release(self, message: Lock, deadline: float) -> Conversation | None:
        """Do as L{reclaim}, but return C{None} if the daemon says that the lock is released already."""
        try:
            return self.reclaim(message, deadline)
        except CannotWait:
            return None

    def _go_on(self, broken: Conversation, message: Lock, deadline: float) -> Conversation | None:
        """
        Return a connection on which the lock of C{message} is held, in the place of one that is C{broken} while it is
        released; C{None} if it is released.

        @raise FlomError: it is lost, or the daemon cannot be reached until C{deadline}.
        """
        message = self._again(message).replace(session=broken.connection.session)
        while True:
            conversation: Conversation | None = None
            try:
                limit = min(deadline, monotonic() + COME_BACK_TIMEOUT)
                conversation = connect(self._config, deadline=limit, seek=Seek.A_SUCCESSOR)
                answer = conversation.lock(message, deadline)
                if isinstance(answer, Granted):
                    check_reclaimed(conversation.peer, answer.element, message.element)
                    return conversation
                conversation.close()
                if answer.outcome == Outcome.CANNOT_WAIT:
                    return None
                raise lock_refused(answer.outcome, message.name, conversation.peer)
            except (DaemonLost, DaemonUnreachable, LockTimeout) as e:
                _trace.debug("%s: %s", message.name, e)
            except RemoteProtocolError:
                if conversation is not None:
                    conversation.close()
                raise
            pause(RETRY * jitter(), deadline)

    def _limit_wait(self) -> None:
        """Start the user's timeout: when the wait begins, and anew when a daemon has been started, which takes time."""
        self._deadline = NEVER if self._timeout is None else monotonic() + self._timeout

    def _ask(self, message: Lock) -> tuple[Conversation, Granted]:
        """Ask for the lock; if the daemon goes before it has decided, ask again as often as L{RetryBudget} allows."""
        began, has_asked = monotonic(), False
        retry = FIRST_RETRY
        while True:
            self.conversation = None
            self._is_undecided = True
            try:
                self.conversation = conversation = self._connect()
                self._hooks.asks(conversation)
                waited = monotonic() - began if has_asked and not message.regains else 0.0
                answer = self._decide(conversation, message.replace(waited=waited))
            except FlomError as e:
                if self._asks_anew():
                    began, has_asked = monotonic(), False
                    continue
                if not isinstance(e, DaemonLost):
                    raise
                answered = self.conversation is not None and self.conversation.connection.has_answered
                if answered or not self._is_expected:
                    self._budget.spend(e, answered=answered)
                has_asked = True
                message = self._goes_on(message)
                self._hooks.say(f"{e}, asking again")
                if self._seek != Seek.TO_RECLAIM:
                    self._seek = Seek.A_SUCCESSOR  # which may be about to take the place of the one that has gone
            else:
                if self._asks_anew():
                    began, has_asked = monotonic(), False
                    continue
                if isinstance(answer, Granted):
                    return conversation, answer
                conversation.close()
                raise lock_refused(answer.outcome, message.name, conversation.peer)
            if self._is_in_group:
                pause(retry * jitter(), self._deadline)
                retry = min(2 * retry, RETRY)
            elif self._budget.has_waited or self._budget.silent > 1 or self._is_expected:
                pause(RETRY * jitter(), self._deadline)

    def _decide(self, conversation: Conversation, message: Lock) -> Granted | Refused:
        """Return the daemon's decision; L{DaemonUnreachable} is raised if C{message} is not to wait, and none comes."""
        began, asked_at = monotonic(), boottime()
        limit = began + self._patience
        if self._is_expected and not message.wait:
            limit = min(limit, max(self._expected_until, began + ANSWER_TIMEOUT))  # one that is there decides
        try:
            decision = conversation.lock(message, min(self._deadline, limit), self._interrupts)
        except LockTimeout:
            if self._deadline <= limit:
                raise
            raise silent(conversation.peer, limit - began) from None
        if isinstance(decision, Granted):
            waited = boottime() - asked_at
            if waited > _LONG and waited > _old_age(conversation.connection.terms):
                asked_at = conversation.check(self._deadline)
            conversation.outlive_daemon()
            self._asked_at = asked_at
        return decision

    def _connect_once(self, seek: int) -> Conversation:
        """Connect to the daemon; L{connect} has the errors, and L{silent} is one if it cannot be connected to."""
        limit = NEVER if self._is_in_group else monotonic() + self._patience
        if is_expected := self._is_expected:
            limit = min(limit, monotonic() + COME_BACK_TIMEOUT, self._expected_until)
        hooks = self._hooks
        try:
            return connect(
                self._config,
                deadline=min(self._deadline, limit),
                warn=hooks.warn,
                say=hooks.say,
                seek=seek,
                holder=self._holder,
            )
        except LockTimeout as e:
            if self._deadline <= limit:
                raise
            if type(e) is not LockTimeout:  # no name server has answered
                raise DaemonUnreachable(ReturnCode.GETADDRINFO_ERROR, str(e)) from None
            if is_expected:
                raise NoDaemon(ReturnCode.NETWORK_TIMEOUT, str(e)) from None
            raise silent(peer_of(self._config), self._patience) from None

    def _connect(self) -> Conversation:
        """Connect to the daemon, which is started or elected if need be and allowed."""
        began, seek = monotonic(), self._seek
        self._starts = 0
        while True:
            asked_at = boottime()
            try:
                return self._connect_once(seek)
            except NoDaemon as e:
                gone = e
                self._note_absence(e, asked_at)
                if self._is_far:
                    self._check_is_gone(e)
                    self._pause(until_next_look(monotonic() - began))
                    continue
                if self._is_expected:
                    self._hooks.say(f"{e}, trying again")
                    self._pause(until_next_look(monotonic() - began))
                    if self._is_expected or self._seek != Seek.TO_RECLAIM:
                        continue  # a holder has no more time: the next attempt might take minutes
                if self._waits_for_daemon:
                    self._await_daemon(e, monotonic() - began)
                    continue
                self._check_may_start(e)
            if self._is_in_group:
                self._elect()
                seek = Seek.STARTED
            else:
                self._start(began, gone)

    def _check_is_gone(self, error: NoDaemon) -> None:
        """Note that the daemon on another host has gone; if its host does not say so, raise C{error} after a while."""
        if error.is_refused:
            self._expect()  # one that starts now leaves us as much time
        elif not self._is_expected:
            raise error

    @property
    def _is_expected(self) -> bool:
        """True while a daemon keeps what we had of it, although we cannot reach it: nobody starts another one."""
        return monotonic() < self._expected_until

    def _note_absence(self, error: NoDaemon, asked_at: float) -> None:
        """Note that nobody listens, where the next daemon will know of us: until now, nobody can have had our lock."""
        if self._is_late and error.is_refused:
            raise self._too_late()
        if self.lease is not None and self._insists and error.is_refused:
            self.lease.sent(asked_at)
            self.lease.answered()

    def _too_late(self) -> DaemonLost:
        """
        Return the error that the daemon has gone while we did not run, and our time was over: others may have been
        granted the lock since, by one that has gone too, and have yet to reclaim it.
        """
        return DaemonLost(f"{peer_of(self._config)} has gone while this program was stopped")

    @property
    def _waits_for_daemon(self) -> bool:
        """True if another program has to start the daemon at which to wait on."""
        may_start = self._may_start and self._config.lifespan_ms != 0
        return self._budget.has_waited and not self._is_in_group and not may_start

    def _await_daemon(self, error: NoDaemon, took: float) -> None:
        """Pause before looking again for a daemon in the place of the one that has gone, C{took} seconds after it."""
        if not self._budget.has_told:
            self._budget.has_told = True
            self._hooks.warn(f"{error}: the daemon has gone, waiting for another one")
        self._pause(until_next_look(took))

    def _pause(self, seconds: float) -> None:
        """Pause before another look for a daemon, but not for so long that what a lease believes ends meanwhile."""
        if self.lease is not None:
            seconds = min(seconds, self.lease.patience / _LOOKS)
        pause(seconds, self._deadline)

    def _check_may_start(self, error: NoDaemon) -> None:
        """Raise L{DaemonUnreachable} if no daemon is to be started because of C{error}, or that was of no use."""
        from flom.client.blocking.launch import MOST_STARTS, not_started

        if not self._may_start:
            raise error
        peer = peer_of(self._config)
        if self._config.lifespan_ms == 0:
            what = str(error) if self._is_in_group else f"{peer}: no daemon is listening"
            why = f"{what}, and daemon-lifespan 0 forbids to start one"
            raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, why) from error
        if self._starts >= MOST_STARTS:
            raise not_started(f"{peer}: a daemon was started {self._starts} times, and does not listen") from error

    def _start(self, began: float, gone: NoDaemon) -> None:
        """
        Start a daemon, for which we have looked since C{began}, unless another program is doing so.

        @param gone: says that there is none.
        """
        from flom.client.blocking import launch
        from flom.net.claim import CannotClaim

        peer = peer_of(self._config)
        try:
            started = launch.start_daemon(self._config, self._hooks.warn)
        except launch.ToComeBack as e:
            if not self._budget.has_told:
                self._budget.has_told = True
                what = f"{peer} belongs to a daemon that is to come back"
                self._hooks.say(f"{what}: waiting for it, for {e.left:.0f} s at most")
            pause(RETRY, self._deadline)
            return
        except CannotClaim as e:
            if not e.is_taken and self._config.unicast_address and self._budget.has_waited:
                self._await_daemon(gone, monotonic() - began)  # the address is another host's
                return
            if not e.is_taken or monotonic() > began + launch.START_TIMEOUT:
                raise launch.cannot_claim(e) from e
            pause(launch.RETRY, self._deadline)
            return
        try:
            self._starts += 1
            self._hooks.say(f"no daemon at {peer}, starting one{launch.without_state()}")
            if not started.wait(monotonic() + launch.START_TIMEOUT, self._hooks.pass_on):
                raise launch.not_started(f"{peer}: the daemon was not ready within {launch.START_TIMEOUT:g} s")
        except launch.KilledAtStart as e:
            if not self._waits_on or self._starts >= launch.MOST_STARTS:
                raise
            self._hooks.say(f"{e}, trying again")
        finally:
            started.close()
        if not self._budget.has_waited:
            self._limit_wait()

    def _elect(self) -> None:
        """
        Start a candidate and wait until it is elected, or until another one has been, here or on another host.

        Of the programs of one host, one at a time has a candidate; the others go on asking.
        """
        from flom.client.blocking.discovery import Asker
        from flom.client.blocking.launch import (
            MOST_STARTS,
            START_TIMEOUT,
            KilledAtStart,
            campaign_of,
            not_started,
            stand_for_election,
            without_state,
        )
        from flom.core.group.discovery import QUIET, Search
        from flom.net.multicast import group_of

        config, hooks = self._config, self._hooks
        group = group_of(config)
        reclaims = self._seek == Seek.TO_RECLAIM
        began = monotonic()
        give_up = START_TIMEOUT + campaign_of(config)
        stand_again = 0.0
        candidate: Candidate | None = None
        self._starts += 1
        try:
            search = Search(group, orphaned=reclaims, holder=self._holder)
            with Asker(search, NEVER, _trace.debug) as asker:
                while not asker.finish():  # at first, nobody is asked again
                    took = monotonic() - began
                    if candidate is not None and candidate.has_ended:
                        candidate.close()
                        candidate = None
                        self._limit_wait()
                        stand_again = took + config.timing.patience  # there is a leader, who should answer
                    if candidate is None and took >= stand_again:
                        candidate = stand_for_election(config, group)
                        if candidate is not None:
                            hooks.say(f"no daemon leads {group}: standing for election{without_state()}")
                    try:
                        if candidate is not None and candidate.check(hooks):
                            break
                    except KilledAtStart as e:
                        self._starts += 1
                        if candidate is None or not self._waits_on or self._starts > MOST_STARTS:
                            raise
                        hooks.say(f"{e}, trying again")
                        candidate.close()
                        candidate = None
                    patience = _POLL
                    if candidate is None:  # another program of this host has one; our user's timeout runs on meanwhile
                        if not reclaims:
                            patience = min(max(QUIET, took * BACK_OFF), LONG_RETRY)
                        patience = min(patience, self._deadline - monotonic())
                        if patience <= 0:
                            raise LockTimeout("too late")
                    if took > give_up:
                        raise not_started(f"{group}: no daemon was elected within {give_up:g} s")
                    search.ask(patience)
                if candidate is not None and not candidate.has_ended:
                    try:
                        candidate.check(hooks)  # it may lead since a moment ago
                    except DaemonUnreachable:
                        pass  # another one leads, so that does not matter
        finally:
            if candidate is not None:
                candidate.close()
        if candidate is not None:
            self._limit_wait()


def _old_age(terms: Terms) -> float:
    """Return the seconds after which a grant may be old, so that the daemon has to be asked whether it still holds."""
    return min(terms.timeout or NEVER, terms.succession or NEVER) / 3 if terms.timeout else NEVER
