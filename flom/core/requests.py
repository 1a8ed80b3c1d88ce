"""
What is asked of the lock table and what follows from it, as values.

Nobody changes them once they are made. They are not frozen, because to make a frozen one takes longer than to decide
what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, NewType

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.names import ResourceName
from flom.errors import InvalidRequest

SessionId = NewType("SessionId", int)
"""One client as the table knows it: over the wire, one connection."""


class Instant(NamedTuple):
    """
    A moment, as two clocks tell it.

    @ivar monotonic: seconds that never go back; idle resources are timed by them.
    @ivar wall: seconds since the epoch; timestamp resources hand these out.
    """

    monotonic: float
    wall: float


def check_quantity(quantity: int) -> int:
    """
    Give C{quantity} back.

    @raise InvalidRequest: it is not from 0 to 2**31 - 1; FLoM takes such, and gets its sums wrong
        (docs/compatibility.md, "A negative quantity adds units").
    """
    if not isinstance(quantity, int) or not 0 <= quantity < 2**31:
        raise InvalidRequest(f"quantity {quantity!r} is not a whole number from 0 to 2147483647")
    return quantity


@dataclass(slots=True, eq=False)
class LockRequest:
    """
    Somebody wants to hold something; no two requests are equal, whatever they ask for.

    @ivar quantity: units of a numeric resource, 0 or more; the other types ignore it.
    @ivar wait: queue if it cannot be granted now.
    @ivar create: make the resource if there is none.
    @ivar lifespan: seconds that an idle resource is to be remembered if this request creates it
        (docs/compatibility.md, "Idle resources").
    @ivar regains: whether the session held it when another daemon went, whose place this one has taken.
    """

    session: SessionId
    name: ResourceName
    mode: LockMode = LockMode.EX
    quantity: int = 1
    wait: bool = True
    create: bool = True
    lifespan: float = 0.0
    regains: bool = False


@dataclass(slots=True)
class Granted:
    """
    The session holds what it asked for.

    @ivar token: the fencing token: it grows with every grant of this table, so that a protected store can refuse a
        late writer. A new daemon starts again at 1.
    @ivar element: which one, for sets, sequences and timestamps.
    @ivar delayed: whether the session was told to wait before.
    @ivar waited: seconds since it had asked.
    """

    request: LockRequest
    token: int
    element: str | None = None
    delayed: bool = False
    waited: float = field(default=0.0, compare=False)


@dataclass(slots=True)
class Queued:
    """
    The session waits for others to release.

    @ivar delayed: whether it was told before to wait for something else: that the resource is created.
    """

    request: LockRequest
    delayed: bool = False


@dataclass(slots=True)
class Incubated:
    """The session waits for somebody to create the resource (docs/compatibility.md, "Requests that do not create")."""

    request: LockRequest


class Limit(Enum):
    """What a table can have too many of; the value says so in a log."""

    WAITERS = "max-waiters"
    RESOURCES = "max-resources"
    LOCKS = "max-locks-per-connection"


@dataclass(slots=True)
class Refused:
    """
    The answer is no and nothing is left of the request.

    @ivar delayed: whether the session was told to wait before.
    @ivar limit: which limit of the table would be exceeded, if that is why.
    """

    request: LockRequest
    outcome: Outcome
    delayed: bool = False
    limit: Limit | None = None


@dataclass(slots=True)
class Ended:
    """
    The session holds it no longer.

    @ivar held: seconds since it was granted.
    """

    request: LockRequest
    held: float = field(compare=False)


Effect = Granted | Queued | Incubated | Refused | Ended


@dataclass(slots=True)
class Dismissed:
    """The session has ended, because this daemon grants nothing more and the session holds nothing."""
