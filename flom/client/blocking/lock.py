"""
Locks for plain scripts, which have no reactor: to ask is to wait.

    from flom import lock

    with lock("red.green.blue", timeout=5) as held:
        print(held.element)

A lock belongs to the process that has acquired it. A child that is forked while it is held has no part in it: the lock
ends with the parent, and the child cannot release it. Another program can keep the lock if it gets the connection, by
C{subprocess.run(..., pass_fds=[held.fileno()])}: then the lock is held until that program has ended too, or C{held} is
released. C{subprocess} cannot pass it on together with C{preexec_fn}.
"""

from __future__ import annotations

import os
import warnings
from weakref import finalize

from flom.client.addresses import peer_of
from flom.client.blocking.acquire import Acquirer, Hooks
from flom.client.blocking.fork_safety import guard
from flom.config import Config, load
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.requests import Asked, ask, ask_to_convert, show_lock
from flom.errors import DaemonLost, FlomError, InvalidRequest, LockTimeout, Misuse, note_loss
from flom.job.sender import signed
from flom.net.machine_id import unique_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, ParamSpec, TypeVar

    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.converter import Converter
    from flom.client.blocking.keeper import Keeper
    from flom.core.held_value import HeldValue
    from flom.core.modes import ModeName
    from flom.core.protocol.events import Granted
    from flom.core.protocol.messages import Lock
    from flom.core.several import AskedAll

    _P = ParamSpec("_P")
    _R = TypeVar("_R")


def lock(
    name: str,
    mode: LockMode | ModeName | int = LockMode.EX,
    *,
    timeout: float | None = None,
    quantity: int = 1,
    wait: bool = True,
    create: bool = True,
    lifespan: float = 0.0,
    value: bool = False,
    max_hold: float | None = None,
    lock_delay: float | None = None,
    wanted: bool = False,
    nested: str = "refuse",
    config: Config | None = None,
    socket: str | os.PathLike[str] | None = None,
    address: str | None = None,
    port: int | None = None,
    group: str | None = None,
    start: bool = True,
) -> BlockingLock:
    """
    Make a lock, which is taken by C{with}, by C{acquire}, or by every call of the function that it decorates.

    As for C{flom-run}, the configuration says where the daemon is, how to connect to it, and how long it lives if it
    has to be started. What to lock, and how, only the arguments say.

    @param name: the resource; the form of the name tells its type: C{"backup"}, C{"licences[5]"}, C{"/db/users"}, ...
    @param mode: a L{LockMode}, its name, such as C{"PR"}, or its number.
    @param timeout: seconds to wait at most, besides those for starting a daemon; 0 is not to wait, C{None} any time.
    @param quantity: units of a numeric resource, 0 to 2**31 - 1.
    @param wait: wait if it cannot be granted now.
    @param create: make the resource if there is none.
    @param lifespan: seconds that the resource is to be remembered while idle, if this makes it.
    @param value: whether L{Held.value} is to be known, and may be set.
    @param max_hold: seconds after which the daemon ends the lock, if it is not released before; C{None}: no limit of
        ours.
    @param lock_delay: seconds for which no client is granted the lock if it is lost; C{None}: as the daemon says.
    @param wanted: true to learn from L{Held.wanted} that others wait because of the lock.
    @param nested: C{"refuse"}, C{"share"} or C{"wait"}: what to do if a C{flom-run} holds it that this runs under.
    @param config: the configuration; by default, that of the files C{/etc/flom.conf} and C{~/.flom}.
    @param socket: the daemon's UNIX socket. This, C{address} and C{group} replace what is configured of all three.
    @param address: the daemon's host, a name or an address.
    @param port: the TCP port there; if there is only a group, that of the group.
    @param group: the address of a multicast group.
    @param start: start a daemon if there is none, unless the configured daemon-lifespan is 0.
    @raise InvalidRequest: an argument makes no sense; L{flom.errors.InvalidName}, if it is the name.
    @raise flom.errors.LocalProtocolError: the name is too long for a message.
    @raise flom.errors.ConfigError: the configuration makes no sense, or does not together with the arguments.
    """
    asked, whereabouts = check_arguments(
        name,
        mode,
        timeout=timeout,
        quantity=quantity,
        wait=wait,
        create=create,
        lifespan=lifespan,
        value=value,
        max_hold=max_hold,
        lock_delay=lock_delay,
        wanted=wanted,
        nested=nested,
        start=start,
        whereabouts=lambda: configure(config, socket, address, port, group),
    )
    return BlockingLock(asked, whereabouts, start=start)


def check_arguments(
    name: str,
    mode: LockMode | str | int,
    *,
    start: bool,
    whereabouts: Callable[[], Config],
    max_hold: float | None = None,
    lock_delay: float | None = None,
    wanted: bool = False,
    **asked_for: Any,
) -> tuple[Asked, Config]:
    """
    Return what is asked for, and where; L{lock} has the other parameters, and raises the same errors.

    @param whereabouts: returns where the daemon is.
    """
    asked = ask(name, mode, **asked_for).wishing(max_hold, lock_delay, wanted)
    try:
        encode(asked.message(unique_id()))
        if not isinstance(start, int):
            raise InvalidRequest(f"start {start!r} is neither true nor false")
        return asked, whereabouts()
    except FlomError as e:
        e.concern(name)
        raise


class Held:
    """
    A lock that is held, until it is released, or until neither this nor the L{BlockingLock} is used any more.

    @ivar resource: the name of what is locked.
    @ivar element: which one was granted, for sets, sequences and timestamps.
    @ivar is_released: true once it was released.
    """

    def __init__(
        self,
        message: Lock,
        granted: Granted,
        conversation: Conversation,
        keeper: Keeper | None = None,
        acquirer: Acquirer | None = None,
    ) -> None:
        """
        @param message: what it was granted for.
        @param keeper: what keeps the lock in a group; it was started.
        @param acquirer: what has acquired it; L{convert} needs that.
        """
        self.resource = message.title
        self._message = message
        self.element = granted.element
        self._granted = granted
        self._acquirer = acquirer
        self._converter: Converter | None = None  # once there is a conversion
        self._granted_on = conversation
        self._keeper = keeper
        if keeper is not None:  # its thread must not be what uses this last
            finalize(self, keeper.abandon).atexit = False
        self._owner = os.getpid()
        self._loss: DaemonLost | None = None
        self._value: HeldValue | None = None
        if granted.told is not None:
            from flom.core.held_value import HeldValue  # which few locks need

            self._value = HeldValue(message.name, granted.told)
        self._is_wanted = False
        self.is_released = False

    def __repr__(self) -> str:
        message = self._message if self._converter is None else self._message.replace(mode=self.mode)
        return show_lock(message, self.element, self.state)

    @property
    def mode(self) -> LockMode:
        """The mode in which it is held; L{convert} changes it. Of several locks, that of the first."""
        return self._message.mode if self._converter is None else self._converter.mode

    @property
    def token(self) -> int | None:
        """
        The fencing token (docs/explanation/tokens.md); C{None} from a daemon of FLoM's. L{convert} may change it.
        """
        return self._granted.token if self._converter is None else self._converter.token

    @property
    def state(self) -> str:
        """C{released}, C{lost} or C{held}, as far as is known without asking."""
        is_lost = self._loss is not None or (self._keeper is not None and self._keeper.loss is not None)
        return "released" if self.is_released else "lost" if is_lost else "held"

    @property
    def is_ours(self) -> bool:
        """Whether this process has to release it, and has not done so."""
        return self._owner == os.getpid() and not self.is_released

    @property
    def _conversation(self) -> Conversation:
        return self._granted_on if self._keeper is None else self._keeper.conversation

    @property
    def lost(self) -> DaemonLost | None:
        """
        Why the lock was lost before it was released, or may have been; C{None} if it was not, as far as is known.

        That is so if the daemon has gone, has not confirmed the release, or has found out that another one has granted
        the lock too; and if nothing was heard of it for so long that the lock may be another client's. While it may
        still be reclaimed, it is not lost. If this program did not run for a while, this waits for up to 1 s until it
        is known.
        """
        if self._loss is None and not self.is_released and self._keeper is not None:
            self._keeper.find_out()
        return self.known_loss

    @property
    def known_loss(self) -> DaemonLost | None:
        """As L{lost}, without waiting for anything."""
        if self._loss is None and not self.is_released:
            loss: DaemonLost | None = None
            if self._keeper is not None and self._keeper.loss is not None:
                loss = self._keeper.loss
            elif self._conversation.is_contested:
                loss = self._conversation.why_contested()
            elif self._keeper is None and self._conversation.is_lost:
                loss = self._conversation.why_lost()
            if loss is not None and not self.is_released:  # another thread's release also ends the connection
                loss.concern(self.resource)
                self._loss = loss
        return self._loss

    @property
    def is_lost(self) -> bool:
        """Whether the lock was L{lost}."""
        return self.lost is not None

    @property
    def value(self) -> str:
        """
        The value of the resource; the empty string if it has none. It may be set, by a holder in mode EX or PW, to a
        text of up to 64 bytes, which is kept when the lock is released without rollback.

        Reading or setting it raises L{Misuse} if the lock was asked for without C{value=True}; setting it raises
        L{InvalidRequest} if the text or the mode does not allow that.
        """
        return self._known_value.value

    @value.setter
    def value(self, text: str) -> None:
        self._known_value.set(text, self.mode)

    @property
    def wanted(self) -> bool:
        """True once others have waited because of this lock, as far as the daemon has said; see L{lock}'s C{wanted}."""
        if not self.is_released and self._keeper is not None:
            self._is_wanted |= self._keeper.is_wanted or self._conversation.is_wanted
        elif not self.is_released:
            is_lost = self._conversation.is_lost  # which reads what has come
            self._is_wanted |= self._conversation.is_wanted and not is_lost
        return self._is_wanted

    def check(self) -> None:
        """
        Check that the lock has not been lost, before a step that must not be taken without it.

        @raise DaemonLost: see L{lost}.
        @raise Misuse: it was released, or is another process's.
        """
        self._check_ours()
        loss = self.lost
        self._check_ours()  # another thread may have released it meanwhile
        if loss is not None:
            raise loss

    def convert(self, mode: LockMode | ModeName | int, *, timeout: float | None = None) -> None:
        """
        Change the mode of the lock, which is held all the time (docs/howto/convert.md). If the mode excludes more, this
        waits until other holders let it, before all new requests, and L{token} is another one.

        If this raises anything, KeyboardInterrupt for example, the request has been withdrawn, and the lock is held in
        the mode that it had, unless it was lost.

        @param mode: a L{LockMode}, its name, such as C{"PR"}, or its number.
        @param timeout: seconds to wait at most; 0 is not to wait, C{None} any time.
        @raise flom.errors.LockBusy: others are in the way, and this is not to wait.
        @raise flom.errors.LockDeadlock: another holder waits for this one to convert its lock too.
        @raise LockTimeout: it was not converted in time.
        @raise flom.errors.Unsupported: the daemon is one of FLoM's, or an older one.
        @raise InvalidRequest: an argument makes no sense, the resource has no modes, or the lock was taken at once with
            others.
        @raise DaemonLost: see L{lost}.
        @raise Misuse: it was released, perhaps meanwhile, is another process's, or is being converted already.
        """
        if self._message.is_of_several:
            from flom.core.several import not_to_convert

            raise not_to_convert(self.resource)
        asked = ask_to_convert(self.resource, mode, timeout)
        self.check()
        assert self._acquirer is not None
        try:
            self._known_converter(self._acquirer).convert(asked, f"{self.resource} at {self._conversation.peer}")
        except DaemonLost as e:
            e.concern(self.resource)
            raise

    def _known_converter(self, acquirer: Acquirer) -> Converter:
        from flom.client.blocking.converter import Converter  # which few locks need

        with guard:
            self._check_ours()
            if self._converter is None:
                self._converter = Converter(acquirer, self._message, self._granted_on, self._keeper)
            return self._converter

    def release(self, rollback: bool = False) -> None:
        """
        Release the lock, once. If it is being reclaimed in a group, this waits for the end of that.

        @param rollback: return the value of a transactional sequence, so that the next holder gets it.
        @raise DaemonLost: the daemon was gone before; L{LockContested<flom.errors.LockContested>} if it is released,
            and another daemon had granted it too.
        @raise flom.errors.ValueNotKept: it is released, and the L{value} that was set is not kept.
        @raise Misuse: it was released before, or is another process's.
        """
        try:
            with guard:
                self._check_ours()
                self._end()
            conversation = self._granted_on if self._keeper is None else self._keeper.end()
            note = None if self._value is None or rollback else self._value.note
            conversation.unlock(self._message.name, rollback, note)
        except Misuse:
            raise
        except BaseException as e:
            self.drop()
            if isinstance(e, FlomError):
                e.concern(self.resource)
            if isinstance(e, DaemonLost):
                self._loss = e
            raise

    def drop(self) -> None:
        """Release the lock, if it is ours, by closing the connection, at which the daemon rolls back."""
        self._end()
        if self._keeper is not None:
            self._keeper.abandon()
        else:
            self._granted_on.say_goodbye()
            self._granted_on.close()

    def _end(self) -> None:
        self.is_released = True
        if self._converter is not None:
            what = f"{self.resource} at {self._conversation.peer}"
            self._converter.end(Misuse(f"{what}: released before it was converted"))

    def fileno(self) -> int:
        """Return the descriptor of the connection, by which another process can keep the lock; see L{release}."""
        self._check_ours()
        self._conversation.is_shared = True
        return self._conversation.fileno()

    @property
    def _known_value(self) -> HeldValue:
        if self._value is None:
            raise Misuse(f"{self.resource}: its value was not asked for, by value=True")
        return self._value

    def _check_ours(self) -> None:
        what = f"{self.resource} at {self._conversation.peer}"
        if self.is_released:
            raise Misuse(f"{what}: not held any more")
        if not self.is_ours:
            raise Misuse(f"{what}: held by process {self._owner}, not by this one")


class BlockingLock:
    """
    A lock that can be acquired, released and acquired again; L{lock} makes it.

    A second user at the same time, another thread for example, needs an object of its own: with this one, it gets
    L{Misuse}. A function that is decorated has one for each call.
    """

    _holds = Held
    """The class of what is held."""

    def __init__(self, asked: Asked | AskedAll, config: Config, *, start: bool) -> None:
        self._asked = asked
        self._config = config
        self._start = start
        self._acquirer = 0  # the process that tries to acquire it
        self._held: Held | None = None
        self._entered: Held | None = None

    @property
    def name(self) -> str:
        """The name of the resource."""
        return self._asked.title

    def __repr__(self) -> str:
        if self._held is not None:
            return repr(self._held)
        return show_lock(self._asked.message(""), None, self._state)

    @property
    def _state(self) -> str:
        return "not held" if self._acquirer == 0 else "being acquired"

    def acquire(self) -> Held:
        """
        Acquire the lock.

        If this raises anything, KeyboardInterrupt for example, the request has been withdrawn.

        @return: what is to be released in the end.
        @raise flom.errors.LockRefused: the daemon says no.
        @raise LockTimeout: the lock did not come in time.
        @raise flom.errors.DaemonUnreachable: there is no daemon, and none could be started.
        @raise DaemonLost: the daemon went away.
        @raise Misuse: this is held, or being acquired.
        @raise FlomError: something else is wrong; see L{connect} and L{Conversation.lock}.
        """
        may_start = self._start and self._config.lifespan_ms != 0
        acquirer = Acquirer(self._config, _Warnings(), self._asked.timeout, may_start=may_start)
        name = self.name
        is_ours = False
        keeper: Keeper | None = None
        try:
            with guard:
                if self._acquirer == os.getpid() or (self._held is not None and self._held.is_ours):
                    raise Misuse(f"{name}: held or being acquired already by this lock object")
                is_ours = True
                self._acquirer = os.getpid()
            message = signed(self._asked.message(unique_id()))
            conversation, granted = acquirer.acquire(message)
            keeper = self._keep(acquirer, message, conversation)
            self._held = held = self._holds(message, granted, conversation, keeper, acquirer)
            self._acquirer = 0
            return held
        except BaseException as e:
            if keeper is not None:
                keeper.abandon()
            acquirer.give_up()
            if is_ours:
                self._held = None
                self._acquirer = 0
            if isinstance(e, LockTimeout):
                peer = peer_of(self._config) if acquirer.conversation is None else acquirer.conversation.peer
                raise LockTimeout(f"{name} at {peer}: not granted within {self._asked.timeout:g} s") from None
            if isinstance(e, FlomError) and is_ours:
                e.concern(name)
            raise

    def _keep(self, acquirer: Acquirer, message: Lock, conversation: Conversation) -> Keeper | None:
        """Return what keeps the lock that was granted, and has begun to; C{None} if nothing does."""
        if not acquirer.can_reclaim():
            return None
        from flom.client.blocking.keeper import keep  # it imports what other locks do not need

        return keep(acquirer, message, conversation)

    def release(self, rollback: bool = False) -> None:
        """Release what this has acquired last; see L{Held.release}."""
        if self._held is None:
            raise Misuse(f"{self.name}: not held by this lock object")
        self._held.release(rollback)

    def __enter__(self) -> Held:
        self._entered = self.acquire()
        return self._entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """
        Release the lock, if that was not done before, with rollback if the body has raised; see L{Held.release}.

        What the body has raised is raised further even if the lock was lost, and has a note about that: on Python 3.10,
        which has no notes, the L{DaemonLost} is the context of the first error.
        """
        entered = self._entered
        is_told = error is not None and entered is not None and error is entered.lost  # by its check()
        try:
            self._entered = None
            if entered is not None and not entered.is_released:
                entered.release(rollback=error is not None)
        except FlomError as e:
            if error is None:
                raise
            if not is_told:
                note_loss(error, e)
        except BaseException:  # an interrupt, perhaps before the lock was released
            if entered is not None:
                entered.drop()
            raise

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return C{function}, of which each call acquires a lock of its own; L{Misuse} is raised if it runs later."""
        if not callable(function):
            raise Misuse(f"{self.name}: {function!r} is no function that could be decorated")
        import functools  # for nothing else; a script waits for what is imported
        import inspect

        run_later = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        if any(is_kind(function) for is_kind in run_later):
            what = getattr(function, "__qualname__", repr(function))
            raise Misuse(f"{self.name}: {what} would run after the release of its lock")

        @functools.wraps(function)
        def locked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with type(self)(self._asked, self._config, start=self._start):
                return function(*args, **kwargs)

        return locked


class _Warnings(Hooks):
    def warn(self, text: str) -> None:
        _warn(text)

    def pass_on(self, line: str) -> None:
        _warn(line)


def configure(
    config: Config | None,
    socket: str | os.PathLike[str] | None,
    address: str | None,
    port: int | None,
    group: str | None,
) -> Config:
    """Put files and arguments together; see L{lock}."""
    if isinstance(socket, (bytes, os.PathLike)):
        socket = os.fsdecode(socket)
    if config is None:
        config = load(None, os.environ, _warn)
    elif not isinstance(config, Config):
        raise InvalidRequest(f"config {config!r} is no Config")
    if not (socket is None and address is None and group is None):
        config = config.replace(
            socket_name="" if socket is None else _place("socket", socket),
            unicast_address="" if address is None else _place("address", address),
            multicast_address="" if group is None else _place("group", group),
        )
    if group is not None:
        from flom.net.multicast import group_of

        group_of(config)
    if port is not None:
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
            raise InvalidRequest(f"port {port!r} is not a whole number from 1 to 65535")
        if config.unicast_address:
            config = config.replace(unicast_port=port)
        elif config.multicast_address:
            config = config.replace(multicast_port=port)
        else:
            raise InvalidRequest(f"port {port} is of no use without an address or a group")
    config.check_transport()
    config.check_tls()
    config.check_election()
    config.check_sessions()
    if config.is_tls_halved:
        _warn(f"TLS is not used, it needs {' and '.join(config.missing_tls_files)} too")
    if config.socket_name:
        config = config.replace(socket_name=config.socket_path)  # it stays there if we change directory
    return config


def _place(what: str, text: object) -> str:
    """Check that C{text} may say where a daemon is."""
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidRequest(f"{what} {text!r} names no place")
    return text


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)
