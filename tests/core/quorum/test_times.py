"""The times of a quorum: what fits, what does not, and which clocks they are good for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.quorum.times import DEFAULT, FAST, QuorumTimes, holder_times, quorum_times
from flom.errors import ConfigError

SLOW, FASTER = 0.9, 1.1
"""Seconds that a slow and a fast clock count in one."""


def test_the_default() -> None:
    assert QuorumTimes(lease=3.0, session=5.0, margin=1.0, patience=2.5, kill_after=1.5, interval=2.5 / 3) == DEFAULT
    assert DEFAULT.wait == 6.0
    assert DEFAULT.keepalive_interval == 0.6


def test_the_fast_ones() -> None:
    assert FAST.lease + FAST.wait == pytest.approx(5.6)
    assert [round(part, 3) for part in (FAST.patience, FAST.kill_after, FAST.margin)] == [1.5, 0.9, 0.6]


@pytest.mark.parametrize(
    ("options", "patience", "kill_after"),
    [
        ({}, 2.5, 1.5),
        ({"kill_after": 0.0}, 4.0, 0.0),
        ({"kill_after": 2.0}, 2.0, 2.0),
        ({"kill_after": 2.5}, 1.5, 2.5),
        ({"margin": 1.5}, 2.0, 1.5),
        ({"margin": 2.0}, 1.5, 1.5),
        ({"session": 10.0}, 5.0, 3.0),
    ],
)
def test_patience_is_what_the_others_leave(options: dict[str, float], patience: float, kill_after: float) -> None:
    times = quorum_times(**options)
    assert times.patience == pytest.approx(patience)
    assert times.kill_after == pytest.approx(kill_after)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"lease": 1.0}, "quorum-lease: 1 s: etcd has leases of whole seconds, 2 or more"),
        ({"lease": 2.5}, "quorum-lease: 2.5 s: etcd has leases of whole seconds, 2 or more"),
        ({"lease": 5.0}, "session-timeout: 5 s have to be more than the 5 s of quorum-lease"),
        ({"session": 2.0}, "session-timeout: 2 s have to be more than the 3 s of quorum-lease"),
        ({"margin": 0.9}, "quorum-margin: 0.9 s are too short: a fifth of session-timeout (5 s) is the least"),
        ({"margin": 2.5}, "quorum-margin: 2.5 s are too long: of session-timeout (5 s), 2 s are the most"),
        (
            {"kill_after": 3.0},
            (
                "kill-after: 3 s are too long: another client may get the lock after 5 s "
                "(the daemon's session-timeout), so there is room for 2.5 s at most"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_an_error(options: dict[str, float], error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        quorum_times(**options)
    assert str(caught.value) == error


def test_a_client_is_told_no_longer_session_than_its_daemon_keeps() -> None:
    assert DEFAULT.told == pytest.approx(5.0)
    assert quorum_times(margin=2.0).told == pytest.approx(3.75)
    with pytest.raises(ConfigError, match=r"session-timeout: 0\.5 s are too short"):
        holder_times(0.5)


@given(st.integers(2, 60), st.floats(1.0, 200.0), st.none() | st.floats(0.0, 100.0), st.none() | st.floats(0.0, 100.0))
def test_all_that_fits_is_good_for_slow_and_fast_clocks(
    lease: int, session: float, margin: float | None, kill_after: float | None
) -> None:
    try:
        times = quorum_times(float(lease), session, margin, kill_after)
        holder = holder_times(times.told, kill_after)
    except ConfigError:
        return
    assert times.patience + times.kill_after + times.margin <= session + 1e-9
    assert holder.interval * 2 < holder.patience
    assert times.keepalive_interval * 3 < times.lead_within(lease)
    # a leader with a slow clock stops before etcd ends its lease by a fast one
    assert times.lead_within(lease) / SLOW <= lease / FASTER + 1e-9
    # a command of a host with a slow clock has ended before a leader with a fast one ends its session
    assert (holder.patience + holder.kill_after) / SLOW <= session / FASTER + 1e-9
    assert times.session / (times.session - times.margin) >= FASTER / SLOW


@pytest.mark.parametrize(("times", "lag"), [(DEFAULT, 0.1), (FAST, 0.06)], ids=["default", "fast"])
def test_a_command_may_end_a_moment_late(times: QuorumTimes, lag: float) -> None:
    """On a busy host, with a slow clock, at a daemon with a fast one; between hosts with equal clocks, 1 s or 0.6 s."""
    assert (times.patience + times.kill_after) / SLOW + lag < times.session / FASTER
    assert times.session - times.patience - times.kill_after == pytest.approx(times.margin)


def test_a_restore_of_etcd_that_takes_two_seconds_is_waited_for() -> None:
    """Then no lease of the leader before is waited for, but the margin of the wait is enough."""
    for times in DEFAULT, FAST:
        last_use = (times.lead_within(times.lease) + times.patience + times.kill_after) / SLOW
        assert last_use < 2.0 + times.wait / FASTER
    assert last_use > 1.0 + (times.wait - times.margin) / FASTER
