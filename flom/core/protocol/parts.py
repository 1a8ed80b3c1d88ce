"""
Several locks in one request (docs/reference/protocol.md, "Several locks"): a L{Lock} whose wishes have parts travels as
one L{More} for each part, or two where one has no room for all of it.
"""

from __future__ import annotations

from flom.core.protocol.messages import MOST_PARTS, Lock, More, Wishes
from flom.core.value import Value
from flom.errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from flom.core.protocol.events import Granted

_PLAIN: Final = Lock("")
_FORMER: Final = ("session", "element", "token", "proof", "holder", "waited")
"""What a L{More} without a lock adds to the part before."""

_NO_FORMER: Final = {field: getattr(_PLAIN, field) for field in _FORMER}


def together(locks: Sequence[Lock]) -> Lock:
    """
    Return the request for all of C{locks}, one or more, at once; what is asked of all of them, such as to wait, is what
    the first one says.
    """
    first = locks[0]
    if len(locks) == 1:
        return first
    hints = first.wishes or Wishes()
    return first.replace(wishes=hints.replace(parts=tuple(lock.replace(wishes=None) for lock in locks)))


def again(message: Lock, granted: Granted) -> Lock:
    """Return C{message} as what reclaims what was C{granted}, with the element, token and proof of each lock."""
    if not granted.parts:
        said = {"element": granted.element, "token": granted.token or 0, "proof": granted.proof}
        return message.replace(wait=False, create=True, regains=True, **said)
    assert message.wishes is not None
    parts = tuple(again(lock, part) for lock, part in zip(message.parts, granted.parts))  # noqa: B905 (as many)
    return message.replace(wait=False, create=True, regains=True, wishes=message.wishes.replace(parts=parts))


class HeldPart(Value):
    """
    One of several locks that are held together.

    @ivar resource: the name of what is locked.
    @ivar element: which one was granted, for sets, sequences and timestamps.
    @ivar token: the fencing token (docs/explanation/tokens.md); each lock has one of its own.
    """

    resource: str
    element: str | None
    token: int | None


def parts_held(message: Lock, granted: Granted) -> tuple[HeldPart, ...]:
    """Return what was C{granted} as C{message} has asked for it."""
    both = zip(message.parts, granted.parts or (granted,))  # noqa: B905 (there are as many)
    return tuple(HeldPart(lock.name, got.element, got.token) for lock, got in both)


def show_locks(message: Lock, elements: Sequence[str | None], state: str) -> str:
    """Return how C{repr} shows several locks, such as C{<locks 'a' EX, 'b[2]' 1 units, held>}."""
    both = zip(message.parts, elements)  # noqa: B905 (there are as many)
    from flom.core.requests import show_lock  # which needs the messages

    shown = [show_lock(lock, element, "").removeprefix("<lock ").removesuffix(", >") for lock, element in both]
    return f"<locks {', '.join(shown)}, {state}>"


def spell_parts(message: Lock) -> tuple[More, ...]:
    """Return the messages that say the parts of C{message}, and what holds for all of them, in their order."""
    assert message.wishes is not None
    common = {"wait": message.wait, "regains": message.regains, "more": True}
    for_all = {"session": message.session, "holder": message.holder, "waited": message.waited}
    wishes = message.wishes.replace(parts=())
    spelled: list[More] = []
    for number, part in enumerate(message.wishes.parts, start=1):
        lock = part.replace(peer_id=None, extended=0, user="", command="", **common)
        if number == len(message.wishes.parts):
            lock = lock.replace(more=False, wishes=wishes if wishes != Wishes() else None, **for_all)
        spelled += _spell(lock)
    return tuple(spelled)


def _spell(lock: Lock) -> tuple[More, ...]:
    """Return what says C{lock}: one message, or two, if one has no room for all of it."""
    from flom.core.protocol.encode import is_too_long

    if not is_too_long(More(lock=lock)):
        return (More(lock=lock),)
    former = {field: getattr(lock, field) for field in _FORMER}
    if former == _NO_FORMER:
        return (More(lock=lock),)  # hints are left out where there is no room
    return More(lock=lock.replace(more=True, **_NO_FORMER)), More(more=lock.more, **former)


class Parts:
    """The parts of one request, as they arrive."""

    def __init__(self) -> None:
        self._locks: list[Lock] = []
        self._is_whole = False  # whether all has come that one message had no room for

    def add(self, more: More) -> bool:
        """
        Add what C{more} says; return whether that was all.

        @raise RemoteProtocolError: it adds to nothing, there are too many, or it says of all parts what another one did
            not.
        """
        if more.lock is None:
            if not self._locks or self._is_whole:
                raise RemoteProtocolError("what follows is no part of a request")
            former = {field: getattr(more, field) for field in _FORMER}
            self._locks[-1] = self._locks[-1].replace(**former)
            self._is_whole = True
            return not more.more
        if len(self._locks) == MOST_PARTS:
            raise RemoteProtocolError(f"more than {MOST_PARTS} locks at once")
        self._locks.append(more.lock)
        self._is_whole = False
        return not more.lock.more

    def take(self) -> list[Lock]:
        """
        Return the parts, when all have come; each has what holds for all of them.

        @raise RemoteProtocolError: they are not asked for in the same way.
        """
        last = self._locks[-1]
        if any((lock.wait, lock.regains) != (last.wait, last.regains) for lock in self._locks):
            raise RemoteProtocolError("parts of a request of which some wait, or reclaim, and some do not")
        for_all = {field: getattr(last, field) for field in ("session", "holder", "waited", "wishes")}
        return [lock.replace(more=False, **for_all) for lock in self._locks]
