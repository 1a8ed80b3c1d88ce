"""A ServerConnection for each client and a LockTable do, without any I/O, what FLoM's daemon was recorded to do."""

from __future__ import annotations

import time
from typing import Any

import pytest

from flom.codes import Outcome
from flom.core.effects import Effect, Granted, Incubated, Instant, Queued, Refused
from flom.core.locks.table import LockTable
from flom.core.protocol.connection import ServerConnection
from flom.core.protocol.events import InvalidLock, Release
from flom.core.protocol.framing import END_OF_MESSAGE
from flom.core.protocol.messages import Shutdown
from flom.core.requests import LockRequest, SessionId
from flom.errors import RemoteProtocolError
from tests.fakes.replay import PEER_ID, assert_same
from tests.scenarios.integration.test_transcripts import expected, names

START = 1_790_166_896.0


class PureDaemon:
    """Drives connections and a table; its clock goes on only when a step says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._table = LockTable(lambda format, wall: time.strftime(format, time.localtime(wall)))
        self._connections: dict[str, ServerConnection] = {}
        self._sent: dict[str, bytes] = {}
        self._closed: set[str] = set()

    def play(self, step: dict[str, Any]) -> None:
        label = step["conn"]
        if label not in self._connections:
            self._connections[label] = ServerConnection(SessionId(len(self._connections)), PEER_ID)
            self._sent[label] = b""
        match step:
            case {"send": text}:
                self._receive(label, text.replace("{PEERID}", PEER_ID).encode())
            case {"recv": text}:
                while not self._sent[label]:
                    deadline = self._table.next_deadline()
                    assert deadline is not None, "nothing comes"
                    self._wait_until(deadline)
                message, end, self._sent[label] = self._sent[label].partition(END_OF_MESSAGE)
                assert_same((message + end).decode(), text)
            case {"closed": True}:
                assert label in self._closed
                assert not self._sent[label]
            case {"close": True}:
                self._drop(label)
            case {"silent_ms": milliseconds}:
                self._wait_until(self.now + milliseconds / 1000)
                assert not self._sent[label]
                assert label not in self._closed
            case _:
                raise AssertionError("no such step")

    def _instant(self) -> Instant:
        return Instant(self.now, START + self.now)

    def _wait_until(self, when: float) -> None:
        while (deadline := self._table.next_deadline()) is not None and deadline <= when:
            self.now = max(self.now, deadline)
            self._tell(self._table.expire(self._instant()))
        self.now = max(self.now, when)

    def _receive(self, label: str, data: bytes) -> None:
        connection = self._connections[label]
        try:
            for order in connection.receive(data):
                match order:
                    case LockRequest():
                        self._tell(self._table.request(order, self._instant()))
                    case Release():
                        session = SessionId(list(self._connections).index(label))
                        effects = self._table.release(session, order.name, self._instant(), rollback=order.rollback)
                        self._tell(effects)
                    case InvalidLock():
                        self._answer(label, Outcome.INVALID_NAME)
                    case Shutdown():
                        self._closed |= set(self._connections)
        except RemoteProtocolError:
            self._drop(label)

    def _tell(self, effects: list[Effect]) -> None:
        for effect in effects:
            label = list(self._connections)[effect.request.session]
            match effect:
                case Granted():
                    self._answer(label, Outcome.GRANTED, effect.element, delayed=effect.delayed)
                case Queued():
                    self._answer(label, Outcome.QUEUED, delayed=effect.delayed)
                case Incubated():
                    self._answer(label, Outcome.AWAITING_CREATION)
                case Refused():
                    self._answer(label, effect.outcome, delayed=effect.delayed)

    def _answer(self, label: str, outcome: Outcome, element: str | None = None, *, delayed: bool = False) -> None:
        connection = self._connections[label]
        data = connection.answer(outcome, element, delayed=delayed)
        if data is not None:
            self._sent[label] += data
        if data is None or connection.is_over:
            self._drop(label)

    def _drop(self, label: str) -> None:
        if label not in self._closed:
            self._closed.add(label)
            self._connections[label].end()
            self._tell(self._table.drop(SessionId(list(self._connections).index(label)), self._instant()))


SERVICE = {"manage-quiesce"}
"""Recordings of what is decided elsewhere: when a daemon that is to end is needed no longer."""


@pytest.mark.parametrize("name", [name for name in names("unix") if name not in SERVICE])
def test_a_recording_goes_the_same_way(name: str) -> None:
    daemon = PureDaemon()
    for number, step in enumerate(expected(name)["steps"]):
        try:
            daemon.play(step)
        except AssertionError as e:
            raise AssertionError(f"step {number} {step}: {e}") from e
