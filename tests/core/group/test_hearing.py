"""What a member of a group knows of its own ears, interface by interface."""

from __future__ import annotations

import pytest

from flom.core.group.hearing import GIVE_UP, MISSES, Hearing


@pytest.fixture
def hearing() -> Hearing:
    return Hearing()


def announce(hearing: Hearing, interface: str, rounds: int) -> None:
    """Announce something by C{interface} that does not come back."""
    for _ in range(rounds):
        hearing.note_sent([interface])
        hearing.count_round()


def test_nothing_is_heard_before_anything_is_sent(hearing: Hearing) -> None:
    assert not hearing.is_complete
    hearing.note_heard("eth0")
    assert not hearing.is_complete


def test_it_is_complete_once_every_interface_is_heard(hearing: Hearing) -> None:
    hearing.note_sent(["docker0", "eth0"])
    hearing.note_heard("docker0")
    assert (hearing.is_complete, hearing.unheard) == (False, ["eth0"])
    hearing.note_heard("eth0")
    assert (hearing.is_complete, hearing.unheard) == (True, [])


def test_an_interface_that_has_gone_does_not_count(hearing: Hearing) -> None:
    hearing.note_sent(["docker0", "eth0"])
    hearing.note_heard("eth0")
    hearing.note_sent(["eth0"])
    assert hearing.is_complete


def test_an_election_begins_without_what_was_heard_before(hearing: Hearing) -> None:
    hearing.note_sent(["eth0"])
    hearing.note_heard("eth0")
    hearing.restart()
    hearing.note_sent(["eth0"])
    assert not hearing.is_complete


def test_silence_is_counted_from_the_last_announcement_that_came_back(hearing: Hearing) -> None:
    for _ in range(2):
        announce(hearing, "eth0", MISSES)
        assert hearing.to_rejoin() == ["eth0"]
        assert hearing.to_rejoin() == []
        hearing.note_heard("eth0")
        assert hearing.to_rejoin() == []


def test_an_interface_that_was_never_heard_is_left_out_until_it_is(hearing: Hearing) -> None:
    announce(hearing, "eth1", GIVE_UP)
    assert hearing.leave_out() == (["eth1"], [])
    assert hearing.left_out == {"eth1"}
    assert hearing.note_heard("eth1")
    assert not hearing.note_heard("eth1")
    assert hearing.left_out == set()


def test_an_interface_that_was_heard_before_is_no_late_one(hearing: Hearing) -> None:
    hearing.note_sent(["eth0"])
    hearing.note_heard("eth0")
    announce(hearing, "eth0", GIVE_UP)
    assert hearing.leave_out() == ([], ["eth0"])


def test_it_is_sharp_while_all_comes_back_within_a_round(hearing: Hearing) -> None:
    assert not hearing.is_sharp
    hearing.note_sent(["eth0"])
    hearing.note_heard("eth0")
    announce(hearing, "eth0", 1)
    assert hearing.is_sharp
    announce(hearing, "eth0", 1)
    assert not hearing.is_sharp
    hearing.note_heard("eth0")
    assert hearing.is_sharp


def test_it_is_not_sharp_while_an_interface_is_left_out(hearing: Hearing) -> None:
    announce(hearing, "eth1", GIVE_UP)
    hearing.leave_out()
    hearing.note_sent(["eth0"])
    hearing.note_heard("eth0")
    assert (hearing.is_complete, hearing.is_sharp) == (True, False)
    hearing.note_heard("eth1")
    assert hearing.is_sharp
