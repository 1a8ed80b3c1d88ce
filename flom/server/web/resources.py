"""The pages by path, all of them read-only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Final, TypeVar

from prometheus_client.core import Metric
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from flom.core.locks.statistics import MEMORY
from flom.core.protocol.messages import Role
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.readiness import readiness_of
from flom.server.snapshot import take_in_turns, write_in_turns, write_status
from flom.server.web.cache import Cache
from flom.server.web.metrics import choose_text, take_metrics
from flom.status.json import json_pieces
from flom.text import one_line

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

_METHODS: Final = (b"GET", b"HEAD")

_PAGE: Final = "page.html"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Content types of the files in C{static/}, by their suffixes."""

_T = TypeVar("_T")
_Make = Callable[[], Deferred[bytes]]


def make_root(clock: IReactorTime, arbiter: DeferredArbiter, counters: Counters) -> Resource:
    """Return the root of all paths; a status is written in turns of C{clock}."""

    def cached(make: Callable[[], Deferred[_T]]) -> Callable[[], Deferred[_T]]:
        return Cache(lambda: arbiter.now().monotonic, make).get

    root = _Readable()
    for file in files(__package__).joinpath("static").iterdir():
        path = "" if file.name == _PAGE else file.name
        # read now: the daemon may soon live in another directory, as another user
        body = _Body(_TYPES[PurePath(file.name).suffix], partial(succeed, file.read_bytes()))
        root.putChild(path.encode(), body)
    root.putChild(b"page.json", _Body(JSON, cached(lambda: _write_page(arbiter, counters, clock))))
    root.putChild(b"status.json", _Body(JSON, cached(lambda: write_status(arbiter, counters, clock))))
    root.putChild(b"metrics", _Metrics(cached(lambda: take_metrics(arbiter, counters, clock))))
    root.putChild(b"healthz", _Health(arbiter, counters))
    root.putChild(b"livez", _Alive())
    root.putChild(b"readyz", _Ready(arbiter, counters))
    return root


class Line(Resource):
    """One short line, for every method and all paths below: an error, most often."""

    isLeaf = True

    def __init__(self, code: HTTPStatus, text: str) -> None:
        super().__init__()
        self._code = code
        self._text = text

    def render(self, request: Request) -> bytes:
        return _respond(request, self._code, TEXT, f"{self._text}\n".encode())


class _Readable(Resource):
    """A path that can be read, and has nothing below it but its children."""

    def getChild(self, path: bytes, request: Request) -> Resource:
        return Line(HTTPStatus.NOT_FOUND, "not found")

    def render(self, request: Request) -> bytes | int:
        # Twisted's would log each HEAD, and answer other methods with a page
        if request.method not in _METHODS:
            request.setHeader(b"Allow", b", ".join(_METHODS))
            return Line(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed").render(request)
        return self.read(request)

    def read(self, request: Request) -> bytes | int:
        return Line(HTTPStatus.NOT_FOUND, "not found").render(request)


class _Made(_Readable):
    """A path whose body is made when it is asked for."""

    def answer(self, request: Request, content_type: str, make: _Make) -> int:
        """Answer C{request} by what C{make} makes."""

        def send(body: bytes) -> None:
            request.write(_respond(request, HTTPStatus.OK, content_type, body))
            request.finish()

        def fail(failure: Failure) -> None:
            if not failure.check(CancelledError):
                request.processingFailed(failure)

        made = maybeDeferred(make)
        request.notifyFinish().addErrback(lambda _: made.cancel())  # the client has gone
        made.addCallback(send).addErrback(fail)
        return NOT_DONE_YET


class _Body(_Made):
    """A body of one type."""

    def __init__(self, content_type: str, make: _Make) -> None:
        super().__init__()
        self._content_type = content_type
        self._make = make

    def read(self, request: Request) -> int:
        return self.answer(request, self._content_type, self._make)


class _Metrics(_Made):
    """Metrics, in the format that the scraper wants."""

    def __init__(self, take: Callable[[], Deferred[list[Metric]]]) -> None:
        super().__init__()
        self._take = take

    def read(self, request: Request) -> int:
        encode, content_type = choose_text(request.getHeader(b"accept") or b"")
        request.setHeader("Vary", "Accept")
        return self.answer(request, content_type, lambda: self._take().addCallback(encode))


class _Alive(_Readable):
    """The loop turns, or else there would be no answer: a daemon that gives none is to be ended and started again."""

    def read(self, request: Request) -> bytes:
        return Line(HTTPStatus.OK, "ok").render(request)


class _Ready(_Readable):
    """Whether the daemon does its part, which is what an orchestrator asks: see L{Readiness}."""

    def __init__(self, arbiter: DeferredArbiter, counters: Counters) -> None:
        super().__init__()
        self._arbiter = arbiter
        self._counters = counters

    def read(self, request: Request) -> bytes:
        readiness = readiness_of(self._arbiter, self._counters)
        code = HTTPStatus.OK if readiness.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Line(code, one_line(readiness.text)).render(request)


class _Health(_Readable):
    """Whether locks are granted here, or will be soon, which is what a load balancer asks that wants the leader."""

    def __init__(self, arbiter: DeferredArbiter, counters: Counters) -> None:
        super().__init__()
        self._arbiter = arbiter
        self._counters = counters

    def read(self, request: Request) -> bytes:
        word = ""
        quorum = self._counters.quorum()
        if self._arbiter.is_closed:
            word = "closed"
        elif self._arbiter.is_draining:
            word = "draining"
        elif quorum is not None and quorum.problem:
            word = f"no quorum: {quorum.problem}"
        elif (self._counters.group or quorum) and self._counters.role != Role.LEADER.value:
            word = self._counters.role or Role.CANDIDATE.value
        return Line(HTTPStatus.SERVICE_UNAVAILABLE if word else HTTPStatus.OK, word or "ok").render(request)


def _respond(request: Request, code: HTTPStatus, content_type: str, body: bytes) -> bytes:
    """Set what stands in front of C{body}, and return what is to be sent of it."""
    request.setResponseCode(code, code.phrase.encode())
    request.setHeader("Content-Type", content_type)
    request.setHeader("Content-Length", str(len(body)))
    return b"" if request.method == b"HEAD" else body


def _write_page(arbiter: DeferredArbiter, counters: Counters, clock: IReactorTime) -> Deferred[bytes]:
    """
    Return what the page shows: the status, who blocks whom, and the last five minutes.

    "blocking" has, by a resource's number, what L{flom.status.model.ResourceStatus.blocking} returns; "granted" and
    "waited" have a number for each second, the earliest first and without the present one.
    """

    def pieces() -> Iterator[str]:
        for status in take_in_turns(arbiter, counters):
            if status is None:
                yield ""
                continue
            yield '{"status":'
            yield from json_pieces(status)
            yield ',"blocking":{'
            comma = ""
            for resource in status.resources:
                if resource.waiters:
                    yield f'{comma}"{resource.number}":{_dumps(resource.blocking())}'
                    comma = ","
            yield "}," + _dumps(_past(arbiter))[1:]

    return write_in_turns(clock, pieces())


def _past(arbiter: DeferredArbiter) -> dict[str, list[Any]]:
    granted, waited = [0] * (MEMORY - 1), [0.0] * (MEMORY - 1)
    for second in arbiter.statistics.recent(arbiter.now().monotonic):
        if 1 <= second.ago < MEMORY:
            granted[-second.ago] = second.granted
            waited[-second.ago] = round(second.waited, 6)
    return {"granted": granted, "waited": waited}


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
