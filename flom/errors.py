"""
What can go wrong, under the names and numbers FLoM gives it.

An answer on the wire is an L{Outcome}, an error of ours that FLoM would print as C{ret_cod=N} carries a L{ReturnCode},
and what C{flom-run} exits with when it is not the command's own status is an L{ExitStatus}.
"""

from __future__ import annotations

from flom.codes import Outcome, ReturnCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final


class FlomError(Exception):
    """
    Everything that this package raises on purpose; its text is one line that names what it is about.

    @ivar resource: what was asked for when this came up, if it was something; the text begins with it.
    """

    resource: str | None = None

    def concern(self, resource: str) -> None:
        """Have the text begin with C{resource}, which was asked for when this came up."""
        if self.resource is None:
            self.resource = resource
            self.args = (f"{resource}: {self}",)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let this cross to another process, as the errors of a worker do."""
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[FlomError], args: tuple[Any, ...]) -> FlomError:
    """Make an error as it was, whatever its class wants to be made from."""
    error = kind.__new__(kind)
    error.args = args
    return error


class InvalidRequest(FlomError, ValueError):
    """What is asked for makes no sense, whoever is asked: a mode, a quantity or a time that is none."""


class InvalidName(InvalidRequest):
    """A text that names no resource (docs/compatibility.md, "Resource names")."""

    def __init__(self, text: object) -> None:
        super().__init__(f"{text!r} is not a valid name for a resource")


class InvalidTimestampFormat(InvalidRequest):
    """Nothing in the format of a timestamp changes at least once an hour, or its text is too long to be given out."""


class Misuse(FlomError, RuntimeError):
    """Something of ours is used as it cannot be: twice, after its end, or before it holds anything."""


class Closed(Misuse):
    """Who was asked for a lock has been closed, by this program itself."""


class ProtocolError(FlomError):
    """The conversation between client and daemon was broken."""


class RemoteProtocolError(ProtocolError):
    """
    The peer broke it: log it and close the connection.

    @ivar log_id: FLoM's id for a line in the log about it, if it has one (docs/compatibility.md, "Log ids").
    @ivar code: FLoM's code for it (docs/compatibility.md, "Protocol: client").
    """

    def __init__(self, why: str, log_id: str = "", code: ReturnCode = ReturnCode.PROTOCOL_ERROR) -> None:
        super().__init__(why)
        self.log_id = log_id
        self.code = code


class LocalProtocolError(ProtocolError):
    """We would have broken it: nothing was sent; tell the caller."""


class LockRefused(FlomError):
    """
    The daemon answered, and the answer is no.

    @ivar outcome: why.
    """

    def __init__(self, outcome: Outcome, resource: str, peer: str) -> None:
        super().__init__(f"{resource} at {peer}: {_WHY[outcome]}")
        self.outcome = outcome
        self.resource = resource


class LockBusy(LockRefused):
    """Somebody else holds it and the request was not to wait."""


class CannotWait(LockRefused):
    """The resource does not exist, and the request was neither to create it nor to wait for it."""


class LockImpossible(LockRefused):
    """The resource will never have as much as was asked for."""


_WHY: Final = {
    Outcome.BUSY: "locked by somebody else",
    Outcome.CANNOT_WAIT: "does not exist, and the request was neither to create it nor to wait for it",
    Outcome.IMPOSSIBLE: "will never have as much as the request asks for",
    Outcome.INVALID_NAME: "not a valid name for a resource",
    Outcome.INVALID_TIMESTAMP_FORMAT: "nothing in the format changes at least once an hour, or its text is too long",
}

_REFUSALS: Final = {
    Outcome.BUSY: LockBusy,
    Outcome.CANNOT_WAIT: CannotWait,
    Outcome.IMPOSSIBLE: LockImpossible,
}


def lock_refused(outcome: Outcome, resource: str, peer: str) -> LockRefused:
    """Make the exception that tells C{outcome}, an outcome that refuses."""
    return _REFUSALS.get(outcome, LockRefused)(outcome, resource, peer)


class LockTimeout(FlomError):
    """The lock did not come in time; the request has left the queue."""


class DaemonUnreachable(FlomError):
    """
    There is no daemon, or it cannot be talked to.

    @ivar code: FLoM's code for the reason.
    """

    def __init__(self, code: ReturnCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class TlsError(FlomError):
    """
    A connection cannot be secured, or whoever is at its other end cannot be trusted.

    @ivar code: FLoM's code for the reason.
    """

    def __init__(self, code: ReturnCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class DaemonLost(FlomError):
    """
    The daemon closed the connection in the middle of a conversation.

    @ivar code: FLoM's code for it.
    """

    def __init__(self, why: str, code: ReturnCode = ReturnCode.RECV_ERROR) -> None:
        super().__init__(why)
        self.code = code


class ShutdownNotAllowed(FlomError):
    """A daemon refuses to end because of who wants it to."""


class StandingBy(FlomError):
    """This daemon grants nothing, because another one of its group does."""


class ConfigError(FlomError):
    """
    An option, a file or a key of it has a value that cannot be used.

    @ivar code: FLoM's code for the reason.
    @ivar on_stdout: lines that FLoM writes to stdout about it (docs/compatibility.md, "Messages").
    """

    def __init__(
        self, why: str, code: ReturnCode = ReturnCode.INVALID_OPTION, *, on_stdout: Sequence[str] = ()
    ) -> None:
        super().__init__(why)
        self.code = code
        self.on_stdout = on_stdout
