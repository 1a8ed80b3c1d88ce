"""What is shown of a lock table: everybody who holds or waits, in order, since when, and what is left."""

from __future__ import annotations

import time

import pytest

from flom.codes import Outcome
from flom.core.effects import Instant
from flom.core.locks.snapshot import LockView, ResourceView
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId, SetRequest


class Table:
    """A lock table whose clock the test sets."""

    def __init__(self) -> None:
        self.table = LockTable(lambda format, wall: time.strftime(format, time.gmtime(wall)))
        self.seconds = 0.0

    @property
    def now(self) -> Instant:
        return Instant(self.seconds, 1_790_000_000 + self.seconds)

    def ask(
        self, session: int, name: str, mode: LockMode = LockMode.EX, quantity: int = 1, create: bool = True
    ) -> None:
        """Ask one second after the last call."""
        self.seconds += 1.0
        request = LockRequest(SessionId(session), parse_name(name), mode, quantity, create=create)
        self.table.request(request, self.now)

    def release(self, session: int, name: str) -> None:
        """Release, one second after the last call."""
        self.seconds += 1.0
        self.table.release(SessionId(session), parse_name(name), self.now)

    def only(self) -> ResourceView:
        [resource] = self.table.view().resources
        return resource


@pytest.fixture
def table() -> Table:
    return Table()


def who(claims: list[LockView]) -> list[tuple[int, float]]:
    return [(claim.request.session, claim.since) for claim in claims]


def test_holders_and_waiters_are_shown_in_order_with_the_time_since_when(table: Table) -> None:
    for session, mode in ((1, LockMode.PR), (2, LockMode.EX), (3, LockMode.PR), (4, LockMode.CW)):
        table.ask(session, "R1", mode)
    assert who(table.only().holders) == [(1, 1.0), (3, 3.0)]
    assert who(table.only().waiters) == [(2, 2.0), (4, 4.0)]
    table.release(1, "R1")
    table.release(3, "R1")
    assert who(table.only().holders) == [(2, 6.0)]
    assert who(table.only().waiters) == [(4, 4.0)]


def test_numbers_are_unique_and_grow(table: Table) -> None:
    table.ask(1, "R1")
    table.ask(2, "R1")
    table.ask(3, "N[5]")
    first, second = table.table.view().resources
    numbers = [first.number, first.holders[0].number, first.waiters[0].number, second.number, second.holders[0].number]
    assert numbers == [2, 3, 4, 5, 6]
    table.release(1, "R1")
    assert table.table.view().resources[0].holders[0].number == 4  # who waited keeps its number


@pytest.mark.parametrize(
    ("name", "free"),
    [("R1", None), ("/a/b", None), ("N[5]", 3), ("red.green.blue", ("green", "blue")), ("_s_a[3]", 2), ("_t_%S[3]", 2)],
)
def test_what_is_left_is_shown(table: Table, name: str, free: int | tuple[str, ...] | None) -> None:
    table.ask(1, name, quantity=2)
    assert table.only().free == free


def test_the_nodes_of_a_tree_are_one_resource(table: Table) -> None:
    table.ask(1, "/a/b")
    table.ask(2, "/a/c")
    table.ask(3, "/a")
    assert table.only().name == "/a/b"  # what it was called when it was made
    assert [claim.request.name.text for claim in table.only().holders] == ["/a/b", "/a/c"]
    assert [claim.request.name.text for claim in table.only().waiters] == ["/a"]


def test_an_incubated_request_is_shown_apart_and_keeps_its_place(table: Table) -> None:
    """And its time."""
    table.ask(1, "R1", create=False)
    assert who(table.table.view().incubator) == [(1, 1.0)]
    assert table.table.view().resources == []
    table.ask(2, "R1")
    assert table.table.view().incubator == []
    assert who(table.only().waiters) == [(1, 1.0)]


def test_an_idle_resource_is_shown_until_it_is_forgotten(table: Table) -> None:
    table.ask(1, "R1")
    assert table.only().idle_until is None
    table.table.drop(SessionId(1), table.now)
    assert table.only().idle_until == table.seconds + 2.0
    assert table.only().holders == []


def test_one_resource_alone_may_be_shown(table: Table) -> None:
    for session, name in ((1, "R1"), (2, "R2"), (3, "R1")):
        table.ask(session, name)
    table.ask(4, "R3", create=False)
    [resource] = table.table.view("R1").resources
    assert (resource.name, who(resource.holders), who(resource.waiters)) == ("R1", [(1, 1.0)], [(3, 3.0)])
    assert table.table.view("R1").incubator == []
    assert table.table.view("none").resources == []


# counting


def test_grants_and_refusals_are_counted_with_their_times(table: Table) -> None:
    table.ask(1, "R1")
    table.ask(2, "R1")
    table.release(1, "R1")
    table.table.request(LockRequest(SessionId(3), parse_name("R1"), wait=False), table.now)
    table.table.drop(SessionId(2), table.now)
    statistics = table.table.statistics
    assert statistics.granted == 2
    assert statistics.refused == {Outcome.BUSY: 1}
    assert (statistics.waited.total, statistics.held.count, statistics.held.total) == (1.0, 2, 2.0)


def test_the_counts_outlive_a_table_that_another_takes_the_place_of(table: Table) -> None:
    table.ask(1, "R1")
    assert LockTable(lambda format, wall: "", table.table.statistics).statistics.granted == 1


def test_who_waits_for_several_at_once_is_shown_at_each_with_the_others(table: Table) -> None:
    table.ask(1, "A")
    table.seconds += 1.0
    parts = tuple(LockRequest(SessionId(2), parse_name(name)) for name in ("A", "B", "/c/d"))
    table.table.request_all(SetRequest(parts), table.now)
    waiters = [waiter for resource in table.table.view().resources for waiter in resource.waiters]
    assert who(waiters) == [(2, 2.0)] * 3
    assert [waiter.beside for waiter in waiters] == [("B", "/c/d"), ("A", "/c/d"), ("A", "B")]
    assert len({waiter.number for waiter in waiters}) == 3
    assert [waiter.joint for waiter in waiters] == [min(waiter.number for waiter in waiters)] * 3
    table.release(1, "A")
    assert [resource.waiters for resource in table.table.view().resources] == [[], [], []]
