"""A loss that is not listened for changes nothing else; errors may cross to another process."""

from __future__ import annotations

import pickle

import pytest
from twisted.internet.defer import CancelledError, Deferred

from flom.codes import Outcome, ReturnCode
from flom.errors import (
    DaemonUnreachable,
    FlomError,
    InvalidName,
    LockBusy,
    LockTimeout,
    RemoteProtocolError,
    TlsError,
    lock_refused,
)
from tests.fakes.locks import Locks, error


def test_not_to_listen_for_a_loss_any_more_does_not_lose_the_lock() -> None:
    locks = Locks()
    held = locks.hold()
    held.lost.cancel()
    assert isinstance(error(held.lost), CancelledError)
    assert not held.is_lost
    locks.release(held)
    assert not locks.hold(wait=False).is_released


def test_a_block_that_has_raced_against_the_loss_gives_its_lock_back() -> None:
    locks = Locks()

    async def block() -> None:
        async with locks.client.acquire("R1") as held:
            held.lost.addErrback(lambda failure: None)
            held.lost.cancel()
            raise KeyError

    done = Deferred.fromCoroutine(block())
    locks.network.settle()
    assert isinstance(error(done), KeyError)
    assert not locks.hold(wait=False).is_released


def test_a_loss_that_is_not_listened_for_is_still_one() -> None:
    locks = Locks()
    held = locks.hold()
    held.lost.addErrback(lambda failure: None)
    held.lost.cancel()
    locks.daemon.end()
    locks.network.settle()
    assert held.is_lost


ERRORS = [
    lock_refused(Outcome.BUSY, "R1", "the daemon"),
    DaemonUnreachable(ReturnCode.CONNECT_ERROR, "/s: no daemon is listening"),
    TlsError(ReturnCode.SSL_READ_ERROR, "no"),
    InvalidName("no name"),
    RemoteProtocolError("nonsense", "FLM006W", ReturnCode.PROTOCOL_LEVEL_MISMATCH),
    LockTimeout("late"),
]


@pytest.mark.parametrize("raised", ERRORS, ids=lambda raised: type(raised).__name__)
def test_an_error_crosses_to_another_process_as_it_is(raised: FlomError) -> None:
    raised.concern("R1")
    arrived = pickle.loads(pickle.dumps(raised))
    assert (type(arrived), str(arrived), arrived.__dict__) == (type(raised), str(raised), raised.__dict__)


def test_an_error_names_its_resource_once_whatever_that_is_called() -> None:
    raised = DaemonUnreachable(ReturnCode.CONNECT_ERROR, "/tmp/none: no daemon is listening")
    raised.concern("/tmp")
    raised.concern("/tmp")
    assert str(raised) == "/tmp: /tmp/none: no daemon is listening"
    busy = LockBusy(Outcome.BUSY, "R1", "the daemon")
    busy.concern("R1")
    assert str(busy) == "R1 at the daemon: locked by another client"
