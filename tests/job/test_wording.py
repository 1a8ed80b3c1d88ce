import pytest

from flom.codes import ExitStatus, Outcome, ReturnCode
from flom.errors import (
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    InvalidTimestampFormat,
    LocalProtocolError,
    RemoteProtocolError,
    TlsError,
    lock_refused,
)
from flom.job.wording import explain, lost, not_reclaimed, timed_out


@pytest.mark.parametrize(
    ("error", "status", "begin"),
    [
        (timed_out(1.5), ExitStatus.BUSY, "The lock was not obtained because timeout (1500 milliseconds) expired"),
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
    text, code = explain(error)
    assert text.startswith(begin)
    assert code == status


def test_a_lock_that_is_gone_leaves_the_command_alone() -> None:
    code = int(ReturnCode.SEND_ERROR)
    assert lost(FlomError("gone")).startswith(f"flom_client_unlock: ret_cod={code} (")
    assert lost(FlomError("gone")).endswith("gone, the command goes on unlocked")
    assert not_reclaimed(DaemonLost("gone"), FlomError("busy")).endswith(
        "gone, and the lock was not reclaimed (busy), the command goes on unlocked"
    )
