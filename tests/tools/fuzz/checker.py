"""
Who holds what, as the clients were told; and whether that can be.

The rules are written down here once more, without the lock table's help: from docs/explanation/resources.md. What a
client believes to hold is never more than what it holds: its belief begins when it has read the grant, and ends before
it says that it gives it back. So two beliefs that exclude each other are a double grant, whatever travels meanwhile.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple

from flom.core.protocol.messages import Answer, Goodbye, Lock, Message, More, Unlock, Unlocked

GRANTED: Final = 0
QUEUED: Final = 1
AWAITING_CREATION: Final = 2
CANNOT_WAIT: Final = 5
MEANS_WAIT: Final = (QUEUED, AWAITING_CREATION)

_ADMITS: Final = ["012345", "01234", "012", "013", "01", "0"]
"""For each mode held, those that others may have."""


class Wrong(AssertionError):
    """The daemon did what it must not."""


class Claim(NamedTuple):
    """Something held, or waited for."""

    name: str
    mode: int
    quantity: int
    element: str | None = None

    @classmethod
    def of(cls, lock: Lock, element: str | None = None) -> Claim:
        return cls(lock.name, int(lock.mode), lock.quantity, element)


def key_of(name: str) -> str:
    """Return the resource that C{name} is about: a hierarchy is one."""
    return "/" + name.split("/")[1] if name.startswith("/") else name


def is_set(name: str) -> bool:
    return "." in name and not name.startswith(("/", "_"))


def why_not(wanted: Claim, held: Iterable[Claim]) -> str | None:
    """Return why C{wanted} cannot be held beside what is C{held} of its resource; C{None} if it can."""
    held = list(held)
    if wanted.name.startswith("/"):
        held = [other for other in held if _is_above(other.name, wanted.name) or _is_above(wanted.name, other.name)]
    elif wanted.name.endswith("]"):
        total = int(wanted.name[wanted.name.index("[") + 1 : -1])
        if wanted.name.startswith("_"):
            return _why_no_slot(wanted, held, total)
        taken = sum(other.quantity for other in held)
        return f"{taken} of {total} units are taken" if taken + wanted.quantity > total else None
    elif is_set(wanted.name):
        return _why_no_slot(wanted, held, len(wanted.name.split(".")))
    excluding = [other for other in held if str(wanted.mode) not in _ADMITS[other.mode]]
    return f"held: {excluding[0]}" if excluding else None


def _is_above(name: str, other: str) -> bool:
    return other == name or other.startswith(name + "/")


def _why_no_slot(wanted: Claim, held: list[Claim], slots: int) -> str | None:
    if len(held) >= slots:
        return f"all {slots} are taken"
    if wanted.element is not None and wanted.element in [other.element for other in held]:
        return f"{wanted.element!r} is taken"
    return None


class Checker:
    """
    Watches the clients of one daemon.

    @ivar grants: how many were told so far.
    """

    def __init__(self) -> None:
        self.grants = 0
        self.witnesses: set[Witness] = set()
        self._by_key: dict[str, set[Witness]] = defaultdict(set)

    def join(self, witness: Witness, key: str) -> None:
        self._by_key[key].add(witness)

    def part(self, witness: Witness) -> None:
        self.witnesses.discard(witness)
        for key in list(self._by_key):
            self._by_key[key].discard(witness)
            if not self._by_key[key]:
                del self._by_key[key]

    def is_vague(self, key: str) -> bool:
        """Return whether a client's answers do not show what it holds of this resource."""
        return any(witness.is_vague for witness in self._by_key.get(key, ()))

    def held(self, key: str) -> Counter[Claim]:
        """Count what is held."""
        return Counter(claim for witness in self._by_key.get(key, ()) for claim in witness.held)

    def waited_for(self, key: str) -> Counter[Claim]:
        """Count what is waited for, be it that the resource exists or not."""
        return Counter(Claim.of(lock) for witness in self._by_key.get(key, ()) for lock in witness.waiting)

    def keys(self) -> set[str]:
        return set(self._by_key)

    def check_nobody_is_forgotten(self) -> None:
        """
        See that no waiter could be granted what it waits for.

        @raise Wrong: one could.
        """
        for key, witnesses in self._by_key.items():
            if key.startswith("_t") or self.is_vague(key):
                continue  # who waits for a time may wait for that
            held = self.held(key)
            for lock in chain.from_iterable(witness.waiting for witness in witnesses):
                if any(lock in witness.incubated for witness in witnesses):
                    if held:
                        raise Wrong(f"{lock} waits for what exists")
                elif why_not(Claim.of(lock), held.elements()) is None:
                    raise Wrong(f"nothing stops {lock}, and it waits")


@dataclass(eq=False)
class Witness:
    """
    One client: what it has said and was told, in order.

    @ivar held: oldest first.
    @ivar asked: what was not answered yet.
    @ivar is_vague: whether it waited for different things at once, so that an answer did not tell which was granted.
    @ivar extended: whether it may go on when it was told that it cannot wait.
    @ivar begun: what was asked for, of which the rest is to follow, as the daemon has said.
    @ivar is_late: whether the first answer is one to that rest.
    """

    checker: Checker
    held: list[Claim] = field(default_factory=list)
    asked: list[Lock] = field(default_factory=list)
    waiting: list[Lock] = field(default_factory=list)
    incubated: list[Lock] = field(default_factory=list)
    is_vague: bool = False
    extended: bool = False
    begun: Lock | None = None
    is_late: bool = False

    def __post_init__(self) -> None:
        self.checker.witnesses.add(self)

    def says(self, message: Message) -> None:
        """Note that C{message} is about to leave."""
        match message:
            case Lock():
                self.extended = self.extended or message.extended > 0
                self.asked.append(message)
                self.checker.join(self, key_of(message.name))
            case More() if self.begun is not None:
                self.asked.append(self.begun.replace(more=False))
                self.begun, self.is_late = None, True
            case Unlock(name=name) | Goodbye(name=name):
                self._give_back(name)

    def _give_back(self, name: str) -> None:
        if mine := [claim for claim in self.held if claim.name == name]:
            given = min(mine, key=lambda claim: name.index(claim.element or "")) if is_set(name) else mine[-1]
            self.held.reverse()  # the most recent of equal ones
            self.held.remove(given)
            self.held.reverse()
        elif waiting := [lock for lock in self.waiting if lock.name == name]:
            is_breach = name.startswith(("_s", "_S")) and not (self.incubated or self.extended)
            if not is_breach:
                self._stop_waiting(waiting[-1])

    def goes_astray(self, keys: Iterable[str]) -> None:
        """Note that it is about to send what might do anything, at the resources of C{keys}."""
        self.is_vague = True
        self.held.clear()
        for key in keys:
            self.checker.join(self, key)

    def hears(self, message: Message) -> None:
        """
        Check an answer of the daemon.

        @raise Wrong: it must not say so.
        """
        if isinstance(message, Unlocked) or self.is_vague:
            return
        if not isinstance(message, Answer):
            raise Wrong(f"an answer without a question: {message}")
        is_first = message.step == 16 or self.is_late
        if is_first:
            if not self.asked:
                raise Wrong(f"nothing was asked, and answered: {message}")
            lock = self.asked.pop(0)
            self.is_late = False
            if lock.more and message.extended and message.code == QUEUED:
                self.begun = lock
                return
        else:
            lock = self._answered(message)
            if self.is_vague:
                self.held.clear()
                return
        if message.code in MEANS_WAIT:
            if is_first:
                self.waiting.append(lock)
            self.incubated = [other for other in self.incubated if other is not lock]
            if message.code == AWAITING_CREATION:
                self.incubated.append(lock)
            return
        if not is_first:
            self._stop_waiting(lock)
        if message.code == GRANTED:
            self._take(Claim.of(lock, message.element))
        elif message.code == CANNOT_WAIT and not self.extended:
            self.leaves()  # after this word the daemon listens no more, and forgets what it held and waited for

    def _answered(self, message: Answer) -> Lock:
        """Return what C{message} is about: it does not say so."""
        if not self.waiting:
            raise Wrong(f"nothing was waited for, and answered: {message}")
        pool = self.incubated if message.code == QUEUED else self.waiting
        if not pool:
            raise Wrong(f"told to wait twice: {message}")
        self.is_vague = len({Claim.of(lock) for lock in self.waiting}) > 1
        return pool[0]

    def _stop_waiting(self, lock: Lock) -> None:
        self.waiting = [other for other in self.waiting if other is not lock]
        self.incubated = [other for other in self.incubated if other is not lock]

    def _take(self, claim: Claim) -> None:
        key = key_of(claim.name)
        if (is_set(key) or key.startswith("_")) != (claim.element is not None):
            raise Wrong(f"{claim}: it has an element or has not")
        if is_set(key) and claim.element not in key.split("."):
            raise Wrong(f"{claim.element!r} is no element of {key}")
        if why := why_not(claim, self.checker.held(key).elements()):
            raise Wrong(f"{claim} was granted, but {why}")
        self.held.append(claim)
        self.checker.grants += 1

    def leaves(self) -> None:
        """Note that its connection is about to end."""
        self.held.clear()
        self.waiting.clear()
        self.checker.part(self)
