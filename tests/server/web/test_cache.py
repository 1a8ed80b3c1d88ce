"""A body that is made once for many."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock

from flom.server.web.cache import LIFETIME, SHARE, Cache


class Maker:
    """
    Makes bodies: C{b"1"} and so on.

    @ivar slow: seconds that it takes.
    @ivar made: how many so far.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.slow = 0.0
        self.made = 0
        self.cache = Cache(self.clock.seconds, self._make)
        self.got: list[bytes] = []

    def ask(self) -> Deferred[Any]:
        return self.cache.get().addCallback(self.got.append)

    def _make(self) -> Deferred[bytes]:
        self.made += 1
        self.clock.advance(self.slow)
        return succeed(str(self.made).encode())


def test_it_is_made_anew_when_it_is_asked_for_and_old() -> None:
    maker = Maker()
    for _ in range(3):
        maker.ask()
    maker.clock.advance(LIFETIME)
    assert maker.made == 1
    maker.ask()
    assert maker.got == [b"1", b"1", b"1", b"2"]


def test_what_took_long_is_shown_for_longer() -> None:
    maker = Maker()
    maker.slow = 0.5
    maker.ask()
    maker.clock.advance(SHARE * 0.5 - 0.1)
    maker.ask()
    assert maker.made == 1
    maker.clock.advance(0.2)
    maker.ask()
    assert maker.made == 2


def test_those_who_ask_while_it_is_being_made_get_the_same() -> None:
    made: Deferred[bytes] = Deferred()
    bodies: list[bytes] = []
    cache = Cache(Clock().seconds, lambda: made)
    for _ in range(3):
        cache.get().addCallback(bodies.append)
    gone = cache.get()
    gone.addErrback(lambda failure: failure.trap(CancelledError))
    gone.cancel()
    assert bodies == []
    made.callback(b"body")
    assert bodies == [b"body"] * 3


def test_a_fault_is_told_to_all_and_the_next_try_may_go_well() -> None:
    first: Deferred[bytes] = Deferred()
    tries = [first, succeed(b"{}")]
    told: list[Any] = []
    cache = Cache(Clock().seconds, lambda: tries.pop(0))
    for _ in range(2):
        cache.get().addErrback(lambda failure: told.append(failure.type))
    first.errback(ZeroDivisionError())
    assert told == [ZeroDivisionError] * 2
    cache.get().addCallback(told.append)
    assert told[2:] == [b"{}"]
