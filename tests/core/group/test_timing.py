"""The times of a group."""

from __future__ import annotations

import pytest

from flom.core.group.timing import DEFAULT_CAMPAIGN, DEFAULT_TIMING, ROUNDS, Timing


def test_a_candidate_announces_itself_so_often_in_its_campaign() -> None:
    assert Timing(campaign=0.375).round == 0.375 / ROUNDS


def test_a_process_has_stalled_after_a_third_of_a_default_campaign() -> None:
    """Or of a shorter one."""
    assert Timing(campaign=0.3).stall == 0.3 / 3
    assert Timing(campaign=60.0).stall == DEFAULT_CAMPAIGN / 3


def test_three_lost_announcements_do_not_make_a_leader_dead() -> None:
    assert 4 * DEFAULT_TIMING.heartbeat < DEFAULT_TIMING.patience


def test_a_successor_may_have_heard_its_leader_a_heartbeat_earlier() -> None:
    assert DEFAULT_TIMING.succession == pytest.approx(1.85)  # 0.4 s less than from the last announcement


def test_clients_notice_after_two_probes_that_a_host_has_died() -> None:
    assert DEFAULT_TIMING.noticing == pytest.approx(0.4 + 3 * 1 + 0.3)
    assert Timing(patience=10.0).noticing == pytest.approx(0.4 + 3 * 3 + 0.3)


def test_one_that_waits_for_no_announcement_stands_at_once() -> None:
    assert Timing(2.0, 1.0, 0.5).succession == 0.5
