import pytest

from flom.codes import ExitStatus, Outcome, ReturnCode
from flom.config import Config
from flom.errors import (
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    InvalidTimestampFormat,
    LocalProtocolError,
    LockTimeout,
    RemoteProtocolError,
    TlsError,
    lock_refused,
)
from flom.job.flom_wording import FlomWording
from flom.job.wording import status_for

WORDING = FlomWording("flom", Config(timeout_ms=1500))


@pytest.mark.parametrize(
    ("error", "status", "begin"),
    [
        (LockTimeout("x"), ExitStatus.BUSY, "The lock was not obtained because timeout (1500 milliseconds) expired"),
        (lock_refused(Outcome.BUSY, "R", "peer"), ExitStatus.BUSY, "Resource already locked, the lock cannot"),
        (lock_refused(Outcome.CANNOT_WAIT, "R", "peer"), ExitStatus.CANNOT_WAIT, "The resource could be available"),
        (lock_refused(Outcome.IMPOSSIBLE, "R", "peer"), ExitStatus.ERROR, "Resource will never satisfy the request"),
        (lock_refused(Outcome.INVALID_NAME, "R", "peer"), ExitStatus.ERROR, "flom_client_lock: ret_cod=-"),
        (DaemonUnreachable(ReturnCode.CONNECT_ERROR, "x"), ExitStatus.ERROR, "flom_client_connect: ret_cod=-105 ("),
        (TlsError(ReturnCode.SSL_READ_ERROR, "x"), ExitStatus.ERROR, "flom_client_lock: ret_cod=-409 ("),
        (TlsError(ReturnCode.SSL_CONNECT_ERROR, "x"), ExitStatus.ERROR, "flom_client_connect: ret_cod=-406 ("),
        (InvalidTimestampFormat("x"), ExitStatus.ERROR, "flom_client_lock: ret_cod=-25 ("),
        (LocalProtocolError("x"), ExitStatus.ERROR, "flom_client_lock: ret_cod="),
        (RemoteProtocolError("x"), ExitStatus.ERROR, "flom_client_lock: ret_cod="),
        (DaemonLost("x"), ExitStatus.ERROR, "flom_client_lock: ret_cod="),
        (FlomError("x"), ExitStatus.ERROR, "x"),
    ],
)
def test_every_error_has_its_line_and_its_status(error: FlomError, status: int, begin: str) -> None:
    assert WORDING.refused(error).startswith(begin)
    assert status_for(error) == status


def test_a_lock_that_is_gone_leaves_the_command_alone() -> None:
    code = int(ReturnCode.SEND_ERROR)
    assert WORDING.lost(FlomError("gone")).startswith(f"flom_client_unlock: ret_cod={code} (")
    assert WORDING.lost(FlomError("gone")).endswith("gone, the command goes on unlocked")
    assert WORDING.not_reclaimed(DaemonLost("gone"), FlomError("busy")).endswith(
        "gone, and the lock was not reclaimed (busy), the command goes on unlocked"
    )
