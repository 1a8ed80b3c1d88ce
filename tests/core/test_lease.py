"""A lease: how long the holder of a lock believes that it is its own, and what has room in that time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.lease import MOST_UNANSWERED, NEVER, Lease, Times, times_within
from flom.errors import ConfigError

SUCCESSION = 2.8  # seconds after which a successor may grant locks, with the default times of a group


def test_ten_seconds_are_six_and_two_and_a_half_and_one_and_a_half() -> None:
    assert times_within(10.0, None) == Times(6.0, 2.5, 1.5, 10 / 3)


def test_a_command_that_is_not_ended_has_the_time_that_its_end_would_take() -> None:
    assert times_within(10.0) == Times(8.5, 0.0, 1.5, 10 / 3)


def test_the_default_shrinks_to_fit() -> None:
    times = times_within(SUCCESSION, None)
    assert [round(part, 2) for part in (times.patience, times.kill_after, times.margin)] == [1.68, 0.7, 0.42]


def test_more_time_is_for_the_patience() -> None:
    assert times_within(60.0, None) == Times(56.0, 2.5, 1.5, 20.0)


def test_what_is_said_shrinks_the_patience_instead() -> None:
    assert times_within(10.0, 5.0).patience == 3.5


def test_what_is_said_and_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigError) as caught:
        times_within(SUCCESSION, 2.5, what="a successor's least time")
    assert str(caught.value) == (
        "kill-after: 2.5 s are too long: another client may get the lock after 2.8 s (a successor's least time), "
        "so there is room for 1.54 s at most"
    )


@given(st.floats(0.001, 1e6), st.none() | st.floats(0.0, 1e6))
def test_all_that_fits_has_room(whole: float, kill_after: float | None) -> None:
    try:
        times = times_within(whole, kill_after)
    except ConfigError:
        assert kill_after is not None
        assert kill_after > whole / 2
    else:
        assert times.patience + times.kill_after + times.margin == pytest.approx(whole)
        assert times.kill_after == kill_after or kill_after is None
        assert 0 < times.interval < times.patience + times.kill_after + times.margin


def answered(at: float) -> Lease:
    """Return a lease of 6 s whose last answered message was sent at C{at}."""
    lease = Lease(6.0, 3.0)
    lease.sent(at)
    lease.answered()
    return lease


def test_patience_runs_from_when_the_message_was_sent() -> None:
    lease = answered(100.0)
    assert (lease.next_ping, lease.lost_at) == (103.0, 106.0)
    lease.sent(103.0)
    assert lease.lost_at == 106.0
    lease.answered()
    assert (lease.next_ping, lease.lost_at) == (106.0, 109.0)


def test_nothing_is_believed_before_the_first_answer() -> None:
    lease = Lease(6.0)
    lease.sent(100.0)
    assert lease.lost_at == -NEVER


def test_no_message_is_sent_while_one_is_under_way() -> None:
    lease = answered(100.0)
    lease.sent(103.0)
    assert lease.next_ping == NEVER


def test_an_answer_that_is_missing_is_doubtful_while_there_is_time() -> None:
    lease = answered(100.0)
    assert lease.doubtful_at == NEVER
    lease.sent(103.0)
    assert lease.doubtful_at == 104.5


def test_a_daemon_that_is_stopped_keeps_what_its_kernel_confirms() -> None:
    lease = answered(100.0)
    for now in 103.0, 106.0, 109.0:
        assert lease.next_ping == now
        lease.sent(now)
        lease.confirmed()
        assert lease.lost_at == now + 6.0
        assert lease.doubtful_at == NEVER


def test_a_daemon_that_is_stopped_is_not_sent_messages_without_end() -> None:
    lease = answered(100.0)
    for _ in range(MOST_UNANSWERED):
        lease.sent(lease.next_ping)
        lease.confirmed()
    assert lease.next_ping == NEVER
    lease.answered()
    assert lease.next_ping < NEVER


def test_each_answer_is_that_of_the_earliest_message() -> None:
    """Or else a late one would be taken for the answer to what was sent after it."""
    lease = answered(100.0)
    lease.sent(103.0)
    lease.confirmed()
    lease.sent(106.0)
    lease.answered()
    assert lease.lost_at == 109.0  # confirmed
    lease.answered()
    assert lease.lost_at == 112.0


def test_by_another_connection_nothing_is_answered_that_was_sent_before() -> None:
    lease = answered(100.0)
    lease.sent(103.0)
    lease.reconnected()
    lease.answered()
    assert lease.lost_at == 106.0
    lease.sent(105.0)
    lease.answered()
    assert lease.lost_at == 111.0


def test_a_program_that_was_stopped_asks_before_it_believes_anything() -> None:
    lease = answered(100.0)
    lease.woke(200.0, 1.0)
    assert lease.lost_at == 201.0
    assert lease.next_ping < 200.0
    lease.sent(200.0)
    assert lease.doubtful_at == 200.5
    lease.answered()
    assert lease.lost_at == 206.0


def test_an_answer_to_nothing_changes_nothing() -> None:
    lease = answered(100.0)
    lease.answered()
    assert lease.lost_at == 106.0


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.floats(0.0, 5.0)), min_size=1))
def test_a_holder_gives_up_before_its_daemon_does(steps: list[tuple[float, float, float]]) -> None:
    """However long messages take: the daemon counts from when it has received one, the client from when it was sent."""
    timeout = 10.0
    times = times_within(timeout, None)
    lease = Lease(times.patience, times.interval)
    now = received = 0.0
    for pause, there, back in steps:
        now += pause
        lease.sent(now)
        received = now + there
        now = received + back
        lease.answered()
        assert lease.lost_at + times.kill_after + times.margin <= received + timeout + 1e-9


def test_time_to_find_out_is_none_to_believe() -> None:
    lease = Lease(6.0)
    lease.sent(100.0)
    lease.answered()
    assert not lease.is_over(105.9)
    lease.woke(200.0, 1.0)
    assert lease.is_over(200.0)
    assert lease.lost_at == 201.0
    lease.sent(200.1)
    lease.answered()
    assert not lease.is_over(200.5)
