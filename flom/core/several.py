"""Several locks that are asked for at once, and granted all or not at all: what a program asks for, checked."""

from __future__ import annotations

from flom.core.modes import EX
from flom.core.protocol.messages import MOST_PARTS
from flom.core.protocol.parts import together
from flom.core.requests import Asked, ask, check_apart
from flom.core.value import Value
from flom.errors import InvalidRequest
from flom.text import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flom.core.modes import LockMode, ModeName
    from flom.core.names import ResourceName
    from flom.core.protocol.messages import Lock


class Part(Value):
    """
    One of several locks, as a program asks for it; L{part} makes it, and L{flom.core.requests.ask} has what the fields
    mean.
    """

    name: str
    mode: LockMode | ModeName | int = EX
    quantity: int = 1
    create: bool = True
    lifespan: float = 0.0


def part(
    name: str,
    mode: LockMode | ModeName | int = EX,
    *,
    quantity: int = 1,
    create: bool = True,
    lifespan: float = 0.0,
) -> Part:
    """
    Say one of the locks that C{lock_all} and C{acquire_all} are to take, where its name alone does not.

    @param name: the resource; the form of the name tells its type: C{"backup"}, C{"licences[5]"}, C{"/db/users"}, ...
    @param mode: a L{LockMode<flom.core.modes.LockMode>}, its name, such as C{"PR"}, or its number.
    @param quantity: units of a numeric resource, 0 to 2**31 - 1.
    @param create: make the resource if there is none.
    @param lifespan: seconds that the resource is to be remembered while idle, if this makes it.
    """
    return Part(name, mode, quantity, create, lifespan)


class AskedAll(Value):
    """
    A request of a program for several locks, checked.

    @ivar parts: what is asked for, in the order in which it was; each has the C{wait} and the C{timeout} of all.
    """

    parts: tuple[Asked, ...]

    @property
    def wait(self) -> bool:
        """True if all of them are waited for."""
        return self.parts[0].wait

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for all of them; C{None} for as long as it takes, or if they are not waited for."""
        return self.parts[0].timeout

    @property
    def title(self) -> str:
        """The names of all of them, for people to read."""
        return listed([part.title for part in self.parts])

    def message(self, peer_id: str, *, extended: bool = False) -> Lock:
        """Return what says this to a daemon; see L{Asked.message}."""
        return together([part.message(peer_id, extended=extended) for part in self.parts])


def ask_all(
    parts: Iterable[Part | str],
    *,
    wait: bool = True,
    timeout: float | None = None,
    nested: str = "refuse",
    max_hold: float | None = None,
    lock_delay: float | None = None,
    wanted: bool = False,
) -> AskedAll:
    """
    Check what a program asks for.

    @param parts: the locks, by their names alone or made by L{part}: 1 to L{MOST_PARTS}, each of another resource.
    @param wait: wait if they cannot be granted now.
    @param timeout: seconds to wait at most, 0 or more; 0 is not to wait at all, C{None} as long as it takes.
    @param nested: C{"refuse"}, C{"share"} or C{"wait"}, see L{ask}.
    @param max_hold: see L{Asked.wishing}, as for C{lock_delay} and C{wanted}; they hold for all of them alike.
    @raise InvalidRequest: one of these is nothing of the kind; L{flom.errors.InvalidName}, if it is a name.
    """
    if isinstance(parts, str | Part):
        raise InvalidRequest(f"{parts!r} is no list of locks")
    asked = []
    for each in parts:
        one = each if isinstance(each, Part) else Part(each)
        how = {"quantity": one.quantity, "create": one.create, "lifespan": one.lifespan, "nested": nested}
        request = ask(one.name, one.mode, wait=wait, timeout=timeout, **how)  # type: ignore[arg-type]
        asked.append(request.wishing(max_hold, lock_delay, wanted))
    check_several([each.name for each in asked])
    return AskedAll(tuple(asked))


def not_to_convert(title: str) -> InvalidRequest:
    """Return the error that one of several locks, whose names are C{title}, was to be converted."""
    return InvalidRequest(f"{title}: a lock that was taken at once with others cannot be converted")


def check_several(names: Sequence[ResourceName]) -> None:
    """Raise L{InvalidRequest} unless C{names} can be locked at once: 1 to L{MOST_PARTS}, each of another resource."""
    if not 1 <= len(names) <= MOST_PARTS:
        raise InvalidRequest(f"{len(names)} locks at once: there can be 1 to {MOST_PARTS}")
    check_apart(names)
