"""Log lines about peers that break the protocol."""

from __future__ import annotations

import pytest
from twisted.logger import LogEvent, formatEvent

from flom.server.limits import Limits
from flom.server.options import ServerOptions
from tests.fakes.connections import MemoryDaemon, lock, unlock, xml
from tests.fakes.logs import warnings


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (xml(1, 8, '<resource name="UjE="/>', level=4), "FLM006W closing 127.0.0.1:40000: protocol level '4', not 3"),
        (
            lock() + unlock("R2"),
            "FLM009W closing 127.0.0.1:40000: unlock of 'R2' on a connection bound to 'R1'",
        ),
        (xml(3, 8), "closing 127.0.0.1:40000: ping before any lock"),
    ],
)
def test_a_breach_of_the_protocol_has_flom_s_id_if_there_is_one(said: bytes, line: str, log: list[LogEvent]) -> None:
    MemoryDaemon().connect().send(said)
    assert warnings(log) == [line]


def test_what_comes_after_our_last_word_is_no_breach(log: list[LogEvent]) -> None:
    last, malformed = lock(wait=0, create=0), xml(1, 8, '<resource name="UjE="/>', level=4)
    for pieces in ([last + malformed], [last, malformed]):
        client = MemoryDaemon().connect()
        for piece in pieces:
            client.send(piece)
        assert client.transport.half_closed
    assert warnings(log) == []


def test_text_of_a_client_is_truncated(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon(ServerOptions(limits=Limits(message_size=65_536)))
    for _ in range(2):
        daemon.connect().send(lock("/" + "a" * 40_000, wait=0))
    daemon.connect().send(lock("-" * 40_000))
    daemon.connect().send(xml(1, 8, '<resource name="UjE="/>', level=int("4" * 4000)))
    assert [len(formatEvent(event)) < 700 for event in log] == [True] * 3
