"""Answers that are longer than is read, or cut off, or given up."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from flom.server.quorum.connections import BodyReader, TooLong


class Response:
    """An answer whose body comes when the test says so."""

    def __init__(self) -> None:
        self.transport = StringTransport()

    def deliverBody(self, reader: Any) -> None:
        reader.makeConnection(self.transport)


def test_a_body_comes_in_parts() -> None:
    reader = BodyReader(100)
    read = reader.read(Response())
    reader.dataReceived(b"a")
    reader.dataReceived(b"b")
    reader.connectionLost(Failure(ResponseDone()))
    assert read.result == b"ab"


def test_a_body_that_is_too_long_ends_the_connection() -> None:
    response, reader = Response(), BodyReader(3)
    read = reader.read(response)
    reader.dataReceived(b"abcd")
    assert response.transport.disconnecting
    reader.connectionLost(Failure(ConnectionLost()))
    failed: list[Failure] = []
    read.addErrback(lambda failure: failed.append(failure))
    assert failed[0].check(TooLong)


def test_a_body_that_is_cut_off_is_no_answer() -> None:
    reader = BodyReader(3)
    read = reader.read(Response())
    reader.dataReceived(b"ab")
    reader.connectionLost(Failure(ConnectionLost()))
    failed: list[Failure] = []
    read.addErrback(lambda failure: failed.append(failure))
    assert failed[0].check(ConnectionLost)


def test_a_body_that_nobody_waits_for_ends_the_connection() -> None:
    response, reader = Response(), BodyReader(3)
    read = reader.read(response)
    read.cancel()
    read.addErrback(lambda _: None)
    assert response.transport.disconnecting
