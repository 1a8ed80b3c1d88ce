"""The Deferred that a request returns: for one use, by C{await} or C{async with}, with a limit of its wait."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from flom.acquisition import Acquisition, Held, limit
from flom.errors import DaemonLost, LockTimeout, Misuse
from tests.fakes.processes import HeldOfTest


def result_of(coroutine: Any) -> Any:
    """Return what has become of C{coroutine}, which must be over: its result or its error."""
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results[0]


@pytest.fixture
def held() -> HeldOfTest:
    return HeldOfTest()


@pytest.fixture
def acquisition(held: HeldOfTest) -> Acquisition:
    granted: Deferred[Held] = Deferred()
    granted.callback(held)
    return Acquisition(granted, "R1 at the daemon")


def test_a_block_releases_what_it_was_given(acquisition: Acquisition, held: HeldOfTest) -> None:
    async def block() -> bool:
        async with acquisition as got:
            return got is held and not held.is_released

    assert result_of(block()) is True
    assert (held.is_released, held.was_rolled_back) == (True, False)


def test_an_exception_rolls_back(acquisition: Acquisition, held: HeldOfTest) -> None:
    async def block() -> None:
        async with acquisition:
            raise KeyError

    assert isinstance(result_of(block()), KeyError)
    assert held.was_rolled_back is True


def test_a_block_may_release_it_itself(acquisition: Acquisition, held: HeldOfTest) -> None:
    async def block() -> None:
        async with acquisition as got:
            await got.release(rollback=True)

    assert result_of(block()) is None
    assert held.was_rolled_back is True


@pytest.mark.parametrize("error", [None, KeyError()])
def test_a_loss_is_raised_unless_something_else_is(
    acquisition: Acquisition, held: HeldOfTest, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    def release(rollback: bool = False) -> Deferred[None]:
        released: Deferred[None] = Deferred()
        released.errback(DaemonLost("the daemon closed the connection"))
        return released

    async def block() -> None:
        async with acquisition:
            held.is_lost = True
            if error is not None:
                raise error

    monkeypatch.setattr(held, "release", release)
    assert isinstance(result_of(block()), DaemonLost if error is None else KeyError)


def test_it_is_for_one_use(acquisition: Acquisition, held: HeldOfTest) -> None:
    async def block() -> None:
        await acquisition
        async with acquisition:
            pass

    error = result_of(block())
    assert isinstance(error, Misuse)
    assert str(error) == "R1 at the daemon: acquired already; every lock wants an acquire of its own"
    assert not held.is_released


def test_cancelling_it_cancels_the_request() -> None:
    waiting: Deferred[Held] = Deferred()
    acquisition = Acquisition(waiting, "R1")
    errors: list[Any] = []
    acquisition.addErrback(lambda failure: errors.append(failure.value))
    acquisition.cancel()
    assert isinstance(errors[0], CancelledError)
    assert waiting.called


def test_a_limit_ends_the_wait_and_no_other_cancellation() -> None:
    clock, errors = Clock(), list[Any]()
    for end in (lambda _: clock.advance(5), lambda waiting: waiting.cancel()):
        waiting = limit(Deferred[Held](), 5.0, clock, "R1")
        waiting.addErrback(lambda failure: errors.append(failure.value))
        end(waiting)
    assert [type(error) for error in errors] == [LockTimeout, CancelledError]
    assert str(errors[0]) == "R1: not granted within 5 s"
    assert not clock.getDelayedCalls()
