"""
What follows from a call of the lock table, as values, and the moment at which it is called.

They are never changed once they are made. They are not frozen, because to make a frozen one takes longer than to decide
what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.protocol.messages import WhyWithdrawn
from flom.core.requests import LockRequest


class Instant(NamedTuple):
    """
    A moment, as two clocks tell it.

    @ivar monotonic: seconds that never go back; idle resources are timed by them.
    @ivar wall: seconds since the epoch; the elements of timestamp resources are made of these.
    """

    monotonic: float
    wall: float


@dataclass(slots=True)
class Granted:
    """
    The session holds what it asked for.

    @ivar token: the fencing token (L{flom.core.tokens}): it grows with every grant of this table; a lock that is
        reclaimed keeps the one it had.
    @ivar element: which one, for sets, sequences and timestamps.
    @ivar delayed: true if the request was queued or incubated before.
    @ivar waited: seconds since it had asked.
    @ivar left: seconds after which it is taken away; 0 if it is not.
    """

    request: LockRequest
    token: int
    element: str | None = None
    delayed: bool = False
    waited: float = field(default=0.0, compare=False)
    left: float = 0.0


@dataclass(slots=True)
class Queued:
    """
    The session waits for others to release.

    @ivar delayed: true if the request was incubated before.
    @ivar ahead: how many wait for the resource since before.
    """

    request: LockRequest
    delayed: bool = False
    ahead: int = field(default=0, compare=False)


@dataclass(slots=True)
class Incubated:
    """The session waits for the resource to be created (docs/compatibility.md, "Requests that do not create")."""

    request: LockRequest


class Limit(Enum):
    """What a table can have too many of; the value is the name of the option."""

    WAITERS = "max-waiters"
    RESOURCES = "max-resources"
    LOCKS = "max-locks-per-connection"


class Step(NamedTuple):
    """
    One wait of a circle (L{flom.core.locks.circles}).

    @ivar wait: what waits.
    @ivar holder: the request of a session that holds what is in its way.
    @ivar held: what that session holds: mode and quantity are not those of C{holder} if it shares what was granted for
        another request.
    """

    wait: LockRequest
    holder: LockRequest
    held: LockRequest


@dataclass(slots=True)
class Refused:
    """
    The answer is no and nothing is left of the request.

    @ivar delayed: true if the request was queued or incubated before.
    @ivar limit: the L{Limit} of the table that would be exceeded, if that is why.
    @ivar why: what C{outcome} does not say, for people to read; the empty string if it says all.
    @ivar circle: the circle that the wait would have closed, if that is why; its first step is that of the request.
    """

    request: LockRequest
    outcome: Outcome
    delayed: bool = False
    limit: Limit | None = None
    why: str = ""
    circle: tuple[Step, ...] = field(default=(), compare=False)


@dataclass(slots=True)
class Ended:
    """The session holds it no longer, after C{held} seconds."""

    request: LockRequest
    held: float = field(compare=False)


@dataclass(slots=True)
class Withdrawn:
    """The session waits no longer, which it did for C{waited} seconds; no session is told."""

    request: LockRequest
    reason: WhyWithdrawn
    waited: float = field(compare=False)


@dataclass(slots=True)
class Converted:
    """
    What the session holds has changed its mode, to that of C{request}, which takes the place of the former one.

    @ivar token: see L{Granted}; it is a new one if the mode excludes more than the former one did.
    @ivar number: the client's for the conversion.
    @ivar delayed: true if it has waited.
    @ivar excludes_more: whether the mode excludes more than the former one did.
    @ivar waited: seconds since it was asked for.
    """

    request: LockRequest
    token: int
    number: int = 0
    delayed: bool = False
    excludes_more: bool = False
    waited: float = field(default=0.0, compare=False)
    element = None  # no type that has elements has modes


@dataclass(slots=True)
class Converting:
    """The conversion of C{request}, which is held, to C{mode} waits; see L{Converted}."""

    request: LockRequest
    mode: LockMode
    number: int = 0


@dataclass(slots=True)
class NotConverted:
    """
    The conversion of C{request} to C{mode} is refused: it is held as it was; see L{Converted}, and L{Refused} for
    C{why} and C{circle}.
    """

    request: LockRequest
    mode: LockMode
    outcome: Outcome
    number: int = 0
    delayed: bool = False
    why: str = ""
    circle: tuple[Step, ...] = field(default=(), compare=False)


@dataclass(slots=True)
class Wanted:
    """The session stands in the way of a request that waits; it wished to know."""

    request: LockRequest


@dataclass(slots=True)
class Overdue:
    """The session has held it for longer than C{limit} seconds, and has lost it with all else that it held."""

    request: LockRequest
    limit: float


Effect = (
    Granted
    | Queued
    | Incubated
    | Refused
    | Ended
    | Withdrawn
    | Converted
    | Converting
    | NotConverted
    | Wanted
    | Overdue
)


@dataclass(slots=True)
class Contested:
    """Another daemon has granted to others what the session holds, and holds still."""


@dataclass(slots=True)
class Dismissed:
    """The daemon has ended the session, which holds nothing, because it grants nothing more."""


@dataclass(slots=True)
class Revoked:
    """
    The session has ended, whatever it holds: an administrator, C{by} name, has ordered so, or it has held something for
    too long.

    @ivar limit: seconds for which it might be held, if that is why; 0 otherwise.
    """

    by: str
    limit: float = 0.0


Delivered = Effect | Dismissed | Contested | Revoked
"""What a session is told."""
