"""
What can go wrong, under the names and numbers FLoM gives it.

An answer on the wire is an L{Outcome}, an error of ours that FLoM would print as C{ret_cod=N} carries a L{ReturnCode},
and what C{flom-run} exits with when it is not the command's own status is an L{ExitStatus}.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final


class Outcome(IntEnum):
    """What became of a lock request (spec 4.1); the number travels as C{rc} of an answer."""

    GRANTED = 0
    QUEUED = 1
    AWAITING_CREATION = 2
    BUSY = 4
    CANNOT_WAIT = 5
    IMPOSSIBLE = 6
    INVALID_NAME = -14
    INVALID_TIMESTAMP_FORMAT = -25  # never answered: the daemon closes the connection instead (spec 4.1)


class ExitStatus(IntEnum):
    """What C{flom-run} exits with when the command did not decide it (spec 1.5)."""

    OK = 0
    DEBUG_FAILED = 1  # a debug feature has failed, or is none
    CANNOT_WAIT = 96
    CANNOT_EXECUTE = 97
    BUSY = 98
    ERROR = 99


class ReturnCode(IntEnum):
    """FLoM's codes of the errors that we report (spec 11.7)."""

    DAEMON_NOT_STARTED = -2
    INVALID_OPTION = -5
    BUFFER_OVERFLOW = -9
    CONTAINER_FULL = -12
    PROTOCOL_ERROR = -13
    INVALID_RESOURCE_NAME = -14
    INVALID_NETWORK_INTERFACE = -20
    PEER_ID_MISMATCH = -23
    INVALID_TIMESTAMP_FORMAT = -25
    BIND_ERROR = -101
    CONNECT_ERROR = -105
    GETADDRINFO_ERROR = -110
    OPEN_ERROR = -120
    OPENDIR_ERROR = -121
    REALPATH_ERROR = -125
    RECV_ERROR = -126
    SEND_ERROR = -130
    UNLINK_ERROR = -141
    KEY_FILE_LOAD_ERROR = -203
    TLS_CA_CERTIFICATE_ERROR = -401
    TLS_CERTIFICATE_ERROR = -403
    TLS_PRIVATE_KEY_ERROR = -404
    TLS_CONNECT_ERROR = -406
    TLS_VERIFY_ERROR = -407
    TLS_READ_ERROR = -409

    @property
    def text(self) -> str:
        """The text that belongs to the code (spec 11.7)."""
        return _TEXTS[self]


_TEXTS: Final = {
    ReturnCode.DAEMON_NOT_STARTED: "ERROR: flom command was not able to start a new daemon and/or connect to it",
    ReturnCode.INVALID_OPTION: "ERROR: a specified option is not valid",
    ReturnCode.BUFFER_OVERFLOW: "ERROR: the process has been stopped to avoid a buffer overflow",
    ReturnCode.CONTAINER_FULL: "ERROR: the container is full and cannot store more elements",
    ReturnCode.PROTOCOL_ERROR: "ERROR: client/server protocol error, an unexpected packet of data was received",
    ReturnCode.INVALID_RESOURCE_NAME: "ERROR: invalid name for a resource",
    ReturnCode.INVALID_NETWORK_INTERFACE: "ERROR: the specified network interface is not valid for IPv6 networking",
    ReturnCode.PEER_ID_MISMATCH: (
        "ERROR: the unique ID sent by the peer does not match the CN field inside the X.509 provided certificate"
    ),
    ReturnCode.INVALID_TIMESTAMP_FORMAT: "ERROR: format not valid for a timestamp resource",
    ReturnCode.BIND_ERROR: "ERROR: 'bind' function returned an error condition",
    ReturnCode.CONNECT_ERROR: "ERROR: 'connect' function returned an error condition",
    ReturnCode.GETADDRINFO_ERROR: "ERROR: 'getaddrinfo' function returned an error condition",
    ReturnCode.OPEN_ERROR: "ERROR: 'open' function returned an error condition",
    ReturnCode.OPENDIR_ERROR: "ERROR: 'opendir' function returned an error condition",
    ReturnCode.REALPATH_ERROR: "ERROR: 'realpath' function returned an error condition",
    ReturnCode.RECV_ERROR: "ERROR: 'recv' function returned an error condition",
    ReturnCode.SEND_ERROR: "ERROR: 'send' function returned an error condition",
    ReturnCode.UNLINK_ERROR: "ERROR: 'unlink' function returned an error condition",
    ReturnCode.KEY_FILE_LOAD_ERROR: "ERROR: 'g_key_file_load_from_file' function returned an error condition",
    ReturnCode.TLS_CA_CERTIFICATE_ERROR: "ERROR: 'OpenSSL SSL_CTX_load_verify_locations' function returned an error",
    ReturnCode.TLS_CERTIFICATE_ERROR: "ERROR: 'OpenSSL SSL_CTX_use_certificate_file' function returned an error",
    ReturnCode.TLS_PRIVATE_KEY_ERROR: "ERROR: 'OpenSSL SSL_CTX_use_PrivateKey_file' function returned an error",
    ReturnCode.TLS_CONNECT_ERROR: "ERROR: 'OpenSSL SSL_connect' function returned an error",
    ReturnCode.TLS_VERIFY_ERROR: "ERROR: 'OpenSSL SSL_get_verify_result' function returned an error",
    ReturnCode.TLS_READ_ERROR: "ERROR: 'OpenSSL SSL_read' function returned an error",
}


def spell(host: str, port: int) -> str:
    """Write an address as people do, with an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def one_line(text: str) -> str:
    """Write what does not print, such as a line feed in a value that C{text} quotes, as Python does."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def reason(error: OSError) -> str:
    """Tell in the system's words, and in lower case, what C{error} is about."""
    return (error.strerror or str(error)).lower()


class FlomError(Exception):
    """Everything that this package raises on purpose; its text is one line that names what it is about."""


class InvalidName(FlomError, ValueError):
    """A text that names no resource (spec 3)."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is not a valid name for a resource")


class ProtocolError(FlomError):
    """The conversation between client and daemon was broken."""


class RemoteProtocolError(ProtocolError):
    """The peer broke it: log it and close the connection."""


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
    @ivar on_stdout: lines that FLoM writes to stdout about it (spec 1.6).
    """

    def __init__(
        self, why: str, code: ReturnCode = ReturnCode.INVALID_OPTION, *, on_stdout: Sequence[str] = ()
    ) -> None:
        super().__init__(why)
        self.code = code
        self.on_stdout = on_stdout
