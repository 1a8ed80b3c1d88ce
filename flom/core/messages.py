"""The messages of protocol level 3, one frozen value a message (spec 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flom.core.modes import LockMode


@dataclass(frozen=True, slots=True)
class Lock:
    """
    A client asks for a resource.

    @ivar name: as it came; it may name nothing.
    @ivar quantity: 0 to 2**31 - 1.
    @ivar lifespan: seconds.
    @ivar peer_id: the sender's unique id (spec 9.3), if it gave one.
    """

    verb: ClassVar = 1
    step: ClassVar = 8

    name: str
    mode: LockMode = LockMode.NL
    quantity: int = 0
    wait: bool = False
    create: bool = False
    lifespan: float = 0.0
    peer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The daemon says what became of a lock request.

    @ivar step: 16 for the first answer, 24 for later ones; 32 refuses somebody who waits (spec 5.5).
    @ivar code: the number of an L{flom.errors.Outcome}; C{None} if there was none in the message.
    @ivar element: what was granted, for sets, sequences and timestamps.
    @ivar peer_id: the daemon's unique id; in step 16 only.
    """

    verb: ClassVar = 1

    step: int
    code: int | None
    element: str | None = None
    peer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unlock:
    """A client gives back one holding, or gives up waiting; it is never answered."""

    verb: ClassVar = 2
    step: ClassVar = 8

    name: str
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class Ping:
    """Reserved by FLoM; nobody sends it."""

    verb: ClassVar = 3

    step: int


@dataclass(frozen=True, slots=True)
class Discover:
    """Somebody looks for a daemon; it travels in a datagram."""

    verb: ClassVar = 4
    step: ClassVar = 8


@dataclass(frozen=True, slots=True)
class Discovered:
    """
    A daemon says where it is.

    @ivar address: a host; empty for the one that the datagram came from.
    """

    verb: ClassVar = 4
    step: ClassVar = 16

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Somebody wants the daemon to end; it is never answered."""

    verb: ClassVar = 5
    step: ClassVar = 8

    immediate: bool
    peer_id: str | None = None


Message = Lock | Answer | Unlock | Ping | Discover | Discovered | Shutdown


def kind(message: Message) -> str:
    """Tell in a word what C{message} is, for errors."""
    return type(message).__name__.lower()
