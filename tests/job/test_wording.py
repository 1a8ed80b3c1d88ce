"""What flom-run says: program, resource, what is wrong."""

from __future__ import annotations

import pytest

from flom.client.blocking.lookup import LookupTimeout
from flom.codes import Outcome, ReturnCode
from flom.config import Config
from flom.errors import DaemonLost, DaemonUnreachable, FlomError, LockTimeout, lock_refused
from flom.job.wording import Wording

HELD = "by pid 4711 (root, backup) for 37 s"


@pytest.mark.parametrize(
    ("error", "held", "line"),
    [
        (LockTimeout("x"), HELD, f"flom-run: N[5]: still locked after 0.5 s {HELD}"),
        (LockTimeout("x"), "", "flom-run: N[5]: not granted within 0.5 s"),
        (LookupTimeout("h: no name server has answered in time"), "", "flom-run: h: no name server has answered"),
        (lock_refused(Outcome.BUSY, "R", "peer"), HELD, f"flom-run: N[5]: locked {HELD}"),
        (lock_refused(Outcome.BUSY, "R", "peer"), "", "flom-run: N[5]: locked"),
        (lock_refused(Outcome.CANNOT_WAIT, "R", "peer"), "", "flom-run: N[5]: it does not exist, and is neither"),
        (lock_refused(Outcome.IMPOSSIBLE, "R", "peer"), "", "flom-run: N[5]: 6 wanted (-q), and there are only 5"),
        (DaemonUnreachable(ReturnCode.CONNECT_ERROR, "x: no"), "", "flom-run: x: no"),
    ],
    ids=repr,
)
def test_a_refusal_names_program_resource_and_holder(error: FlomError, held: str, line: str) -> None:
    wording = Wording("flom-run", Config(resource_name="N[5]", quantity=6, timeout_ms=500))
    assert wording.refused(error, held).startswith(line)


def test_a_lock_that_is_gone_leaves_the_command_alone() -> None:
    wording = Wording("flom-run", Config(resource_name="R"))
    assert wording.lost(FlomError("gone")) == "flom-run: R: the lock was lost: gone; the command goes on unlocked"
    assert wording.lost(FlomError("gone"), has_ended=True) == "flom-run: R: the lock was lost: gone"
    assert wording.not_reclaimed(DaemonLost("gone"), FlomError("no way"), has_ended=True) == (
        "flom-run: R: the lock was lost: gone, and the lock was not reclaimed (no way)"
    )
