"""
The client's end of a connection, without a reactor: one resource is asked for, held and released
(docs/compatibility.md, "Protocol: client").

Nothing here starts a daemon or asks again; see L{flom.client.blocking.acquire} for that.
"""

from __future__ import annotations

import sys
from select import POLLIN
from time import monotonic

from flom.client.addresses import peer_of
from flom.client.blocking.dial import Seek, reach
from flom.client.blocking.fork_safety import adopt, close_socket, guard, lock_holders
from flom.client.blocking.stream import NEVER, Stream, note_signals, wait_for
from flom.client.blocking.stream import Interrupted as Interrupted  # which its users find here
from flom.client.retry import CLOSE_TIMEOUT, FIRST_ANSWER, MOST_GONE, NOTE_TIMEOUT, UNLOCK_TRY, unconfirmed
from flom.codes import ReturnCode
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.encode import extend
from flom.core.protocol.events import Converted, Granted, Introduced, Lost, MoreWanted, NotConverted, Pong, Refused
from flom.core.protocol.framing import Shown
from flom.core.protocol.messages import Contested, Revoked, Unlocked, Wanted, WhyWithdrawn
from flom.errors import (
    DaemonLost,
    FlomError,
    LockContested,
    LockRevoked,
    LockTimeout,
    Misuse,
    RemoteProtocolError,
    TlsError,
    ValueNotKept,
    why_revoked,
)
from flom.lean import boottime, socket
from flom.net.keepalive import Keepalive, is_confirmed
from flom.net.machine_id import unique_id
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from flom.config import Config
    from flom.core.modes import LockMode
    from flom.core.protocol.events import Event
    from flom.core.protocol.messages import Lock, Note
    from flom.net.holding import Holding

_RESET: Final = (1).to_bytes(4, sys.byteorder) + bytes(4)  # of the kernel's struct linger: on, for 0 seconds
_UNLOCKED: Final = Unlocked()
_CHECK_PART: Final = 5  # of the daemon's session-timeout is the time in which it should answer

_trace = tracer("client")
_msg = tracer("msg")


def connect(
    config: Config,
    *,
    deadline: float | None = None,
    warn: Callable[[str], None] = _trace.debug,
    say: Callable[[str], None] = _trace.debug,
    seek: int = Seek.ANY,
    holder: int = 0,
) -> Conversation:
    """
    Connect to the daemon that C{config} means; none is started.

    @param deadline: a time of C{time.monotonic}; C{None} if it does not matter how long it takes.
    @param warn: called with each warning for the user.
    @param say: called with each line about the search for the daemon of a group.
    @param seek: one of L{Seek}.
    @param holder: see L{flom.core.protocol.messages.Discover}; with L{Seek.TO_RECLAIM} only.
    @raise flom.client.blocking.dial.NoDaemon: there is none.
    @raise flom.errors.DaemonUnreachable: it cannot be connected to.
    @raise flom.errors.ConfigError: there is no such group or network interface.
    @raise flom.net.multicast.NoMulticast: nothing can be sent to the group.
    @raise LockTimeout: it is C{deadline}.
    @raise DaemonLost: the daemon went away during the TLS handshake.
    @raise flom.errors.TlsError: a file for TLS cannot be used, or one of the two ends does not trust the other.
    """
    limit = NEVER if deadline is None else deadline
    tls = None
    if config.is_tls:
        from flom.client.blocking.tls import SecureStream, TlsEnd

        tls = TlsEnd(config)
    connected = None
    try:
        connected, peer = reach(config, seek, limit, warn, say, holder)
        _trace.debug("connected to %s", peer)
        if tls is None:
            return Conversation(Stream(connected), peer)
        stream = SecureStream(connected, tls, peer)
        stream.shake_hands(limit)
        return Conversation(stream, peer)
    except BaseException as e:
        if connected is not None:
            close_socket(connected)
        if type(e) is LockTimeout:  # others know better why
            raise LockTimeout(f"{peer_of(config)}: not connected in time") from None
        raise


class Conversation:
    """
    A connection to a daemon, for one resource (docs/compatibility.md, "Protocol: daemon").

    It belongs to the process that has made it; in a forked child, it is closed.

    @ivar peer: names the daemon in errors.
    @ivar stream: the bytes of it.
    @ivar connection: what they mean.
    @ivar pongs: how many answers to L{ping} have come; the code that takes note of some lowers it.
    @ivar granted: what was granted by it last; C{None} if nothing was.
    @ivar is_contested: true once the daemon has said that another one has granted the lock too; it is held still.
    @ivar revoked: why the lock was lost, if an administrator has ended it; C{None} otherwise.
    @ivar is_wanted: true once the daemon has said that others wait because of the lock; the code that takes note of
        that may set it to false.
    @ivar is_one_of_several: true if another daemon is to be asked if this one does not answer at once.
    @ivar is_shared: true if another process may have the connection too, and is to keep the lock when this one ends.
    @ivar on_conversion: called with what has become of conversions of the lock; C{None} before there is one.
    @ivar go_on: goes on with what was granted by another connection, until a time of C{time.monotonic}, and returns
        that, or C{None} if the lock is released; C{None} if a connection that breaks is the end of the lock.
    @ivar goes_on_elsewhere: true if L{go_on} may find the lock at another daemon, to which this one has handed over.
    @ivar reclaim: likewise from the next daemon too, so that a rollback reaches that if it has not reached this one;
        C{None} if the lock cannot be rolled back, or not be reclaimed.
    @ivar holding: by which the next daemon at this address knows that the lock is held; C{None} if it does not.
    """

    def __init__(self, stream: Stream, peer: str) -> None:
        self.peer = peer
        self.stream = stream
        self.connection = ClientConnection()
        self._is_lost = False
        self.is_one_of_several = False
        self._stale_pongs = 0  # how many are to come that answer what was asked before the grant
        self.pongs = 0
        self.granted: Granted | None = None
        self.is_contested = False
        self.revoked: LockRevoked | None = None
        self._unlocked = _UNLOCKED  # what the daemon has said to the unlock
        self.is_wanted = False
        self.is_shared = False
        self.on_conversion: Callable[[Converted | NotConverted], None] | None = None
        self.go_on: Callable[[float], Conversation | None] | None = None
        self.goes_on_elsewhere = False
        self.reclaim: Callable[[float], Conversation | None] | None = None
        self.holding: Holding | None = None

    def lock(self, message: Lock, deadline: float | None = None, interrupts: bool = False) -> Granted | Refused:
        """
        Ask for a resource, and wait for the daemon's decision.

        If anything is raised, KeyboardInterrupt for example, the connection is closed before, so that the daemon
        forgets the request; if that is to reclaim a lock, it may keep it for us.

        @param message: our unique id is added if it has none.
        @param deadline: a time of C{time.monotonic}; C{None} to wait as long as it takes.
        @param interrupts: whether a signal ends the wait if it has a handler in Python; in other threads than the main
            one, none does.
        @raise LockTimeout: it is C{deadline}.
        @raise DaemonLost: the daemon has gone.
        @raise Interrupted: a signal came; only with C{interrupts}.
        @raise RemoteProtocolError: the daemon has said what is no answer.
        @raise flom.errors.LocalProtocolError: C{message} is too long, or must not be sent now.
        @raise flom.errors.TlsError: one of the two ends does not trust the other.
        """
        try:
            self._check_open()
            limit = NEVER if deadline is None else deadline
            if interrupts:
                with note_signals() as signals:
                    return self._ask(message, limit, signals)
            return self._ask(message, limit, None)
        except BaseException as e:
            if message.regains and message.session and isinstance(e, LockTimeout):
                self.break_off()  # what the daemon may have taken up on this connection is asked for by another
            elif self.fileno() >= 0:
                if not message.regains:
                    self.say_goodbye(_why_withdrawn(e))
                self.stream.hang_up()  # or else an answer that was not read would make it a reset
            self.close()
            raise

    def unlock(self, name: str, rollback: bool = False, note: Note | None = None) -> None:
        """
        Release the lock, wait until the daemon has taken that, at most L{CLOSE_TIMEOUT} seconds, and close the
        connection. If it is broken, the lock is released by another one, if it can L{go_on}, within the time for which
        the daemon keeps it; if the daemon is gone, it is rolled back at the next one, if it can be reclaimed.

        @param name: of the resource, as it was asked for.
        @param rollback: return the value of a transactional sequence (docs/compatibility.md, "Sequences").
        @param note: what is to be kept with the resource.
        @raise ValueNotKept: the lock was released, and C{note} is not kept, or it is not known whether it is.
        @raise DaemonLost: the daemon was gone before, or has not confirmed the unlock, so that another client may have
            been granted the lock earlier; L{LockContested} if the lock was released, but was contested;
            L{LockRevoked} if an administrator has ended it.
        @raise flom.errors.LocalProtocolError: there is no lock to release; nothing has happened.
        """
        self._check_open()
        try:
            if self.go_on is None and self.reclaim is None:
                self._unlock(name, rollback, note, monotonic() + (NOTE_TIMEOUT if note else CLOSE_TIMEOUT))
            else:
                self._unlock_again(name, rollback, note)
        except DaemonLost:
            if self.revoked is not None:
                raise self.revoked from None
            raise
        finally:
            self.give_up()
            self.close()
        if self.is_contested:
            raise self.why_contested()
        if note is not None and not self._unlocked.kept:
            raise ValueNotKept(self._unlocked.why or f"{self.peer} has not confirmed it")

    def _unlock_again(self, name: str, rollback: bool, note: Note | None) -> None:
        """Release the lock; if the daemon does not say in time that it has taken that, by another connection."""
        now, patience = monotonic(), NOTE_TIMEOUT if note else CLOSE_TIMEOUT
        kept_until = now + max(patience, self.connection.terms.timeout)
        try:
            self._unlock(name, rollback, note, now + (UNLOCK_TRY if self.go_on and not note else patience))
        except DaemonLost as e:
            if self.revoked is not None:
                raise self.revoked from None
            has_closed = not self.is_broken and (self._is_lost or not self.connection.is_unlocking)
            go_on = self.go_on if self.goes_on_elsewhere or not has_closed else None
            is_to_be_told = rollback or note is not None or self.is_awaited
            if is_to_be_told and self.reclaim is not None and (has_closed or self.is_broken):
                go_on = self.reclaim
            if go_on is None:
                raise
            if has_closed:
                kept_until = max(kept_until, monotonic() + patience)  # for the next daemon
            self._unlock_elsewhere(e, name, rollback, note, kept_until, go_on)

    def _unlock_elsewhere(
        self,
        loss: DaemonLost,
        name: str,
        rollback: bool,
        note: Note | None,
        deadline: float,
        go_on: Callable[[float], Conversation | None],
    ) -> None:
        """
        Release the lock by a connection that C{go_on} returns, or by the next one if that is broken. If its daemon has
        gone, there is as much time again for the next one, if the lock can be reclaimed there.
        """
        former: Conversation | None = None
        for _ in range(MOST_GONE):
            try:
                conversation = go_on(deadline)
            except FlomError as why:
                _trace.debug("%s: %s", name, why)
                raise loss from None
            finally:
                if former is not None:  # the next daemon has waited for us until now
                    former._leave()
            if conversation is None:
                return
            self.is_contested |= conversation.is_contested
            is_kept = bool(conversation.connection.session)
            try:
                limit = monotonic() + (NOTE_TIMEOUT if note else UNLOCK_TRY)
                conversation._unlock(name, rollback, note, min(deadline, limit) if is_kept else deadline)
                self._unlocked = conversation._unlocked
            except DaemonLost as e:
                loss, former = e, conversation
                has_timed_out = conversation.connection.is_unlocking and not conversation._is_lost
                if has_timed_out and is_kept:
                    conversation.break_off()
                if conversation.stream.is_broken:
                    if monotonic() < deadline:
                        continue
                elif go_on == self.reclaim and not has_timed_out:
                    deadline = max(deadline, monotonic() + CLOSE_TIMEOUT)
                    continue
                conversation._leave()
                raise
            except BaseException:
                conversation._leave()
                raise
            conversation._leave()
            return
        if former is not None:
            former._leave()
        raise loss

    def _leave(self) -> None:
        """End the conversation, and what another daemon would wait for."""
        self.give_up()
        self.close()

    def _unlock(self, name: str, rollback: bool, note: Note | None, deadline: float) -> None:
        data = self.connection.unlock(name, rollback, note)
        seconds = deadline - monotonic()
        try:
            if self.is_lost:
                raise ConnectionResetError
            _msg.debug("to %s: %s", self.peer, Shown(data))
            self.stream.send(data, deadline)
            self._await_unlock(deadline)
        except LockTimeout:
            raise unconfirmed(self.peer, f"within {seconds:.3g} s") from None
        except TlsError as e:
            raise unconfirmed(self.peer, f"({e})") from None
        except FlomError:
            raise
        except OSError:
            raise DaemonLost(f"{self.peer} closed the connection", ReturnCode.SEND_ERROR) from None

    def _probe_early(self) -> None:
        """
        Set keepalive so that the kernel notices in half of the time for which the daemon keeps what we have if the
        connection breaks.
        """
        try:
            Keepalive.of(self.stream.socket).within(self.connection.terms.timeout / 2).tune(self.stream.socket)
        except OSError:
            pass  # it has ended, or is not over TCP

    def convert(self, name: str, mode: LockMode, *, wait: bool) -> int:
        """
        Change the mode of the lock; L{on_conversion} is called with the answer, when that is read.

        @param wait: wait if the mode cannot be granted now.
        @return: the number that the answer has.
        """
        data = self.connection.convert(name, mode, wait=wait)
        _msg.debug("to %s: %s", self.peer, Shown(data))
        try:
            self.stream.send(data, monotonic() + UNLOCK_TRY)
        except (FlomError, OSError) as e:  # it is asked for once more when the lock has been reclaimed
            _trace.debug("%s: no conversion: %s", self.peer, e)
        return self.connection.conversion

    def ping(self) -> None:
        """Ask whether the daemon is there; L{is_lost} reads the answer, if that comes, or finds that it is not."""
        data = self.connection.ping()
        _msg.debug("to %s: %s", self.peer, Shown(data))
        try:
            self.stream.send(data, 0.0)
        except (FlomError, OSError) as e:  # what is not taken at once is not answered in time
            _trace.debug("%s: no ping: %s", self.peer, e)

    def check(self, deadline: float) -> float:
        """
        Check that the daemon is there, and still has our lock: the grant may be old, if this process was stopped.

        @return: a time of L{boottime} at which it was.
        @raise DaemonLost: it is not; the connection is closed then.
        @raise LockTimeout: it is C{deadline}, and the daemon has not answered; likewise.
        """
        try:
            now = boottime()
            self.ping()
            while not self.is_lost and not self.pongs:
                doubtful_at = monotonic() + self.connection.terms.timeout / _CHECK_PART
                try:
                    wait_for(self.stream.socket, POLLIN, min(deadline, doubtful_at))
                except LockTimeout:
                    if deadline <= doubtful_at:
                        raise
                    if self.connection.terms.quorum or not self.is_confirmed:
                        self.break_off()
            if not self.pongs:
                raise DaemonLost(f"{self.peer} closed the connection")
            self.pongs = 0
            return now
        except BaseException:
            self.close()
            raise

    def break_off(self) -> None:
        """
        Note that the connection is broken, which the kernel does not know: nothing comes through it in time. Closing it
        is a reset: what looked like an end in good order would free the lock, if it came through after all.
        """
        _trace.debug("%s does not answer", self.peer)
        self._is_lost = self.stream.is_broken = True
        try:
            self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # it has ended

    @property
    def is_confirmed(self) -> bool:
        """True if the kernel of the daemon's host has confirmed all that was sent; the daemon need not have read it."""
        return is_confirmed(self.fileno())

    def inherit(self, descriptor: int) -> None:
        """
        Go on with the connection, which is C{descriptor} here, in the place of the process whose fork we are, and that
        has ended. It may have asked whether the daemon is there, without having read the answer; so we ask twice, and
        take note of one answer less. What is encrypted cannot be gone on with, and counts as broken.
        """
        self.stream.socket = adopt(descriptor)
        if not self.stream.can_be_inherited:
            self._is_lost = self.stream.is_broken = True
            return
        self._stale_pongs, self.pongs = 1, 0
        self.ping()
        self.ping()

    def outlive_daemon(self) -> None:
        """
        Lock the daemon's holders file, as the lock was granted: if it goes, the next one at its address waits for us.

        Nothing happens if the daemon has not said how, or its file is not to be found.

        @raise DaemonLost: it has gone already, and its lock with it; the conversation is closed.
        """
        if not self.connection.start:
            return
        from flom.net.holding import DaemonGone, files_for

        try:
            for file in files_for(self.stream.socket.getpeername(), self.peer, self.connection.start):
                try:
                    self.holding = lock_holders(file)
                    break
                except OSError as e:
                    _trace.debug("%s: %s", file, e)
            has_gone = self.is_lost
        except (DaemonGone, OSError):  # the latter: there is no peer any more
            has_gone = True
        if has_gone:
            self.close()
            raise DaemonLost(f"{self.peer} closed the connection", ReturnCode.SEND_ERROR)

    def give_up(self) -> None:
        """End the lock of the holders file: no daemon need wait for us any more."""
        if self.holding is not None:
            with guard:
                self.holding.release()
            self.holding = None

    def why_contested(self) -> LockContested:
        """Return the error that the lock L{is_contested}."""
        return LockContested(f"{self.peer}: another daemon of the group has granted the lock too")

    def say_goodbye(self, reason: WhyWithdrawn = WhyWithdrawn.GONE) -> None:
        """
        Say that we come back to nothing that was asked for or held, because the connection is to be closed; the end of
        a TCP connection alone need not say that. Nothing happens if it is closed, or broken, or L{is_shared}.

        @param reason: why we do not.
        """
        if self.fileno() < 0 or self.stream.is_broken or self.is_shared:
            return
        if self.stream.is_local and not self.connection.session and reason is WhyWithdrawn.GONE:
            return
        data = self.connection.goodbye(reason)
        _msg.debug("to %s: %s", self.peer, Shown(data))
        try:
            self.stream.send(data, 0.0)
        except (OSError, FlomError) as e:
            _trace.debug("no goodbye to %s: %s", self.peer, e)

    def close(self) -> None:
        """
        End the conversation, if it has not ended; the daemon forgets what was asked for or held, or keeps it for us
        (L{say_goodbye}).
        """
        close_socket(self.stream.socket)
        if self.holding is not None:
            with guard:
                self.holding.close()

    def hang_up(self) -> None:
        """End the conversation, which another thread uses: it will close it."""
        self.stream.hang_up()

    def fileno(self) -> int:
        """Return the descriptor of the connection, -1 if it is closed: a process that has it open keeps the lock."""
        return self.stream.socket.fileno()

    @property
    def is_lost(self) -> bool:
        """True if the daemon has closed the connection. What it has sent instead is read; see L{is_contested}."""
        if not self._is_lost and self.fileno() >= 0:
            try:
                while data := self.stream.receive(0.0):
                    self._note(data)
                self._is_lost = True
            except LockTimeout:
                pass  # it has nothing to say
            except FlomError as e:
                _trace.debug("connection to %s has ended: %s", self.peer, e)
                self._is_lost = True
        return self._is_lost

    @property
    def is_awaited(self) -> bool:
        """True if the next daemon at this address waits for us, should this one have gone."""
        return self.holding is not None or (self.connection.terms.waits and not self.is_broken)

    @property
    def is_broken(self) -> bool:
        """Once the connection has ended: true if the daemon need not have closed it, and may expect us back."""
        return self.stream.is_broken or self.connection.terms.required

    def why_lost(self) -> DaemonLost:
        """Return the error that the connection L{is_lost}."""
        if self.revoked is not None:
            return self.revoked
        broken, closed = f"the connection to {self.peer} is broken", f"{self.peer} closed the connection"
        return DaemonLost(broken if self.stream.is_broken else closed, ReturnCode.SEND_ERROR)

    @property
    def can_go_on(self) -> bool:
        """True if the connection is broken, and L{unlock} releases the lock by another one."""
        return self.go_on is not None and self.is_broken

    def _ask(self, message: Lock, deadline: float, signals: socket.socket | None) -> Granted | Refused:
        if message.peer_id is None:
            message = message.replace(peer_id=unique_id())
        data = self.connection.lock(extend(message))
        try:
            self._send(data, deadline)
            receive: Callable[[float, socket.socket | None], bytes] = self.stream.receive
            if self.is_one_of_several:
                receive = self._receive_in_time
            while data := receive(deadline, signals):
                _msg.debug("from %s: %s", self.peer, Shown(data))
                if (decision := self._decision_in(data, deadline)) is not None:
                    return decision
                if self.connection.terms.timeout:
                    self._probe_early()
                receive = self._receive_in_time if self.connection.terms.quorum else self.stream.receive
                if self.connection.start:
                    import flom.net.holding  # noqa: F401  # while we wait: what it takes would delay the hand-over
            raise self.stream.why_ended(self.peer, answered=self.connection.has_answered)
        except LockTimeout:
            raise LockTimeout(f"{message.title} at {self.peer}: not granted in time") from None
        except Interrupted:
            raise Interrupted(f"{message.title} at {self.peer}: interrupted by a signal") from None
        except RemoteProtocolError as e:
            raise RemoteProtocolError(f"{self.peer}: {e}", code=e.code) from None

    def _receive_in_time(self, deadline: float, signals: socket.socket | None) -> bytes:
        """
        Return what comes next from a daemon that leads by a quorum, or may: it answers at once, and then it is asked
        now and then whether it is there.

        @raise DaemonLost: it does not answer, so another one may lead.
        """
        while True:
            limit = monotonic() + (self.connection.terms.timeout or FIRST_ANSWER)
            try:
                return self.stream.receive(min(deadline, limit), signals)
            except LockTimeout:
                if deadline <= limit:
                    raise
            if self._stale_pongs or not self.connection.session:
                self.break_off()
                raise DaemonLost(f"{self.peer} does not answer")
            self._stale_pongs += 1
            self.ping()

    def _send(self, data: bytes, deadline: float) -> None:
        """Send C{data} if the daemon has not gone; if it has, it may have said why."""
        _msg.debug("to %s: %s", self.peer, Shown(data))
        try:
            self.stream.send(data, deadline)
        except OSError as e:
            if e.errno is None:
                raise  # an error of ours, or what the handler of a signal has raised just then

    def _decision_in(self, data: bytes, deadline: float) -> Granted | Refused | None:
        """
        Return the daemon's decision if it is in C{data}; what may follow it is noted. If the
        daemon waits for the rest of the request, that is sent.
        """
        decision: Granted | Refused | None = None
        try:
            for event in self.connection.receive(data):
                if isinstance(event, Introduced) and decision is None:
                    self.stream.check_peer_id(event.peer_id)
                elif isinstance(event, (Granted, Refused)):
                    decision = event
                    self.granted = event if isinstance(event, Granted) else None
                elif isinstance(event, MoreWanted):
                    self._send(self.connection.more(), deadline)
                elif isinstance(event, Pong):
                    self._note_pong()
                else:
                    self._note_event(event)
        except RemoteProtocolError:
            if decision is None:
                raise
        return decision

    def _note(self, data: bytes) -> None:
        """Note what the daemon says while the lock is held or released."""
        _msg.debug("from %s: %s", self.peer, Shown(data))
        try:
            for event in self.connection.receive(data):
                if isinstance(event, Pong):
                    self._note_pong()
                else:
                    self._note_event(event)
        except RemoteProtocolError as e:
            _trace.debug("%s breaks the protocol: %s", self.peer, e)  # to close would be to give up the lock

    def _note_event(self, event: Event) -> None:
        """Note that the lock is contested, wanted, revoked or released."""
        self.is_contested |= isinstance(event, Contested)
        self.is_wanted |= isinstance(event, Wanted)
        if isinstance(event, Unlocked):
            self._unlocked = event
        elif self.on_conversion is not None and isinstance(event, (Converted, NotConverted)):
            self.on_conversion(event)
        elif isinstance(event, Revoked):
            self.revoked = why_revoked(event.by, event.limit)

    def _note_pong(self) -> None:
        if self._stale_pongs:
            self._stale_pongs -= 1
        else:
            self.pongs += 1

    def _await_unlock(self, deadline: float) -> None:
        """Wait until the daemon has confirmed the unlock; raise L{DaemonLost} if the connection ends before."""
        if self.connection.awaits_close:
            self._shut_down(deadline)
        while data := self.stream.receive(deadline):
            self._note(data)
            if not self.connection.is_unlocking:
                self._shut_down(deadline)  # for all processes that have it open
                return
        if isinstance(self.connection.receive_end(in_order=not self.stream.is_broken), Lost):
            raise unconfirmed(self.peer, "before the connection ended")

    def _shut_down(self, deadline: float) -> None:
        try:
            self.stream.shut_down(deadline)
        except (OSError, LockTimeout):
            pass  # it has gone now, perhaps because of the unlock; if it does not read, no answer will come

    def _check_open(self) -> None:
        if self.fileno() < 0:
            raise Misuse(f"{self.peer}: this connection is closed, or another process's")


def _why_withdrawn(error: BaseException) -> WhyWithdrawn:
    """Return why a wait has ended that C{error} has ended."""
    if isinstance(error, LockTimeout):
        return WhyWithdrawn.TIMEOUT
    return WhyWithdrawn.SIGNAL if isinstance(error, (Interrupted, KeyboardInterrupt)) else WhyWithdrawn.GONE
