"""The same lines as FLoM has them, because scripts may search for them (docs/compatibility.md, "Messages")."""

from __future__ import annotations

from flom.codes import ExitStatus, Outcome, ReturnCode
from flom.errors import (
    CannotWait,
    ConfigError,
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
from flom.job.wording import Wording


class FlomWording(Wording):
    """The lines of C{flom}."""

    names_holders = False
    sums_up = False
    tells_lineage = False
    has_control = False
    lost_status = ExitStatus.ERROR

    def refused(self, error: Exception, held: str = "") -> str:
        match error:
            case ConfigError(flom_line=line):
                return line
            case LockTimeout():
                milliseconds = round((self._config.timeout or 0.0) * 1000)
                return f"The lock was not obtained because timeout ({milliseconds} milliseconds) expired"
            case LockBusy():
                return "Resource already locked, the lock cannot be obtained"
            case CannotWait():
                return "The resource could be available in the future, but the requester can't wait"
            case LockRefused(outcome=Outcome.IMPOSSIBLE):
                return "Resource will never satisfy the request, the lock cannot be obtained"
            case DaemonUnreachable(code=code):
                return _failed("flom_client_connect", code, error)
            case TlsError(code=code):
                is_connected = code in (ReturnCode.SSL_READ_ERROR, ReturnCode.UNIQUE_ID_DOES_NOT_MATCH)
                return _failed("flom_client_lock" if is_connected else "flom_client_connect", code, error)
            case LockRefused():
                return _failed("flom_client_lock", ReturnCode.INVALID_RESOURCE_NAME, error)
            case InvalidTimestampFormat():
                return _failed("flom_client_lock", ReturnCode.INVALID_TIMESTAMP_FORMAT, error)
            case LocalProtocolError():
                return _failed("flom_client_lock", ReturnCode.CONTAINER_FULL, error)
            case RemoteProtocolError():
                return _failed("flom_client_lock", ReturnCode.PROTOCOL_ERROR, error)
            case DaemonLost(code=code):
                return _failed("flom_client_lock", code, error)
            case _:
                return str(error)

    def lost(self, why: FlomError, *, has_ended: bool = False) -> str:
        goes_on = "" if has_ended else ", the command goes on unlocked"
        return _failed("flom_client_unlock", ReturnCode.SEND_ERROR, f"{why}{goes_on}")

    def contested(self, why: FlomError, *, has_ended: bool = False) -> str:
        goes_on = "" if has_ended else "; the command goes on"
        what = f"{why}, while neither could hear the other{goes_on}"
        return _failed("flom_client_unlock", ReturnCode.SEND_ERROR, what)


def _failed(what: str, code: ReturnCode, why: object) -> str:
    return f"{what}: ret_cod={code} ({code.text}): {why}"
