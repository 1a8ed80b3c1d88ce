"""The queues find the first waiter that fits, as a walk along a list would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flom.core.locks.resources.queues import NEVER, Earliest, QuantityQueue
from flom.core.names import NumericName
from flom.core.requests import LockRequest, SessionId

NAME = NumericName("N[100]", 100)


@given(st.lists(st.tuples(st.sampled_from(["append", "append", "remove"]), st.integers(0, 20)), max_size=200))
def test_a_quantity_queue_finds_the_first_that_wants_no_more_than_is_left(steps: list[tuple[str, int]]) -> None:
    queue, plain = QuantityQueue(), list[LockRequest]()
    for step, number in steps:
        if step == "append":
            plain.append(LockRequest(SessionId(1), NAME, quantity=number))
            queue.append(plain[-1])
        elif plain:
            queue.remove(plain.pop(number % len(plain)))
        for available in range(-1, 22):
            assert queue.first(available) is next((r for r in plain if r.quantity <= available), None)


@given(st.lists(st.tuples(st.integers(0, 6), st.one_of(st.integers(0, 50), st.just(NEVER)))))
def test_the_earliest_is_known_while_the_numbers_change(steps: list[tuple[int, float]]) -> None:
    earliest, plain = Earliest[int](), dict[int, float]()
    for key, arrival in steps:
        if arrival in plain.values():
            continue  # arrival numbers are given once
        earliest.set(key, arrival)
        plain[key] = arrival
        plain = {key: number for key, number in plain.items() if number != NEVER}
        assert earliest.first() == min(((number, key) for key, number in plain.items()), default=None)


def test_what_is_no_longer_the_earliest_does_not_pile_up() -> None:
    earliest = Earliest[str]()
    earliest.set("first", 0)
    for arrival in range(1, 10_000):
        earliest.set("other", arrival)
    assert len(earliest._heap) < 100
