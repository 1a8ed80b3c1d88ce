"""Why a daemon has closed a connection, and how often a client asks again (docs/compatibility.md, "TLS failures")."""

from __future__ import annotations

import pytest

from flom.client.retry import RetryBudget, in_group, why_closed
from flom.codes import ReturnCode
from flom.core.group.timing import Timing
from flom.errors import DaemonLost
from flom.net.keepalive import Keepalive
from flom.net.machine_id import unique_id
from tests.fakes.connections import FakeTls

LOSS = DaemonLost("gone")
REFUSAL = DaemonLost("gone", ReturnCode.SSL_READ_ERROR)


def spent(budget: RetryBudget, loss: DaemonLost, *, answered: bool) -> int:
    """Return how many retries C{budget} has for C{loss}, at most 100."""
    for times in range(100):
        try:
            budget.spend(loss, answered=answered)
        except DaemonLost:
            return times
    return 100


@pytest.mark.parametrize(
    ("is_in_group", "loss", "answered", "times"),
    [
        (False, LOSS, False, 1),
        (False, LOSS, True, 100),
        (True, LOSS, False, 20),
        (True, LOSS, True, 100),
        (True, REFUSAL, False, 1),
    ],
    ids=["silent", "answered", "group, silent", "group, answered", "group, refused by TLS"],
)
def test_how_often_is_asked_again(is_in_group: bool, loss: DaemonLost, answered: bool, times: int) -> None:
    assert spent(RetryBudget(is_in_group=is_in_group), loss, answered=answered) == times


def test_flom_s_client_does_not_wait_on() -> None:
    assert spent(RetryBudget(is_in_group=False, waits_on=False), LOSS, answered=True) == 0
    assert spent(RetryBudget(is_in_group=True, waits_on=False), LOSS, answered=True) == 100


def test_where_we_start_the_next_one_a_daemon_may_be_silent_more_often() -> None:
    """Though not where FLoM's client would give up, nor if the daemon says by TLS that it wants none of us."""
    assert spent(RetryBudget(is_in_group=False, may_start=True), LOSS, answered=False) == 10
    assert spent(RetryBudget(is_in_group=False, may_start=True), REFUSAL, answered=False) == 1
    assert spent(RetryBudget(is_in_group=False, may_start=True, waits_on=False), LOSS, answered=False) == 1


def test_after_a_wait_a_daemon_may_go_without_a_word_more_often() -> None:
    budget = RetryBudget(is_in_group=False)
    budget.spend(LOSS, answered=True)
    assert budget.has_waited
    assert spent(budget, LOSS, answered=False) == 20


def test_an_answer_renews_the_budget() -> None:
    budget = RetryBudget(is_in_group=True)
    for _ in range(20):
        budget.spend(LOSS, answered=False)
    budget.spend(LOSS, answered=True)
    assert spent(budget, LOSS, answered=False) == 20


@pytest.mark.parametrize(
    ("answered", "is_tls", "is_secured", "hint"),
    [
        (True, True, True, ""),
        (False, False, False, " without an answer; it may want TLS, or have reached a limit"),
        (False, True, False, " during the TLS handshake; it may not speak TLS"),
        (False, True, True, " without an answer; it may check peer ids: our unique id is"),
    ],
)
def test_why_a_connection_was_closed(answered: bool, is_tls: bool, is_secured: bool, hint: str) -> None:
    tls = FakeTls() if is_tls else None
    error = why_closed("the daemon", answered=answered, tls=tls, is_secured=is_secured)  # type: ignore[arg-type]
    assert str(error).startswith(f"the daemon closed the connection{hint}")


def test_with_the_right_name_our_certificate_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeTls, "own_name", unique_id())
    error = why_closed("the daemon", answered=False, tls=FakeTls(), is_secured=True)  # type: ignore[arg-type]
    assert (error.code, str(error).rpartition("; ")[2]) == (REFUSAL.code, "it may not accept our certificate")


@pytest.mark.parametrize(
    ("keepalive", "timing", "probed"),
    [
        (Keepalive(), Timing(), Keepalive(1, 1, 2)),
        (Keepalive(), Timing(patience=12.0, campaign=0.6), Keepalive(4, 4, 2)),
        (Keepalive(1, 1, 1), Timing(patience=12.0, campaign=0.6), Keepalive(1, 1, 1)),
    ],
)
def test_in_a_group_a_leader_is_probed_as_a_standby_waits(
    keepalive: Keepalive, timing: Timing, probed: Keepalive
) -> None:
    assert in_group(keepalive, timing) == probed
