"""The message about each error, and the exit status (docs/compatibility.md, "Exit statuses", "Messages")."""

from __future__ import annotations

from flom.codes import ExitStatus, Outcome, ReturnCode
from flom.core.names import SetName, parse_name
from flom.errors import (
    CannotWait,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    InvalidTimestampFormat,
    LocalProtocolError,
    LockBusy,
    LockRefused,
    LockTimeout,
    RemoteProtocolError,
    TlsError,
)
from flom.job.words import CannotExecute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.config import Config


def explain(error: Exception) -> tuple[str, ExitStatus]:
    """Return the message about C{error}, for which no command runs (or no daemon ends), and the exit status."""
    match error:
        case LockTimeout():
            return str(error), ExitStatus.BUSY
        case LockBusy():
            return "Resource already locked, the lock cannot be obtained", ExitStatus.BUSY
        case CannotWait():
            return "The resource could be available in the future, but the requester can't wait", ExitStatus.CANNOT_WAIT
        case LockRefused(outcome=Outcome.IMPOSSIBLE):
            return "Resource will never satisfy the request, the lock cannot be obtained", ExitStatus.ERROR
        case DaemonUnreachable(code=code):
            return _failed("flom_client_connect", code, error), ExitStatus.ERROR
        case TlsError(code=code):
            is_connected = code in (ReturnCode.SSL_READ_ERROR, ReturnCode.UNIQUE_ID_DOES_NOT_MATCH)
            what = "flom_client_lock" if is_connected else "flom_client_connect"
            return _failed(what, code, error), ExitStatus.ERROR
        case LockRefused():
            return _failed("flom_client_lock", ReturnCode.INVALID_RESOURCE_NAME, error), ExitStatus.ERROR
        case InvalidTimestampFormat():
            return _failed("flom_client_lock", ReturnCode.INVALID_TIMESTAMP_FORMAT, error), ExitStatus.ERROR
        case LocalProtocolError():
            return _failed("flom_client_lock", ReturnCode.CONTAINER_FULL, error), ExitStatus.ERROR
        case RemoteProtocolError():
            return _failed("flom_client_lock", ReturnCode.PROTOCOL_ERROR, error), ExitStatus.ERROR
        case DaemonLost(code=code):
            return _failed("flom_client_lock", code, error), ExitStatus.ERROR
        case CannotExecute():
            return str(error), ExitStatus.CANNOT_EXECUTE
        case _:
            return str(error), ExitStatus.ERROR


def unmeant_set(config: Config) -> str | None:
    """Return a warning if the resource is a set, which a dot makes of a name, and C{config} does not say so too."""
    name = parse_name(config.resource_name)
    if not isinstance(name, SetName) or config.resource_type:
        return None
    return (
        f"'{name.text}' is a set: it lets {len(name.elements)} commands run at once, and each gets an element as its "
        f"last argument; --type set says that this is meant, and '/{name.text}' is one lock"
    )


def timed_out(timeout: float) -> LockTimeout:
    """Return the error that the user's timeout, in seconds, is over."""
    return LockTimeout(f"The lock was not obtained because timeout ({round(timeout * 1000)} milliseconds) expired")


def lost(why: FlomError, *, has_ended: bool = False) -> str:
    """
    Return the message that the lock was lost before it was released.

    @param has_ended: true if the command has ended too; if not, it is left alone.
    """
    goes_on = "" if has_ended else ", the command goes on unlocked"
    return _failed("flom_client_unlock", ReturnCode.SEND_ERROR, f"{why}{goes_on}")


def contested(why: FlomError, *, has_ended: bool = False) -> str:
    """
    Return the message that the lock, which is held, was granted by another daemon of the group too, as C{why} says.

    @param has_ended: true if the command has ended too; if not, it is left alone.
    """
    goes_on = "" if has_ended else "; the command goes on"
    return _failed("flom_client_unlock", ReturnCode.SEND_ERROR, f"{why}, while neither could hear the other{goes_on}")


def not_reclaimed(why: DaemonLost, error: FlomError, *, has_ended: bool = False) -> str:
    """Return the message that the lock was lost because of C{why}, and not reclaimed because of C{error}."""
    return lost(unreclaimed(why, error), has_ended=has_ended)


def unreclaimed(why: DaemonLost, error: Exception) -> DaemonLost:
    """Return the error that the lock was lost because of C{why}, and not reclaimed because of C{error}."""
    # a daemon refuses too what another client may have had meanwhile
    reason = "another client has it, or may have had it since" if isinstance(error, LockBusy) else str(error)
    return DaemonLost(f"{why}, and the lock was not reclaimed ({reason})", why.code)


def _failed(what: str, code: ReturnCode, why: object) -> str:
    return f"{what}: ret_cod={code} ({code.text}): {why}"
