"""Epochs from etcd's revisions, and how it is noticed that these have gone back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.quorum.epoch import History, first_offset
from flom.core.tokens import MAX_CLAIMED
from flom.errors import ConfigError, HistoryWentBack


def test_the_first_epoch_is_above_all_that_are_known() -> None:
    offset = first_offset(revision=40, known=1000)
    assert History(1000).begin(41, offset, floor=1000) == 1001


def test_a_busy_etcd_uses_up_no_epochs_before_the_first() -> None:
    offset = first_offset(revision=5_000_000_000, known=1000)
    assert History(1000).begin(5_000_000_007, offset, floor=1000) == 1007


def test_an_answer_that_is_overtaken_is_no_other_history() -> None:
    history = History()
    history.note(10, floor=0)
    floor = history.revision  # two calls are sent
    history.note(12, floor)
    history.note(11, floor)
    assert history.revision == 12


def test_a_restore_from_a_backup_is_noticed() -> None:
    history = History()
    history.note(27, floor=0)
    with pytest.raises(HistoryWentBack, match="etcd has gone back from revision 27 to 7"):
        history.note(7, floor=history.revision)
    assert history.revision == 27


def test_a_leader_with_an_earlier_epoch_is_noticed() -> None:
    history = History()
    history.note_epoch(27, floor=-1)
    history.note_epoch(27, floor=27)
    with pytest.raises(HistoryWentBack, match="the epoch in etcd has gone back from 27 to 7"):
        history.note_epoch(7, floor=27)


@pytest.mark.parametrize("create_revision", [7, 27])
def test_no_epoch_begins_twice(create_revision: int) -> None:
    history = History(27)
    with pytest.raises(HistoryWentBack, match=f"it would be {create_revision}, after 27"):
        history.begin(create_revision, 0, floor=history.epoch)


def test_a_winner_may_have_read_its_own_key_before() -> None:
    history = History(27)
    floor = history.epoch  # the transaction is sent
    history.note_epoch(30, floor)  # the key is read, while the answer to the transaction is on its way
    assert history.begin(30, 0, floor) == 30


def test_there_is_an_end_to_epochs() -> None:
    with pytest.raises(ConfigError, match="too high"):
        History().begin(MAX_CLAIMED, 1, floor=-1)


@given(st.integers(0, 2**40), st.integers(-1, 2**30), st.integers(1, 1000))
def test_an_offset_once_set_is_good_for_all_that_follows(revision: int, known: int, later: int) -> None:
    history = History(known)
    epoch = history.begin(revision + later, first_offset(revision, known), floor=known)
    assert epoch == known + later
