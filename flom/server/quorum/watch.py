"""
What becomes of one key, told by etcd as it happens.

A watch that is silent proves nothing: a member in a minority may not say that it knows no more, and one that was
cancelled stays open. So the key has to be read every few seconds besides.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.server.quorum.connections import OneConnection
from flom.server.quorum.gateway import Gateway, post, why_broken
from flom.server.quorum.wire import Json, KeyValue, error_of, key64, key_value
from flom.text import one_line, truncate

MAX_LINE: Final = 2**22
"""Bytes of the longest line that is read: events with values of 1.5 MB, in base64."""


class Watch(Protocol):
    """
    One watch of one key, of one member; it ends when anything about it is wrong, and is not begun anew.

    @ivar is_open: true once the member has said that it watches, until it ends.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        gateway: Gateway,
        key: str,
        revision: int,
        on_change: Callable[[KeyValue], None],
        on_end: Callable[[str], None],
    ) -> None:
        """
        @param revision: the first one of interest: one after that in which the key was read.
        @param on_change: called with each new state of the key.
        @param on_end: called once, with the reason, unless L{close} was called.
        """
        self.is_open = False
        self._reactor = reactor
        self._gateway = gateway
        self._key = key
        self._revision = revision
        self._on_change = on_change
        self._on_end = on_end
        self._connection = OneConnection(reactor, gateway.tls)
        self._buffer = bytearray()
        self._endpoint = gateway.endpoint
        self._is_over = False
        self._silent: IDelayedCall | None = None
        self._beginning: Deferred[None] | None = None

    def begin(self) -> None:
        """Begin to watch."""
        self._silent = self._reactor.callLater(self._gateway.limit, self._give_up)
        self._beginning = Deferred.fromCoroutine(self._begin())
        self._beginning.addErrback(self._note_failure)

    def close(self) -> None:
        """End the watch, by closing its connection."""
        if self._is_over:
            return
        self._is_over = True
        self.is_open = False
        if self._silent is not None and self._silent.active():
            self._silent.cancel()
        if self._beginning is not None:
            self._beginning.cancel()
        self._connection.abort()

    async def _begin(self) -> None:
        headers = await self._gateway.headers(self._endpoint)
        wanted = {"create_request": {"key": key64(self._key), "start_revision": str(self._revision)}}
        client = HTTPClient(self._connection.agent)
        response = await post(client, f"{self._endpoint}/v3/watch", wanted, headers)
        if response.code != 200:
            self._gateway.forget_token(self._endpoint)
            self._end(f"HTTP status {response.code}")
            return
        response.deliverBody(self)

    def _note_failure(self, failure: Failure) -> None:
        if not failure.check(CancelledError) and not self._is_over:
            self._end(why_broken(failure.value))

    def _give_up(self) -> None:
        self._end(f"no answer within {self._gateway.limit:g} s")

    def _end(self, why: str) -> None:
        if self._is_over:
            return
        self.close()
        self._gateway.go_on(self._endpoint)
        self._on_end(truncate(one_line(f"{self._endpoint}: {why}")))

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            if line.strip() and not self._is_over:
                self._read(line)
        if len(self._buffer) > MAX_LINE:
            self._end(f"a line of more than {MAX_LINE} bytes")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        rest = bytes(self._buffer).strip()
        if rest and not self._is_over:
            self._read(rest)  # an error may be the last line, without an end
        self._end("the watch has ended")

    def _read(self, line: bytes) -> None:
        try:
            answer = json.loads(line)
            error = error_of(200, answer, self._endpoint)
            result: Json = {} if error is not None else answer["result"]
            events = [key_value(event["kv"]) for event in result.get("events", ())]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            self._end("its line makes no sense")
            return
        if error is not None:
            self._end(str(error).partition(": ")[2])
            return
        if result.get("canceled", False):  # though it may say in the same line that it was created
            self._gateway.forget_token(self._endpoint)  # which may be all that is wrong, whatever it says
            compacted = result.get("compact_revision")
            why = f"compacted up to revision {compacted}" if compacted else result.get("cancel_reason")
            self._end(f"the watch was cancelled: {why or 'no reason'}")
            return
        if result.get("created", False) and self._silent is not None:
            self.is_open = True
            if self._silent.active():
                self._silent.cancel()
        for event in events:
            if not self._is_over:
                self._on_change(event)
