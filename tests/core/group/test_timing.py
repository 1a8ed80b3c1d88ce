"""The times of a group."""

from __future__ import annotations

from flom.core.group.timing import DEFAULT_CAMPAIGN, DEFAULT_TIMING, ROUNDS, Timing


def test_a_candidate_announces_itself_so_often_in_its_campaign() -> None:
    assert Timing(campaign=0.375).round == 0.375 / ROUNDS


def test_a_process_has_stalled_after_a_third_of_a_campaign_but_no_longer_one() -> None:
    assert Timing(campaign=0.3).stall == 0.3 / 3
    assert Timing(campaign=60.0).stall == DEFAULT_CAMPAIGN / 3


def test_a_leader_is_not_considered_dead_because_of_three_lost_announcements() -> None:
    assert 4 * DEFAULT_TIMING.heartbeat < DEFAULT_TIMING.patience
