"""
The exceptions that this package raises on purpose, as a tree::

    FlomError
        InvalidRequest (ValueError)     the request makes no sense, whichever daemon receives it
            InvalidName
            InvalidTimestampFormat
        Misuse (RuntimeError)           an object is used as it cannot be
            Closed
        ProtocolError
            RemoteProtocolError         the peer broke the protocol
            LocalProtocolError          the caller would have broken it
        LockRefused                     the daemon answered no
            LockBusy (BlockingIOError)
            CannotWait
            LockImpossible
            LockDeadlock                to wait would be to wait for oneself
            Unsupported                 a daemon of FLoM's, or an older one, does not know what is asked for
        LockTimeout (TimeoutError)
        AlreadyDone                     a job was finished within the period, so that it is not run
        ValueNotKept                    the lock was released, and what was to be kept with it is not
        DaemonUnreachable (ConnectionError)
        DaemonLost (ConnectionError)
            LockContested               another daemon has granted the lock too
            LockRevoked                 an administrator has ended the lock
                LockOverdue             it was held for longer than it might be
        TlsError
        ShutdownNotAllowed
        StandingBy
        HistoryWentBack
        NoProcess
        ConfigError

Those that FLoM would print as C{ret_cod=N} have a L{ReturnCode}.

Four of them are L{OSError}s, for programs that know the errors of the standard library. They have no C{errno}. So a
handler for the errors of a system call, around what may raise one of them, begins with C{except FlomError: raise}.
"""

from __future__ import annotations

from flom.codes import Outcome, ReturnCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final


class FlomError(Exception):
    """
    Base class; the text is one line that names what it is about.

    @ivar resource: the resource that was requested, if there was one; the text begins with it.
    """

    resource: str | None = None

    def concern(self, resource: str) -> None:
        """Put C{resource}, which was requested, in front of the text, unless there is a resource already."""
        if self.resource is None:
            self.resource = resource
            self.args = (f"{resource}: {self}",)

    def __reduce__(self) -> tuple[Any, ...]:
        """Allow the error to cross to another process, as the errors of a worker do."""
        return _restore, (type(self), self.args), self.__dict__


def note_loss(error: BaseException, loss: FlomError) -> None:
    """
    Note on C{error}, which has ended the block that a lock protects, that the lock was lost too.

    On Python 3.10, which has no notes, C{loss} becomes the first of the errors during whose handling C{error} came.
    """
    if hasattr(error, "add_note"):
        error.add_note(str(loss))
        return
    loss.__context__ = None  # Python has put the error of the block there
    while error.__context__ is not None:
        error = error.__context__
    error.__context__ = loss


def _restore(kind: type[FlomError], args: tuple[Any, ...]) -> FlomError:
    """Return an error as it was, without calling its class, which may take other arguments."""
    error = kind.__new__(kind)
    error.args = args
    return error


class InvalidRequest(FlomError, ValueError):
    """The request makes no sense, whichever daemon receives it: a mode, a quantity or a time that is none."""


NAMES: Final = (
    "letters and digits, a letter first, or /LEVEL/LEVEL, NAME[TOTAL], NAME.NAME, _s_NAME[SLOTS], _t_FORMAT[SLOTS]"
)
"""The forms of names, for users whose name has none of them."""


class InvalidName(InvalidRequest):
    """A text that names no resource (docs/compatibility.md, "Resource names")."""

    def __init__(self, text: object) -> None:
        super().__init__(f"{text!r} is not a valid name for a resource: {NAMES}")


class InvalidTimestampFormat(InvalidRequest):
    """Nothing in the format of a timestamp changes at least once an hour, or its text is too long for an answer."""


class Misuse(FlomError, RuntimeError):
    """An object is used as it cannot be: twice, after its end, or before it holds anything."""


class Closed(Misuse):
    """The client or arbiter that was asked for a lock has been closed, by this program itself."""


class ProtocolError(FlomError):
    """The conversation between client and daemon was broken."""


class RemoteProtocolError(ProtocolError):
    """
    The peer broke the protocol: log it and close the connection.

    @ivar log_id: FLoM's id for a line in the log about it, if it has one (docs/compatibility.md, "Log ids").
    @ivar code: FLoM's code for it (docs/compatibility.md, "Protocol: client").
    """

    def __init__(self, why: str, log_id: str = "", code: ReturnCode = ReturnCode.PROTOCOL_ERROR) -> None:
        super().__init__(why)
        self.log_id = log_id
        self.code = code


class LocalProtocolError(ProtocolError):
    """The call would have broken the protocol: nothing was sent, and nothing has changed."""


class LockRefused(FlomError):
    """The daemon answered, and the answer is no; C{outcome} says why."""

    def __init__(self, outcome: Outcome, resource: str, peer: str, why: str = "") -> None:
        """@param why: what the daemon has said besides; the empty string if it was nothing."""
        super().__init__(f"{resource} at {peer}: {why or _WHY[outcome]}")
        self.outcome = outcome
        self.resource = resource


class LockBusy(LockRefused, BlockingIOError):
    """Another client holds it, and the request was not to wait."""


class CannotWait(LockRefused):
    """The resource does not exist, and the request was neither to create it nor to wait for it."""


class LockImpossible(LockRefused):
    """The resource will never have as much as was asked for."""


class LockDeadlock(LockRefused):
    """To wait for it would be to wait for oneself: for a command that this one runs under, or for a circle of them."""


class Unsupported(LockRefused):
    """The daemon is one of FLoM's, or an older one of ours, and knows nothing of what was asked; nothing was locked."""


OLDER_DAEMON: Final = "this daemon is one of FLoM's, or an older one, which"
"""The beginning of a line that says what a daemon cannot do."""

_WHY: Final = {
    Outcome.BUSY: "locked by another client",
    Outcome.CANNOT_WAIT: "does not exist, and the request was neither to create it nor to wait for it",
    Outcome.IMPOSSIBLE: "will never have as much as the request asks for",
    Outcome.DEADLOCK: "to wait for it would be a deadlock",
    Outcome.UNSUPPORTED: f"{OLDER_DAEMON} cannot do what the request asks for",
    Outcome.INVALID_NAME: "not a valid name for a resource",
    Outcome.INVALID_TIMESTAMP_FORMAT: "nothing in the format changes at least once an hour, or its text is too long",
}

_REFUSALS: Final = {
    Outcome.BUSY: LockBusy,
    Outcome.CANNOT_WAIT: CannotWait,
    Outcome.IMPOSSIBLE: LockImpossible,
    Outcome.DEADLOCK: LockDeadlock,
    Outcome.UNSUPPORTED: Unsupported,
}


def not_converted(outcome: Outcome, resource: str, peer: str, why: str = "") -> LockRefused:
    """Return the exception for C{outcome}, which refuses to convert what is held; C{why} as for a lock."""
    reasons = {
        Outcome.BUSY: "other holders are in the way of the conversion",
        Outcome.DEADLOCK: "another holder waits for this one, to convert its lock: to wait would be a deadlock",
        Outcome.UNSUPPORTED: f"{OLDER_DAEMON} cannot convert locks",
    }
    return lock_refused(outcome, resource, peer, why or reasons.get(outcome, ""))


def lock_refused(outcome: Outcome, resource: str, peer: str, why: str = "") -> LockRefused:
    """Return the exception for C{outcome}, an outcome that refuses; C{why}, if the daemon has said more."""
    return _REFUSALS.get(outcome, LockRefused)(outcome, resource, peer, why)


class LockTimeout(FlomError, TimeoutError):
    """The lock was not granted in time; the request has left the queue."""


class AlreadyDone(FlomError):
    """A job was finished well within its period, on this host or another one, so that it is not run."""


class ValueNotKept(FlomError):
    """
    The lock was released in good order, but the value that was set, or that a job was finished, is not kept durably, or
    it is not known whether it is.
    """


class _NoConversation(FlomError):
    """A daemon cannot be talked to; C{code} is FLoM's for the reason."""

    def __init__(self, code: ReturnCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class DaemonUnreachable(_NoConversation, ConnectionError):
    """
    There is no daemon, or it cannot be reached.

    @ivar is_refused: true if there is none: the host itself says that nothing listens there.
    """

    is_refused = False


class TlsError(_NoConversation):
    """A connection cannot be secured, or its other end cannot be trusted."""


class DaemonLost(FlomError, ConnectionError):
    """The daemon closed the connection in the middle of a conversation; C{code} is FLoM's for it."""

    def __init__(self, why: str, code: ReturnCode = ReturnCode.RECV_ERROR) -> None:
        super().__init__(why)
        self.code = code


class LockContested(DaemonLost):
    """
    Another daemon of the group has granted the lock too, while neither could hear the other: two clients have held what
    one alone should hold.
    """

    def __init__(self, why: str, code: ReturnCode = ReturnCode.SEND_ERROR) -> None:
        super().__init__(why, code)


class LockRevoked(DaemonLost):
    """An administrator has ended the lock, by C{flomctl release}."""

    def __init__(self, why: str, code: ReturnCode = ReturnCode.SEND_ERROR) -> None:
        super().__init__(why, code)


class LockOverdue(LockRevoked):
    """The lock was held for longer than it might be, by C{max_hold} or the daemon's C{--max-hold}, and has ended."""


class ShutdownNotAllowed(FlomError):
    """A daemon refuses to end, or to end another client's lock, for this client."""


class StandingBy(FlomError):
    """This daemon grants nothing, because another daemon of its group leads."""


class HistoryWentBack(FlomError):
    """etcd's revisions are lower than they were, as after a restore from a backup: nothing of it is to be relied on."""


class NoProcess(FlomError):
    """There can be no more processes or threads: a limit of the user or of the cgroup is reached."""


class ConfigError(FlomError):
    """
    An option, a file or a key of it has a value that cannot be used.

    @ivar code: FLoM's code for the reason.
    @ivar flom_line: the same as FLoM writes it to stderr (docs/compatibility.md, "Messages").
    @ivar on_stdout: lines that FLoM writes to stdout about it.
    """

    def __init__(
        self,
        why: str,
        code: ReturnCode = ReturnCode.INVALID_OPTION,
        *,
        flom_line: str = "",
        on_stdout: Sequence[str] = (),
    ) -> None:
        super().__init__(why)
        self.code = code
        self.flom_line = flom_line or why
        self.on_stdout = on_stdout


def why_revoked(by: str, limit: float = 0.0, what: str = "") -> LockRevoked:
    """
    Return the error that C{by} has ended a lock, or that it was held for more than C{limit} seconds, if that is not 0.

    @param what: begins its text.
    """
    from flom.text import duration, one_line  # which few need

    if limit:
        return LockOverdue(f"{what}it was held for longer than {duration(limit)}")
    return LockRevoked(one_line(f"{what}an administrator has released it ({by})"))
