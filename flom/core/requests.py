"""
Requests to the lock table, checked: from a program that calls C{acquire}, whose arguments mean the same everywhere, or
from a client's message.
"""

from __future__ import annotations

from flom.core.modes import EX, as_mode
from flom.core.names import ResourceName, TimestampName, parse_name
from flom.core.protocol.messages import Lock, Wishes
from flom.core.value import Record, Value
from flom.errors import InvalidName, InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, NewType

    from flom.core.modes import LockMode

    SessionId = NewType("SessionId", int)
    """One client as the table knows it: over the wire, one connection."""
else:
    SessionId = int

MAX_LIFESPAN: Final = 2_147_483.0
"""Seconds of the longest lifespan of an idle resource that a message can carry."""


MAX_KEPT_TEXT: Final = 64
"""Bytes of the longest value of a resource, and of the longest key of a job (L{flom.core.values})."""


class LockRequest(Record):
    """
    A session's request for a lock; it is equal to itself alone, and never changed.

    @ivar quantity: units of a numeric resource, 0 or more; the other types ignore it.
    @ivar wait: queue if it cannot be granted now.
    @ivar create: make the resource if there is none.
    @ivar lifespan: seconds that an idle resource is to be remembered if this request creates it
        (docs/compatibility.md, "Idle resources").
    @ivar regains: true if the session reclaims what it held when the last daemon went.
    @ivar holder: tells a session that reclaims from others, as L{flom.core.protocol.messages.Lock.holder} does.
    @ivar secret: of the session to go on with, as in L{flom.core.protocol.messages.Lock.session}.
    @ivar element: what it held, for the types that have elements.
    @ivar token: the fencing token of what it held, which it keeps; 0 if it does not say.
    @ivar proof: what proves that, as in L{flom.core.protocol.messages.Lock.proof}.
    @ivar waited: seconds since the session has asked first, at another daemon, or before it was decided here.
    @ivar wishes: what FLoM does not know; C{None} for nothing.
    """

    session: SessionId
    name: ResourceName
    mode: LockMode = EX
    quantity: int = 1
    wait: bool = True
    create: bool = True
    lifespan: float = 0.0
    regains: bool = False
    holder: int = 0
    secret: str = ""
    element: str | None = None
    token: int = 0
    proof: str = ""
    waited: float = 0.0
    wishes: Wishes | None = None

    def made_later(self, seconds: float) -> LockRequest:
        """Return another request for the same, which is made C{seconds} later."""
        return self._changed(waited=self.waited + seconds)

    def in_mode(self, mode: LockMode) -> LockRequest:
        """Return another request for the same in C{mode}."""
        return self._changed(mode=mode)

    def under(self, lineage: tuple[str, ...], nested: str) -> LockRequest:
        """Return another request for the same, of a client of C{lineage}; see L{Wishes}, as for C{nested}."""
        return self._changed(wishes=(self.wishes or Wishes()).replace(lineage=lineage, nested=nested))

    def _changed(self, **changes: object) -> LockRequest:
        values = {field: getattr(self, field) for field in self.__slots__}
        return LockRequest(**values | changes)

    def converted(self, mode: LockMode) -> LockRequest:
        """Return the request for what this is granted now, once it has changed to C{mode}."""
        values = {field: getattr(self, field) for field in self.__slots__}
        return LockRequest(**values | {"mode": mode, "regains": False, "token": 0, "proof": ""})

    def __repr__(self) -> str:
        wishes = " ".join(wish for wish in ("wait", "create", "regains") if getattr(self, wish))
        return f"<{self.session} asks for {self.name.text} {self.mode.name} x{self.quantity} {wishes}>"


class SetRequest(Record):
    """
    A session's request for several locks at once, all or nothing; it is equal to itself alone, and never changed.

    What holds for all of it is what its first part says, and all parts say the same of it.

    @ivar parts: two or more requests of one session for different resources (L{check_apart}), in the order in which
        they were asked for; the effects of a grant have the same order.
    """

    parts: tuple[LockRequest, ...]

    @property
    def session(self) -> SessionId:
        """Whose request it is."""
        return self.parts[0].session

    @property
    def name(self) -> ResourceName:
        """The first of its L{names}, which stands for all of them in a log."""
        return self.parts[0].name

    @property
    def names(self) -> tuple[ResourceName, ...]:
        """What it asks for."""
        return tuple(part.name for part in self.parts)

    @property
    def wait(self) -> bool:
        """See L{LockRequest}."""
        return self.parts[0].wait

    @property
    def regains(self) -> bool:
        """See L{LockRequest}; all parts are reclaimed, or none."""
        return self.parts[0].regains

    @property
    def holder(self) -> int:
        """See L{LockRequest}."""
        return self.parts[0].holder

    @property
    def secret(self) -> str:
        """See L{LockRequest}."""
        return self.parts[0].secret

    @property
    def waited(self) -> float:
        """See L{LockRequest}; seconds."""
        return self.parts[0].waited

    @property
    def wishes(self) -> Wishes | None:
        """See L{LockRequest}."""
        return self.parts[0].wishes

    def made_later(self, seconds: float) -> SetRequest:
        """Return another request for the same, which is made C{seconds} later."""
        return SetRequest(tuple(part.made_later(seconds) for part in self.parts))

    def __repr__(self) -> str:
        return f"<all of {', '.join(map(repr, self.parts))}>"


class Asked(Value):
    """
    A request of a program, checked; see L{ask} for what the fields mean.

    @ivar timeout: seconds to wait for the lock; C{None} for as long as it takes, or if the request is not to wait.
    @ivar wishes: what FLoM does not know, see L{ask} and L{wishing}; C{None} for nothing.
    """

    name: ResourceName
    mode: LockMode
    quantity: int
    wait: bool
    create: bool
    lifespan: float
    timeout: float | None
    wishes: Wishes | None = None

    @property
    def title(self) -> str:
        """What is asked for, for people to read."""
        return self.name.text

    def wishing(self, max_hold: float | None, lock_delay: float | None, wanted: bool) -> Asked:
        """
        Return the same with further wishes.

        @param max_hold: seconds after which the daemon ends the lock, more than 0 and at most L{MAX_LIFESPAN}; C{None}
            for no limit.
        @param lock_delay: seconds for which no client is granted the lock if it is lost, 0 to L{MAX_LIFESPAN}; C{None}
            for what the daemon thinks best.
        @param wanted: true to be told when a request waits because of the lock.
        @raise InvalidRequest: one of these is nothing of the kind.
        """
        if max_hold is None and lock_delay is None and wanted is False:
            return self
        from flom.core.protocol.messages import Wishes  # now, because few wish anything

        why = ""
        if max_hold is not None and not (_is_number(max_hold) and 0 < max_hold <= MAX_LIFESPAN):
            why = f"max_hold {max_hold!r} is not a number of seconds above 0 and up to {MAX_LIFESPAN:.0f}"
        elif lock_delay is not None and not (_is_number(lock_delay) and 0 <= lock_delay <= MAX_LIFESPAN):
            why = f"lock_delay {lock_delay!r} is not a number of seconds from 0 to {MAX_LIFESPAN:.0f}"
        elif not isinstance(wanted, int):
            why = f"wanted {wanted!r} is neither true nor false"
        if why:
            error = InvalidRequest(why)
            error.concern(self.name.text)
            raise error
        limits = {"max_hold": float(max_hold or 0), "lock_delay": lock_delay, "wanted": bool(wanted)}
        return self.replace(wishes=(self.wishes or Wishes()).replace(**limits))

    def message(self, peer_id: str, *, extended: bool = False) -> Lock:
        """
        Return what says this to a daemon.

        @param peer_id: our unique id.
        @param extended: true to have unlocks answered, by a daemon that can.
        """
        wait, create, lifespan, wishes = self.wait, self.create, self.lifespan, self.wishes
        asked = Lock(self.name.text, self.mode, self.quantity, wait, create, lifespan, peer_id, extended=extended)
        return asked if wishes is None else asked.replace(wishes=wishes)


def show_lock(wanted: Asked | Lock, element: str | None, state: str) -> str:
    """
    Return how C{repr} shows a lock, such as C{<lock 'backup' EX, held>} or C{<lock 'licences[5]' 2 units, released>}.

    @param element: which one was granted, for sets, sequences and timestamps.
    """
    name = parse_name(wanted.name) if isinstance(wanted.name, str) else wanted.name
    words = [repr(name.text)]
    if name.has_mode:
        words.append(wanted.mode.name)
    if name.has_quantity:
        words.append(f"{wanted.quantity} units")
    if element is not None:
        words.append(repr(element))
    return f"<lock {' '.join(words)}, {state}>"


def ask(
    name: str,
    mode: LockMode | str | int = EX,
    *,
    quantity: int = 1,
    wait: bool = True,
    create: bool = True,
    lifespan: float = 0.0,
    timeout: float | None = None,
    value: bool = False,
    nested: str = "refuse",
) -> Asked:
    """
    Check what a program asks for.

    @param name: the resource (docs/compatibility.md, "Resource names").
    @param mode: a L{LockMode}, its name or its number.
    @param quantity: units of a numeric resource, 0 to 2**31 - 1.
    @param wait: wait if it cannot be granted now.
    @param create: make the resource if there is none.
    @param lifespan: seconds, 0 to L{MAX_LIFESPAN}, that the resource is to be remembered while idle, if this makes it.
    @param timeout: seconds to wait at most, 0 or more; 0 is not to wait at all, C{None} as long as it takes.
    @param value: whether the holder is to know, and may set, the value of the resource.
    @param nested: C{"refuse"}, C{"share"} or C{"wait"}, if a command holds it that this process runs under.
    @raise InvalidRequest: one of these is nothing of the kind; L{InvalidName}, if it is the name.
    @raise InvalidTimestampFormat: the name is a timestamp whose format no daemon will take.
    """
    if not isinstance(name, str):
        raise InvalidName(name)
    parsed = parse_name(name)
    try:
        if isinstance(parsed, TimestampName):
            parsed.unit()
        if timeout is not None and not (_is_number(timeout) and timeout >= 0):
            raise InvalidRequest(f"timeout {timeout!r} is not a number of seconds, 0 or more")
        if not (_is_number(lifespan) and 0 <= lifespan <= MAX_LIFESPAN):
            raise InvalidRequest(f"lifespan {lifespan!r} is not a number of seconds from 0 to {MAX_LIFESPAN:.0f}")
        for what, given in (("wait", wait), ("create", create), ("value", value)):
            if not isinstance(given, int):
                raise InvalidRequest(f"{what} {given!r} is neither true nor false")
        if value and not parsed.has_mode:
            raise InvalidRequest(
                f"value: a resource of type {parsed.type_name} has none; simple and hierarchical ones do"
            )
        wishes = None
        if value or nested != "refuse":
            wishes = Wishes(nested="" if check_nested(nested) == "refuse" else nested, value=bool(value))
        is_to_wait = bool(wait) and timeout != 0
        if not is_to_wait or timeout == float("inf"):
            timeout = None
        how = check_quantity(quantity), is_to_wait, bool(create), lifespan, timeout
        return Asked(parsed, as_mode(mode), *how, wishes)
    except InvalidRequest as e:
        e.concern(name)
        raise


def check_nested(nested: str) -> str:
    """Return C{nested}; raise L{InvalidRequest} if it says nothing of a lock that an outer command holds."""
    if nested not in ("refuse", "share", "wait"):
        raise InvalidRequest(f"nested {nested!r} is none of 'refuse', 'share' and 'wait'")
    return nested


def check_apart(names: Iterable[ResourceName]) -> None:
    """
    Check what is asked for at once.

    @raise InvalidRequest: two of C{names} are of one resource, as all nodes of a hierarchy are.
    """
    before: dict[str, ResourceName] = {}
    for name in names:
        other = before.get(name.key)
        before[name.key] = name
        if other is not None:
            same = "twice" if other.text == name.text else f"beside {other.text!r}, a node of the same hierarchy"
            raise InvalidRequest(f"{name.text!r} is asked for {same}: several locks at once are of different resources")


class AskedToConvert(Value):
    """
    A conversion that a program asks for, checked; see L{ask_to_convert}.

    @ivar timeout: seconds to wait for it; C{None} for as long as it takes, or if it is not to wait.
    """

    mode: LockMode
    wait: bool
    timeout: float | None


def ask_to_convert(name: str, mode: LockMode | str | int, timeout: float | None = None) -> AskedToConvert:
    """
    Check what a program wants to convert the lock C{name} to.

    @param mode: a L{LockMode}, its name or its number.
    @param timeout: seconds to wait at most, 0 or more; 0 is not to wait at all, C{None} as long as it takes.
    @raise InvalidRequest: one of these is nothing of the kind, or the resource has no modes.
    """
    try:
        if not parse_name(name).has_mode:
            raise InvalidRequest("it has no mode: only simple and hierarchical resources can be converted")
        if timeout is not None and not (_is_number(timeout) and timeout >= 0):
            raise InvalidRequest(f"timeout {timeout!r} is not a number of seconds, 0 or more")
        limit = None if timeout == 0 or timeout == float("inf") else timeout
        return AskedToConvert(as_mode(mode), timeout != 0, limit)
    except InvalidRequest as e:
        e.concern(name)
        raise


def check_quantity(quantity: int) -> int:
    """
    Return C{quantity}.

    @raise InvalidRequest: it is not from 0 to 2**31 - 1; FLoM takes such, and gets its sums wrong
        (docs/compatibility.md, "A negative quantity adds units").
    """
    if not isinstance(quantity, int) or not 0 <= quantity < 2**31:
        raise InvalidRequest(f"quantity {quantity!r} is not a whole number from 0 to 2147483647")
    return quantity


def check_text(what: str, text: object) -> str:
    """
    Return C{text} if it can be a value or a key.

    @param what: C{"value"} or C{"key"}, for the error.
    @raise InvalidRequest: it is no text, has NUL characters, or more than L{MAX_KEPT_TEXT} bytes.
    """
    if not isinstance(text, str):
        raise InvalidRequest(f"{what} {text!r} is no text")
    if "\0" in text:
        raise InvalidRequest(f"{what} {text!r} has a NUL character")
    try:
        size = len(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise InvalidRequest(f"{what} {text!r} is no text") from None
    if size > MAX_KEPT_TEXT:
        raise InvalidRequest(f"{what} {text!r} has {size} bytes, more than {MAX_KEPT_TEXT}")
    return text


def _is_number(value: object) -> bool:
    """Return whether C{value} is a number that a clock can work with."""
    try:
        return isinstance(value, int | float) and float(value) == value  # the latter: not a NaN
    except OverflowError:
        return False
