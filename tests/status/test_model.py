"""Who blocks whom, as a status tells it."""

from __future__ import annotations

import pytest

from flom.status.model import LockStatus, ResourceStatus

Asked = tuple[str, str | int | None]
"""A name, and a mode or a quantity."""


def make_lock(number: int, asked: Asked) -> LockStatus:
    name, wish = asked
    mode, quantity = (wish, None) if isinstance(wish, str) else (None, wish)
    return LockStatus(number, "localhost/", None, None, None, name, mode, quantity, None, 1.0)


def make_resource(holders: list[Asked], waiters: list[Asked]) -> ResourceStatus:
    """Return a resource; its holders have the numbers from 0, its waiters from 100."""
    name = (holders + waiters)[0][0]
    kind = "hierarchical" if name.startswith("/") else "simple"
    held = tuple(make_lock(number, asked) for number, asked in enumerate(holders))
    waiting = tuple(make_lock(number, asked) for number, asked in enumerate(waiters, start=100))
    return ResourceStatus(1, name, kind, 1.0, None, None, held, waiting)


CASES: list[tuple[list[Asked], list[Asked], list[list[int]]]] = [
    ([("R1", "PR"), ("R1", "CR")], [("R1", "CW")], [[0]]),
    ([("R1", "PR"), ("R1", "CR")], [("R1", "EX")], [[0, 1]]),
    ([("/a/b", "EX"), ("/a/c", "EX")], [("/a", "EX")], [[0, 1]]),
    ([("/a/b", "EX"), ("/a/c", "EX")], [("/a/b/d", "EX")], [[0]]),
    ([("/a/b", "EX"), ("/a/bc", "EX")], [("/a/b", "EX"), ("/a/bc", "EX")], [[0], [1]]),
    ([("N[5]", 3), ("N[5]", 0)], [("N[5]", 4)], [[0]]),
    ([("r.g", None), ("r.g", None)], [("r.g", None)], [[0, 1]]),
]


@pytest.mark.parametrize(("holders", "waiters", "blocked"), CASES)
def test_a_waiter_is_blocked_by_holders_in_its_way(
    holders: list[Asked], waiters: list[Asked], blocked: list[list[int]]
) -> None:
    resource = make_resource(holders, waiters)
    assert [[holder.number for holder in resource.blockers(waiter)] for waiter in resource.waiters] == blocked
    assert list(resource.blocking().values()) == blocked


def test_waiters_of_one_kind_share_their_blockers() -> None:
    resource = make_resource([("R1", "PR"), ("R1", "PR")], [("R1", "EX"), ("R1", "CW"), ("R1", "EX")])
    assert resource.blocking() == {"EX R1": [0, 1], "CW R1": [0, 1]}
    assert make_resource([("N[5]", 3)], [("N[5]", 4)]).blocking() == {" N[5]": [0]}


def test_the_pairs_that_are_compared_have_a_bound() -> None:
    """A hierarchy may have very many nodes; the others have at most six kinds of waiters."""
    holders: list[Asked] = [(f"/a/{number}", "EX") for number in range(1000)]
    waiters: list[Asked] = [(f"/a/{number}", "PR") for number in range(1000)]
    assert len(make_resource(holders, waiters).blocking()) == 20
    assert len(make_resource(holders * 20, waiters).blocking()) == 6


def test_only_earlier_waiters_are_ahead() -> None:
    resource = make_resource([("R1", "PR")], [("R1", "EX"), ("R1", "PR"), ("R1", "EX")])
    assert [len(resource.ahead_of(waiter)) for waiter in resource.waiters] == [0, 1, 2]


def test_in_a_hierarchy_only_waiters_in_the_way_are_ahead() -> None:
    resource = make_resource([("/a", "EX")], [("/a/b", "EX"), ("/a/c", "EX"), ("/a/b/d", "PR")])
    assert [len(resource.ahead_of(waiter)) for waiter in resource.waiters] == [0, 0, 1]
