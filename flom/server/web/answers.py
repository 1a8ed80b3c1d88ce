"""What there is to see, by path; nothing here changes anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred, succeed

from flom.core.locks.statistics import MEMORY
from flom.core.modes import LockMode, compatible
from flom.core.protocol.messages import Role
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.web.metrics import CONTENT_TYPE
from flom.server.web.snapshots import Snapshots

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

_ASSETS: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Answer(NamedTuple):
    """
    An answer to one request.

    @ivar content_type: of the body.
    """

    code: HTTPStatus
    content_type: str
    body: bytes


def in_words(code: HTTPStatus, text: str) -> Answer:
    """Make an answer of one short line."""
    return Answer(code, TEXT, text.encode() + b"\n")


class Answers:
    """Makes them."""

    def __init__(self, arbiter: DeferredArbiter, counters: Counters, snapshots: Snapshots) -> None:
        self._arbiter = arbiter
        self._counters = counters
        self._snapshots = snapshots
        here = files(__package__)
        self._assets = {  # read now: the daemon may soon live in another directory, as another user
            path: Answer(HTTPStatus.OK, content_type, here.joinpath(name).read_bytes())
            for path, (name, content_type) in _ASSETS.items()
        }
        self._live: dict[str, Callable[[], Deferred[Answer]]] = {
            "/status.json": lambda: snapshots.as_json().addCallback(lambda body: Answer(HTTPStatus.OK, JSON, body)),
            "/page.json": lambda: succeed(self._for_the_page()),
            "/metrics": lambda: succeed(Answer(HTTPStatus.OK, CONTENT_TYPE, snapshots.metrics())),
            "/healthz": lambda: succeed(self._health()),
        }

    def __contains__(self, path: object) -> bool:
        """Tell whether there is something at C{path}."""
        return path in self._assets or path in self._live

    def get(self, path: str) -> Deferred[Answer]:
        """Give what is at C{path}."""
        if path in self._live:
            return self._live[path]()
        return succeed(self._assets.get(path) or in_words(HTTPStatus.NOT_FOUND, "not found"))

    def _health(self) -> Answer:
        """Tell whether locks are granted here, which is what a load balancer wants to know."""
        if self._arbiter.is_closed:
            return in_words(HTTPStatus.SERVICE_UNAVAILABLE, "closed")
        if not self._counters.group or self._counters.role == Role.LEADER.value:
            return in_words(HTTPStatus.OK, "ok")
        return in_words(HTTPStatus.SERVICE_UNAVAILABLE, self._counters.role or Role.CANDIDATE.value)

    def _for_the_page(self) -> Answer:
        """
        Tell what the page needs beside the status.

        That is which modes go together, to draw who blocks whom by the very rule of the locks, and the last minutes
        second by second, the earliest first; the present one, which is not over yet, is left out.
        """
        granted, waited = [0] * (MEMORY - 1), [0.0] * (MEMORY - 1)
        for second in self._arbiter.tally.recent(self._arbiter.now().monotonic):
            if 1 <= second.ago < MEMORY:
                granted[-second.ago] = second.granted
                waited[-second.ago] = round(second.waited, 6)
        goes_with = {held.name: [asked.name for asked in LockMode if compatible(held, asked)] for held in LockMode}
        found = {"compatible": goes_with, "granted": granted, "waited": waited}
        return Answer(HTTPStatus.OK, JSON, json.dumps(found, separators=(",", ":")).encode())
