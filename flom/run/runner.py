"""Takes a lock, runs a command, releases the lock (docs/compatibility.md, "Commands under a lock")."""

from __future__ import annotations

import os
import sys
from select import POLLIN, poll
from time import monotonic

from flom.client.blocking.acquire import Acquirer, Hooks, prepare_to_reclaim, request_of
from flom.client.blocking.stream import NEVER
from flom.codes import ExitStatus
from flom.config import SIGNAL_NAMES
from flom.core.names import TimestampName, parse_name
from flom.errors import (
    ConfigError,
    DaemonLost,
    FlomError,
    InvalidRequest,
    LockBusy,
    LockContested,
    LockTimeout,
    NoProcess,
    ValueNotKept,
)
from flom.job.environment import VALUE, TakenLock, add_locks, inherited_environment
from flom.job.forwarding import Forwarding, ignore_signals
from flom.job.lineage import lineage_of, new_id, pass_on, with_lineage
from flom.job.sender import signed
from flom.job.status import leave
from flom.job.wording import status_for
from flom.job.words import CannotExecute, words_with
from flom.lean import RLock, boottime, signal, socket
from flom.run.child import Child
from flom.run.terminal import can_show, has_terminal, print_error, tell, warn
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.converting import Conversions
    from flom.config import Config
    from flom.core.heartbeat import Heartbeat
    from flom.core.lease import Lease
    from flom.core.protocol.events import Granted
    from flom.core.protocol.messages import Lock
    from flom.job.adoption import Adoption
    from flom.job.kept import KeptWishes
    from flom.job.on_wanted import OnWanted
    from flom.job.wording import Wording
    from flom.run.account import Account
    from flom.run.control import Control
    from flom.run.guardian import Guardian, Orphan
    from flom.run.history import HistoryFile
    from flom.run.on_lost import OnLost
    from flom.run.stand_in import StandIn
    from flom.run.wait_report import WaitReport

_SHORT: Final = 0.1  # seconds
_LONG: Final = 1.0  # seconds after which a command may run for so long that what a reclaim needs is imported

_trace = tracer("exec")


class Runner(Hooks):
    """One command and its lock. The main thread waits for the lock and for the command; signals come in another one."""

    def __init__(
        self,
        config: Config,
        command: Sequence[str],
        wording: Wording,
        *,
        waits_on: bool = True,
        end: Callable[[int], object] = leave,
        kept: KeptWishes | None = None,
        others: Sequence[Config] = (),
        adoption: Adoption | None = None,
    ) -> None:
        """
        @param waits_on: see L{Acquirer}.
        @param end: ends this process when a signal does; see L{Forwarding}.
        @param kept: what is wanted of what is kept with the resource; C{None} for nothing.
        @param others: what is to be locked together with what C{config} says, and how.
        @param adoption: the hold without a process to go on with; C{None} for a lock of the command's own.
        """
        self._config = config
        self._others = others
        self._wording = wording
        self._command = command
        self._kept = kept
        self._adoption = adoption
        self._acquirer = Acquirer(config, self, config.timeout or None, may_start=True, waits_on=waits_on)
        self._report: WaitReport | None = None
        self._starting = RLock()  # held while the command is started: nothing ends us without ending it too
        self._end = end
        self._forwarding = Forwarding(
            config.ignored_signals, warn=warn, end=self._end_by_signal, step_out=self._step_out
        )
        self._is_held = False
        self._child: Child | Orphan | None = None
        self._stand_in: StandIn | None = None
        self._guardian: Guardian | None = None  # under a quorum
        self._held: tuple[Conversation, Lock] | None = None
        self._on_lost: OnLost | None = None
        self._on_wanted: OnWanted | None = None
        self._heartbeat: Heartbeat | None = None
        self._told: set[type[DaemonLost]] = set()  # which kinds of losses were
        self._why_lost = ""
        self._conversions: Conversions | None = None  # once the command has asked for one
        self._conversation: Conversation | None = None  # on which the lock was held then
        self._history: HistoryFile | None = None
        self._account: Account | None = None
        self._lineage = lineage_of(new_id()) if wording.tells_lineage else ()

    def run(self) -> int:
        """Acquire the lock, run the command, release the lock; return the status to exit with, -N for signal N."""
        status = self._run()
        return status if self._account is None else self._account.close(status)

    def _run(self) -> int:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it were ignored, the kernel would forget how a command ends
        request = signed(self._request(), self._command[0], has_lineage=False)
        if self._lineage:
            request = with_lineage(request, self._lineage, self._config.nested)
        if self._kept is not None:
            request = self._kept.wish(request)
        if self._adoption is not None:
            request = self._adoption.wish(request)
        try:
            try:
                for config in (self._config, *self._others):
                    if isinstance(name := parse_name(config.resource_name), TimestampName):
                        name.unit()  # raises InvalidTimestampFormat
                if self._adoption is None:
                    self._open_history()
                if (self._config.verbose and self._wording.sums_up) or self._config.status_file:
                    from flom.run.account import Account

                    names = [each.resource_name for each in (self._config, *self._others)]
                    self._account = Account(self._config, self._wording, names)
                if self._config.wanted_by is not None:
                    from flom.job.on_wanted import OnWanted  # which few need

                    self._on_wanted = OnWanted(*self._config.wanted_by)
                self._note("request", pid=os.getpid())
                conversation, granted = self._acquirer.acquire(request)
                if self._adoption is not None:
                    self._note_adopted(conversation, request, granted)
                if self._kept is not None and (done := self._kept.why_done(request.name, granted.told)) is not None:
                    conversation.say_goodbye()
                    conversation.give_up()
                    conversation.close()
                    raise done
                if self._acquirer.is_by_quorum:
                    self._config = self._config.under_quorum()
                    self._wording.adapt(self._config)
                    if self._history is not None:
                        self._history.adapt(self._config)
                if self._config.lost_signal is not None or self._acquirer.is_by_quorum:
                    self._begin_heartbeat(conversation, request)
            finally:
                self._stop_report()
        except FlomError as e:
            self._note("refusal", why=str(e))
            status = status_for(e, self._config.conflict_exit_code)
            self._explain(e)
            if self._kept is not None and self._kept.skips(e):
                status = ExitStatus.OK
            if status != 0:  # with -E 0, a lock that is busy is no error
                print_error(self._wording.refused(e, self._holders() if isinstance(e, (LockBusy, LockTimeout)) else ""))
            return status
        self._is_held = True
        self._note("grant", granted)
        for part in granted.parts or (granted,):
            if part.element is not None:
                self.say(f"Locked element is '{part.element}'")
        conversation, status = self._run_command(conversation, request, granted)
        if DaemonLost in self._told:
            conversation.say_goodbye()
            conversation.close()
            return self._final(status)
        note = None if self._kept is None or status != 0 or self._told else self._kept.note()
        try:
            conversation.unlock(request.name, status != 0, note)
            self._note("release", rollback=status != 0)
        except ValueNotKept as e:
            self._note("release", rollback=False)
            self._explain(e)
            print_error(self._wording.not_kept(e))
            return self._final(ExitStatus.NOT_KEPT)
        except LockContested as e:
            self._tell(LockContested, self._wording.contested(e, has_ended=True))
        except DaemonLost as e:
            self._tell(DaemonLost, self._wording.lost(e, has_ended=True))
        return self._final(status)

    def _request(self) -> Lock:
        """Return the request for what the configuration says is to be locked."""
        request = request_of(self._config)
        if not self._others:
            return request
        from flom.core.protocol.parts import together  # which few commands need

        return together([request, *map(request_of, self._others)])

    def _open_history(self) -> None:
        if self._config.history:
            from flom.run.history import HistoryFile

            self._history = HistoryFile(self._config.history, (self._config, *self._others), self._command[0])

    def _note_adopted(self, conversation: Conversation, request: Lock, granted: Granted) -> None:
        """Note what the hold is of that was adopted."""
        assert self._adoption is not None
        try:
            self._config = self._adoption.adopted(self._config, granted)
            self._wording.adapt(self._config)
            self._open_history()
        except FlomError:
            conversation.unlock(request.name)
            raise
        if self._history is not None:
            self._history.note("request", pid=os.getpid())

    def _note(self, event: str, granted: Granted | None = None, **more: object) -> None:
        """Append C{event} to the history, and to the account, if there are any; see L{HistoryFile.note}."""
        if self._history is not None:
            self._history.note(event, granted, **more)
        if self._account is not None:
            self._account.note(event, more.get("status"))

    def _explain(self, error: Exception) -> None:
        if self._account is not None:
            self._account.explain(ExitStatus(status_for(error)))

    def _begin_heartbeat(self, conversation: Conversation, request: Lock) -> None:
        """Watch over a lock that has a session; if what is to happen when it is lost has no room, release it."""
        config = self._config
        is_ended = config.lost_signal is not None
        try:
            lease = self._acquirer.begin_lease(config.time_to_end, is_ended=is_ended)
        except ConfigError:
            conversation.unlock(request.name, rollback=True)
            raise
        if lease is not None:
            from flom.core.heartbeat import heartbeat_on

            terms, is_in_group = conversation.connection.terms, self._acquirer.is_in_group
            self._heartbeat = heartbeat_on(terms, lease, is_strict=is_ended, is_in_group=is_in_group)

    def signal(self, number: int, from_terminal: bool) -> None:
        """Receive a signal; see L{Forwarding}."""
        with self._starting:
            self._forwarding.receive(number, from_terminal)

    def warn(self, text: str) -> None:
        warn(text)

    def say(self, text: str) -> None:
        if self._config.verbose:
            tell(text)

    @property
    def wants_reasons(self) -> bool:
        return self._config.verbose

    def pass_on(self, line: str) -> None:
        print_error(line)

    def asks(self, conversation: Conversation) -> None:
        """
        Report what is waited for, if anybody reads it; if it is asked for to reclaim the lock, it is not to be lost if
        this process is killed.
        """
        if self._is_held:
            if self._stand_in is not None:
                self._stand_in.add(conversation.fileno())
            if self._guardian is not None:
                self._guardian.add(conversation.fileno())
        elif self._config.verbose or (self._wording.names_holders and can_show(sys.stderr)):
            from flom.run.wait_report import WaitReport

            self._stop_report()
            try:
                self._report = WaitReport(self._config, conversation.stream.socket, self._others)
            except NoProcess:
                self._report = None  # there can be no more threads: the lock matters more

    def _end_by_signal(self, status: int) -> None:
        self._stop_report()
        self._acquirer.leave()
        self._note("refusal", why=f"it ends with {status}")
        final = self._final(status)
        self._end(final if self._account is None else self._account.close(final))

    def _final(self, status: int) -> int:
        """Return what to exit with when the command has ended with C{status}."""
        is_because_of_loss = status == ExitStatus.OK or (self._on_lost is not None and self._on_lost.has_ended(status))
        return self._wording.lost_status if self._told and is_because_of_loss else status

    def _step_out(self) -> None:
        """Leave the queue before we are stopped, lest a sleeper be granted the lock; a session's leader never is."""
        if not self._config.keep_place and os.getsid(0) != os.getpid():
            self._stop_report()
            self._acquirer.step_out()

    def _holders(self) -> str:
        """Return who holds what we did not get, if we say so and it is known; a silent daemon is not asked again."""
        conversation = self._acquirer.conversation
        has_answered = conversation is not None and conversation.connection.has_answered
        if not has_answered or not self._wording.names_holders or self._config.quiet:
            return ""

        leaders = self._acquirer.leaders
        place = self._config if leaders is None else leaders.config
        from flom.run.wait_report import describe_holders, describe_holders_of_all

        if self._others:
            return describe_holders_of_all(place, (self._config, *self._others))
        return describe_holders(place)

    def _stop_report(self) -> None:
        if self._report is not None:
            self._report.stop()

    def _run_command(self, conversation: Conversation, request: Lock, granted: Granted) -> tuple[Conversation, int]:
        """Run the command to its end; return the connection on which the lock is held by then, and the status."""
        environment = inherited_environment()
        parts = granted.parts or (granted,)
        taken = [
            TakenLock(config.resource_name, config.lock_mode, config.quantity, part.element, part.token)
            for config, part in zip((self._config, *self._others), parts)  # noqa: B905 (there are as many)
        ]
        add_locks(environment, taken)
        if granted.told is not None and granted.told.value:
            environment[VALUE] = os.fsencode(granted.told.value)
        if self._lineage:
            pass_on(self._lineage, environment)
        if not self._config.close:
            os.set_inheritable(conversation.fileno(), True)
            if conversation.holding is not None:
                os.set_inheritable(conversation.holding.fileno(), True)
        if self._config.lost_signal is not None:
            from flom.run.on_lost import OnLost  # now: when the lock is lost, nothing may be left to import it with

            kill_after = self._config.kill_after
            if self._heartbeat is not None and kill_after is not None:
                kill_after = self._heartbeat.lease.kill_after
            self._on_lost = OnLost(self._config.lost_signal, kill_after, self._wording)
        if self._acquirer.is_by_quorum and self._heartbeat is not None:
            self._start_guardian(conversation, request)
        if self._on_wanted is not None:
            self._on_wanted.prepare(environment)
        try:
            with self._starting:
                self._child = child = Child(
                    words_with([lock.element for lock in taken], self._command),
                    environment,
                    self._forwarding.note_end,
                    leads_group=self._on_lost is not None and not has_terminal(),
                    has_control=self._wording.has_control,
                )
                self._forwarding.note_start(child.pid, child.signal)
                self._note("begin", granted, pid=child.pid)
        except (CannotExecute, NoProcess) as e:
            print_error(self._wording.refused(e))
            status = status_for(e)
            self._explain(e)
            self._forwarding.note_end(status)
            self._end_guardian()
            return conversation, status
        finally:
            if self._on_wanted is not None:
                self._on_wanted.note_start()
        if self._guardian is not None:
            self._guardian.begin(child)
        _trace.debug("running %s", self._command[0])
        for number in ignore_signals(self._config.ignored_signals):
            print_error(f"Warning: couldn't ignore signal {number}:{SIGNAL_NAMES[number - 1]}")
        conversation = self._watch_over(child, conversation, request)
        if self._on_lost is not None:
            self._on_lost.finish()
        self._end_guardian()
        assert child.status is not None
        self._note("end", status=child.status)
        _trace.debug("%s has ended with status %d", self._command[0], child.status)
        return conversation, child.status

    def _start_guardian(self, conversation: Conversation, request: Lock) -> None:
        """Start the process that takes our place if we are killed, or stopped for long; it replaces the last one."""
        from flom.run.guardian import Guardian  # which is for a quorum alone

        former, self._held = self._guardian, (conversation, request)
        kept = [each.fileno() for each in (self._history, self._on_wanted) if each is not None and each.fileno() >= 0]
        self._guardian = guardian = Guardian(self, kept)
        held_by = (conversation, conversation.holding)
        guardian.keep([each.fileno() for each in held_by if each is not None])
        if self._heartbeat is not None:
            guardian.note(self._heartbeat.lease.lost_at)
        if self._child is not None:
            guardian.begin(self._child)
        if former is not None:
            former.end()

    def _note_guardian_s_work(self) -> None:
        """Note, when the command has ended, whether its lock was lost before, while we were stopped."""
        if self._guardian is None or self._heartbeat is None:
            return
        if self._heartbeat.lease.is_over(boottime()):
            self._tell(DaemonLost, self._wording.lost(_stopped(), has_ended=True))
            if self._on_lost is not None:
                self._on_lost.note_act()

    def _end_guardian(self) -> None:
        if self._guardian is not None:
            self._guardian.end()

    # what the guardian, which is a fork of this process, does in its place

    def prepare(self) -> None:
        """Import what a reclaim needs."""
        prepare_to_reclaim()

    def succeed(self, command: Orphan, held_by: int, lost_at: float) -> None:
        """Go on in the place of C{flom-run}, until C{command} has ended; see L{flom.run.guardian.Successor}."""
        assert self._held is not None
        assert self._heartbeat is not None
        conversation, request = self._held
        lease = self._take_over(command, lost_at)
        now = boottime()
        conversation.inherit(held_by)
        lease.sent(now)
        conversation = self._watch_over(command, conversation, request)
        if self._on_lost is not None:
            self._on_lost.finish()
        if DaemonLost not in self._told:
            conversation.say_goodbye()

    def see_to_loss(self, command: Orphan, lost_at: float) -> None:
        """Do what is to be done because the lock was lost; see L{flom.run.guardian.Successor}."""
        self._take_over(command, lost_at)
        if self._on_lost is not None:
            self._tell(DaemonLost, self._wording.lost(_stopped()))
            self._on_lost.finish()

    def _take_over(self, command: Orphan, lost_at: float) -> Lease:
        """Be the guardian of C{command}, whose lock is held until C{lost_at}; return what is believed of it."""
        assert self._heartbeat is not None
        self._child, self._guardian, self._stand_in = command, None, None
        lease = self._heartbeat.lease
        lease.reconnected()
        lease.sent(lost_at - lease.patience)
        lease.answered()
        return lease

    def _watch_over(self, child: Child | Orphan, conversation: Conversation, request: Lock) -> Conversation:
        """Wait until the command has ended; if the daemon goes first, reclaim the lock, or say that it is gone."""
        waiting = poll()
        waiting.register(child, POLLIN)
        waiting.register(conversation, POLLIN)
        desk, control = child.control, None
        if desk is not None:
            waiting.register(desk, POLLIN)
        if self._heartbeat is None and conversation.connection.session and not waiting.poll(_SHORT * 1000):
            self._begin_heartbeat(conversation, request)  # most commands end before, and need not wait for an import
        heartbeat, prepare_at = self._heartbeat, monotonic() + _LONG
        while True:
            if self._on_wanted is not None and conversation.is_wanted:
                conversation.is_wanted = False
                if child.status is None:
                    self._on_wanted.tell(child.pid, child.signal, warn)
            left = NEVER if heartbeat is None or DaemonLost in self._told else heartbeat.due() - boottime()
            left = max(0.0, min(left, prepare_at - monotonic()))
            if control is not None:
                left = min(left, control.left)
            ready = waiting.poll(None if left == NEVER else left * 1000 + 1)
            if monotonic() >= prepare_at:
                prepare_at = NEVER
                prepare_to_reclaim()
            has_ended = child.fileno() in [descriptor for descriptor, _ in ready]
            if heartbeat is not None and DaemonLost not in self._told and not (conversation.is_lost or has_ended):
                heartbeat.tend(conversation, boottime())
                if self._guardian is not None:
                    self._guardian.note(heartbeat.lease.lost_at)
            # after the end too: both may come at once
            if DaemonLost not in self._told and conversation.is_lost and not (has_ended and conversation.can_go_on):
                waiting.unregister(conversation)
                request = self._request_held(request)
                reclaimed = self._reclaim(conversation, request, child, has_ended)
                conversation.give_up()
                if reclaimed is not None:
                    conversation.close()
                    conversation = reclaimed
                    waiting.register(conversation, POLLIN)
                    if control is not None:
                        control.resume(conversation)
            if desk is not None and control is None and desk.fileno() in [descriptor for descriptor, _ in ready]:
                if desk.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    control = self._open_control(desk, waiting, request)
                else:
                    waiting.unregister(desk)  # the command has closed its end
                    desk = None
            if control is not None:
                self._conversation = conversation
                control.look([descriptor for descriptor, _ in ready], conversation, self._why_lost)
            if conversation.is_contested:
                self._tell(LockContested, self._wording.contested(conversation.why_contested(), has_ended=has_ended))
            if has_ended:
                self._note_guardian_s_work()
                return conversation

    def _open_control(self, desk: socket.socket, waiting: poll, request: Lock) -> Control:
        """Return what answers the command, which has asked for something."""
        from flom.client.blocking.converting import Conversions  # which few commands need
        from flom.run.control import Control

        if not self._others:
            self._conversions = Conversions(self._acquirer, request)
        begin, decided = self._prepare_conversion, self._note_conversion
        return Control(desk, waiting, self._conversions, begin, decided, self._set_value)

    def _request_held(self, request: Lock) -> Lock:
        """Return C{request}, by which the lock was granted, as it is to be reclaimed."""
        return request if self._conversions is None else self._conversions.message

    def _prepare_conversion(self) -> None:
        """Note that the lock is about to be held in another mode."""
        if self._history is not None:
            self._history.note("end")

    def _note_conversion(self) -> None:
        """Note the mode in which the lock is held now, for the history, and the process that may take our place."""
        assert self._conversions is not None
        if self._history is not None:
            self._history.go_on(self._conversions.mode, self._conversions.token)
        if self._guardian is not None and self._conversation is not None:
            self._start_guardian(self._conversation, self._conversions.message)

    def _set_value(self, text: str) -> str:
        """Note C{text}, which is kept if the command ends with 0, and return the name of the resource."""
        if self._kept is None or self._conversions is None:
            options = "--value, --read-value and --once-per"
            raise InvalidRequest(f"flom-run was not asked for a value: it has none of {options}")
        name = self._conversions.message.name
        self._kept.set_value(name, text, self._conversions.mode)
        return name

    def _reclaim(
        self, lost_with: Conversation, request: Lock, child: Child | Orphan, has_ended: bool
    ) -> Conversation | None:
        """
        Acquire the lock again, at the next daemon, while the command runs on; or say that it is lost.
        """
        why = lost_with.why_lost()
        if lost_with.revoked is not None or not self._acquirer.can_reclaim():
            self._tell(DaemonLost, self._wording.lost(why, has_ended=has_ended))
            return None
        self.say(f"{why}, looking for the one that takes over")
        from flom.run.aside import call_aside  # which most commands do not need

        needs_stand_in = not (self._config.close or self._acquirer.is_by_quorum)
        if self._stand_in is None and needs_stand_in and not has_ended:
            from flom.run.stand_in import StandIn

            self._stand_in = StandIn(child.open_end_watch)
        is_limited = self._on_lost is not None or self._acquirer.is_by_quorum
        left = self._left_to_lose if self._heartbeat is not None and is_limited else None
        try:
            conversation = call_aside(lambda: self._acquirer.reclaim(request), child, left, self._acquirer.hurry)
        except FlomError as e:
            self._acquirer.stop()
            has_ended = child.status is not None  # or perhaps meanwhile
            if self._stand_in is not None:
                self._stand_in.end()
            self._tell(DaemonLost, self._wording.not_reclaimed(why, e, has_ended=has_ended))
            return None
        if self._stand_in is not None:
            held_by = (conversation, conversation.holding)
            self._stand_in.keep([each.fileno() for each in held_by if each is not None])
        if self._guardian is not None and not has_ended:
            self._start_guardian(conversation, request)
        self._note("reclaim")
        title = request.title if self._adoption is None else self._config.resource_name
        self.say(f"{title} reclaimed")
        return conversation

    def _left_to_lose(self) -> float:
        return NEVER if self._heartbeat is None else self._heartbeat.left_to_lose(boottime())

    def _tell(self, kind: type[DaemonLost], line: str) -> None:
        """Print C{line} about a loss, of which each C{kind} is told once, and let the command know of the first."""
        if kind not in self._told:
            self._told.add(kind)
            if self._guardian is not None:
                self._guardian.note_loss()
            if self._child is not None:
                self._child.tell_loss()
                if self._on_lost is not None:
                    heartbeat, is_by_quorum = self._heartbeat, self._acquirer.is_by_quorum
                    left = heartbeat.left_to_kill(boottime()) if heartbeat and is_by_quorum else NEVER
                    self._on_lost.act(self._child, left)
                    if self._guardian is not None and heartbeat is not None and heartbeat.lease.is_over(boottime()):
                        self._on_lost.note_act()  # the guardian has, if the command has ended before us
            self._note("loss", why=line)
            if kind is DaemonLost:
                self._why_lost = line
            print_error(line)


def _stopped() -> DaemonLost:
    return DaemonLost("flom-run was stopped, and did not ask whether it was held")
