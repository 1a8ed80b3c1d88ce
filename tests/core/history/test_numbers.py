"""The check that numbers of sequences are given once, and those that were rolled back again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flom.core.history.holding import Holding
from flom.core.history.numbers import lost_rollbacks, repeated_numbers
from tests.core.history.held import parse


@pytest.mark.parametrize(
    ("script", "kills", "repeated"),
    [
        ("10-20 _s_a[2] =1, 15-30 _s_a[2] =2, 21-30 _s_a[2] =3, 10-20 _s_b[1] =1", [], ""),
        ("10-20 _s_a[2] =1, 15-30 _s_a[2] =2, 21-30 _s_a[2] =1", [], "3 after 1"),
        ("10-20 _s_a[2] =1, 25-30 _s_a[2] =1", [21], ""),
        ("10-20 _s_a[2] =1, 15-30 _s_a[2] =2, 25-30 _s_a[2] =1", [21], "3 after 1"),
        ("10-20 _s_a[2] =2, 15-30 _s_a[2] =1, 25-30 _s_a[2] =2", [21], ""),
        ("10-20 _s_a[2] =1, 25-40 _s_a[2] =2, 45-50 _s_a[2] =1", [21, 31], "3 after 1"),
        ("10-20 R =1, 25-30 R =1", [], ""),
    ],
)
def test_numbers_come_once(script: str, kills: list[float], repeated: str) -> None:
    found = repeated_numbers(parse(script), kills)
    assert ", ".join(f"{each.holding.who} after {each.beside[0].who}" for each in found) == repeated


def transaction(begin: int, number: int, is_kept: bool | None, token: int = 2**32 + 1) -> Holding:
    return Holding(
        begin,
        "_S_n[1]",
        begin,
        begin + 1,
        element=str(number),
        token=token,
        asked=begin - 1,
        released=begin + 2,
        is_kept=is_kept,
    )


@pytest.mark.parametrize(
    ("first", "then", "repeated"),
    [(True, True, True), (False, True, False), (True, False, True), (None, True, False), (False, False, False)],
)
def test_what_was_rolled_back_is_given_again(first: bool | None, then: bool, repeated: bool) -> None:
    found = repeated_numbers([transaction(10, 1, first), transaction(20, 1, then)])
    assert bool(found) == repeated


def test_after_the_lifespan_a_sequence_begins_anew() -> None:
    holdings = parse("10-20 _s_n[2] =1, 15-40 _s_n[2] =2, 50-60 _s_n[2] =1")
    for lifespan, repeated in ((9, 0), (10, 1)):
        assert len(repeated_numbers([each.replace(lifespan=lifespan) for each in holdings])) == repeated
    assert repeated_numbers([each.replace(lifespan=12) for each in holdings], skew=3) == []


def test_while_one_holds_it_is_not_forgotten() -> None:
    holdings = parse("10-100 _s_n[3] =1, 20-30 _s_n[3] =2, 60-70 _s_n[3] =2")
    assert len(repeated_numbers([each.replace(lifespan=20) for each in holdings])) == 1


def test_what_was_rolled_back_may_have_been_first_if_no_order_is_known() -> None:
    holdings = [transaction(10, 1, True), transaction(12, 1, False)]
    assert [len(repeated_numbers(holdings, skew=skew)) for skew in (0, 5)] == [1, 0]


def test_a_rollback_is_not_forgotten() -> None:
    rolled_back, later = transaction(10, 1, False), transaction(20, 2, True)
    [lost] = lost_rollbacks([rolled_back, later])
    assert (lost.holding, lost.beside) == (later, (rolled_back,))
    assert lost_rollbacks([rolled_back, transaction(20, 1, True), transaction(30, 2, True)]) == []
    assert lost_rollbacks([rolled_back, transaction(20, 2, True, token=2**33 + 1)]) == []  # of another daemon
    assert lost_rollbacks([rolled_back, later.replace(asked=11)]) == []  # it may have been granted before
    assert lost_rollbacks([rolled_back, later, transaction(15, 3, None)]) == []
    assert lost_rollbacks([rolled_back, later], undecided=["_S_n[1]"]) == []
    assert lost_rollbacks([each.replace(name="_s_n[1]") for each in (rolled_back, later)]) == []


class Sequence:
    """
    A daemon with a transactional sequence of two slots, as docs/explanation/resources.md describes it; and its
    history.
    """

    def __init__(self) -> None:
        self.now = 0
        self.last = 0
        self.free: list[int] = []
        self.held: list[Holding] = []
        self.history: list[Holding] = []

    def grant(self) -> None:
        if len(self.held) < 2:
            number = self.free.pop(0) if self.free else self.last + 1
            self.last = max(self.last, number)
            self.now += 2
            self.held.append(
                transaction(self.now, number, None).replace(name="_S_n[2]", lifespan=50, asked=self.now - 1)
            )

    def release(self, is_kept: bool) -> None:
        if self.held:
            self.now += 2
            done = self.held.pop(0)
            self.history.append(done.replace(end=self.now, released=self.now + 1, is_kept=is_kept))
            if not is_kept:
                self.free.append(int(done.element))

    def rest(self) -> None:
        self.now += 60
        if not self.held:
            self.last, self.free = 0, []


STEPS = {
    "grant": Sequence.grant,
    "keep": lambda it: it.release(True),
    "roll back": lambda it: it.release(False),
    "rest": Sequence.rest,
}


@settings(max_examples=200)
@given(st.lists(st.sampled_from(sorted(STEPS))), st.data())
def test_what_a_daemon_gives_is_fine_and_other_numbers_are_not(steps: list[str], data: st.DataObject) -> None:
    daemon = Sequence()
    for step in steps:
        STEPS[step](daemon)
    while daemon.held:
        daemon.release(True)
    history = daemon.history
    assert repeated_numbers(history) == []
    if "rest" not in steps:
        assert lost_rollbacks(history) == []
        kept = [each for each in history if each.is_kept]
        if len(kept) > 1:
            one, other = data.draw(st.permutations(kept))[:2]
            planted = [each.replace(element=one.element) if each is other else each for each in history]
            assert repeated_numbers(planted) != []
