"""
Holds without a process: locks that end by their own time, and that a handle renews, adopts and releases
(docs/howto/holds.md). Which there are, until when each lasts, and how each is written down.

A hold ends its TTL after it was begun or renewed, or after the last command ended that had adopted it; a command that
has adopted it keeps it for as long as it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final

from flom.core.effects import Instant
from flom.core.handles import id_of, is_handle
from flom.core.modes import LockMode
from flom.core.names import ResourceName, parse_name
from flom.core.requests import MAX_LIFESPAN, check_quantity
from flom.core.tokens import MAX_TOKEN
from flom.errors import InvalidName, InvalidRequest

MOST_HOLDS: Final = 10_000
"""Holds that a daemon keeps at one time: each is a file, or a key at etcd."""

MAX_TTL: Final = 2_147_483.647
"""Seconds of the longest TTL: the longest that a message can say, some 24 days."""

ADOPTED: Final = None
"""In the place of its end: a command has adopted the hold."""


@dataclass(frozen=True, slots=True)
class Hold:
    """
    One hold.

    @ivar id: the part of its handle that is no secret, see L{flom.core.handles}.
    @ivar digest: of its handle.
    @ivar quantity: see L{flom.core.requests.LockRequest}, as for C{lifespan}, in seconds.
    @ivar element: what was granted, as for C{token}.
    @ivar ttl: seconds.
    @ivar begun: when it was granted, in seconds since the epoch.
    @ivar ends: when its time is over, in seconds of the monotonic clock; C{None} while it is adopted.
    @ivar title: the name that its user has given it; empty for none.
    @ivar user: by the account of the client that has begun it; empty if it has not told.
    @ivar host: where that was, as the daemon knows it.
    """

    id: str
    digest: str
    name: ResourceName
    mode: LockMode
    quantity: int
    lifespan: float
    element: str | None
    token: int
    ttl: float
    begun: float
    ends: float | None
    title: str = ""
    user: str = ""
    host: str = ""

    def renewed(self, now: Instant, ttl: float = 0.0) -> Hold:
        """Return this with its time begun anew, unless it is adopted; with another C{ttl}, unless that is 0."""
        ttl = ttl or self.ttl
        return replace(self, ttl=ttl, ends=ADOPTED if self.ends is ADOPTED else now.monotonic + ttl)

    def adopted(self) -> Hold:
        """Return this, with no end."""
        return replace(self, ends=ADOPTED)

    def left(self, now: Instant) -> Hold:
        """Return this as it goes on when the command that had adopted it has ended."""
        return replace(self, ends=now.monotonic + self.ttl)

    def write(self, now: Instant) -> str:
        """Return all of it as a text for L{read_hold}, with its end by the wall clock."""
        return json.dumps(
            {
                "id": self.id,
                "digest": self.digest,
                "name": self.name.text,
                "mode": self.mode.name,
                "quantity": self.quantity,
                "lifespan": self.lifespan,
                "element": self.element,
                "token": str(self.token),
                "ttl": self.ttl,
                "begun": self.begun,
                "ends": None if self.ends is None else round(now.wall + self.ends - now.monotonic, 3),
                "title": self.title,
                "user": self.user,
                "host": self.host,
            }
        )


def digest_of(handle: str) -> str:
    """Return what is kept of C{handle}: its secret cannot be found from that."""
    return sha256(handle.encode("utf-8", "surrogateescape")).hexdigest()


def read_hold(text: str, now: Instant) -> Hold | None:
    """
    Return the hold that C{text} says, as it goes on C{now}; C{None} if its time is over, by the wall clock.

    One that was adopted has its whole TTL: the command may come back. So has at most one whose end lies further ahead,
    because the clock was set back.

    @raise ValueError: no daemon of ours has written that.
    """
    try:
        found = json.loads(text)
        ttl, end = _seconds(found["ttl"]), found["ends"]
        left = ttl if end is None else min(_number(end) - now.wall, ttl)
        hold = Hold(
            _text(found["id"]),
            _text(found["digest"]),
            parse_name(_text(found["name"])),
            LockMode[found["mode"]],
            check_quantity(found["quantity"]),
            _number(found["lifespan"]),
            None if found["element"] is None else _text(found["element"]),
            int(_text(found["token"])),
            ttl,
            _number(found["begun"]),
            now.monotonic + left,
            *(_text(found[what]) for what in ("title", "user", "host")),
        )
    except (ValueError, TypeError, KeyError, InvalidName, InvalidRequest, RecursionError):
        raise ValueError("it is no hold") from None
    if not (0 < hold.token <= MAX_TOKEN and 0 <= hold.lifespan <= MAX_LIFESPAN and len(hold.digest) == 64):
        raise ValueError("it is no hold")
    return hold if left > 0 else None


class HoldTable:
    """All holds of one daemon, by their ids."""

    def __init__(self) -> None:
        self._holds: dict[str, Hold] = {}

    def __len__(self) -> int:
        return len(self._holds)

    def __iter__(self) -> Iterator[Hold]:
        return iter(list(self._holds.values()))

    def __contains__(self, id: str) -> bool:
        return id in self._holds

    def __getitem__(self, id: str) -> Hold:
        return self._holds[id]

    @property
    def is_full(self) -> bool:
        """True if there are L{MOST_HOLDS}."""
        return len(self._holds) >= MOST_HOLDS

    def put(self, hold: Hold) -> None:
        """Add C{hold}, or replace the one of the same id."""
        self._holds[hold.id] = hold

    def remove(self, id: str) -> Hold:
        """Forget the hold C{id}, and return it."""
        return self._holds.pop(id)

    def find(self, handle: str) -> Hold | None:
        """
        Return the hold of C{handle}; C{None} if there is none (any more).

        How long that takes does not tell how much of the secret is right.
        """
        hold = self._holds.get(id_of(handle)) if is_handle(handle) else None
        return hold if hold is not None and compare_digest(hold.digest, digest_of(handle)) else None

    @property
    def next_deadline(self) -> float | None:
        """The monotonic second at which the next hold ends; C{None} if none does."""
        return min((hold.ends for hold in self._holds.values() if hold.ends is not None), default=None)

    def expire(self, now: Instant) -> list[Hold]:
        """Forget the holds whose time is over, and return them, the earliest first."""
        over = [hold for hold in self._holds.values() if hold.ends is not None and hold.ends <= now.monotonic]
        for hold in over:
            del self._holds[hold.id]
        return sorted(over, key=lambda hold: hold.ends or 0.0)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or value != value:
        raise TypeError
    return float(value)


def _seconds(value: Any) -> float:
    seconds = _number(value)
    if not 0 < seconds <= MAX_TTL:
        raise ValueError
    return seconds
