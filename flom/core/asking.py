"""What a program asks for: the arguments of C{acquire}, which mean the same wherever it is called, checked."""

from __future__ import annotations

from typing import Final, NamedTuple

from flom.core.modes import LockMode
from flom.core.names import ResourceName, TimestampName, parse_name
from flom.core.protocol.messages import Lock
from flom.core.requests import check_quantity
from flom.errors import InvalidName, InvalidRequest

MAX_LIFESPAN: Final = 2_147_483.0
"""Seconds of the longest lifespan of an idle resource that a message can carry."""


ANSWER_TIMEOUT: Final = 60.0
"""Seconds that a daemon has for answering somebody who does not want to wait; more than it has for a TLS handshake."""


class Asked(NamedTuple):
    """
    A request that makes sense.

    @ivar message: says it to a daemon.
    @ivar timeout: seconds to wait for the lock, or for the answer of who does not want to wait; C{None} for as long as
        it takes.
    """

    message: Lock
    timeout: float | None


def ask(
    name: str,
    mode: LockMode | str | int = LockMode.EX,
    *,
    quantity: int = 1,
    wait: bool = True,
    create: bool = True,
    lifespan: float = 0.0,
    timeout: float | None = None,
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
    @raise InvalidRequest: one of these is nothing of the kind; L{InvalidName}, if it is the name.
    @raise InvalidTimestampFormat: the name is a timestamp whose format no daemon will take.
    """
    if not isinstance(name, str):
        raise InvalidName(name)
    parsed = parse_name(name)
    try:
        _check_format(parsed)
        if timeout is not None and not (_is_number(timeout) and timeout >= 0):
            raise InvalidRequest(f"timeout {timeout!r} is not a number of seconds, 0 or more")
        if not (_is_number(lifespan) and 0 <= lifespan <= MAX_LIFESPAN):
            raise InvalidRequest(f"lifespan {lifespan!r} is not a number of seconds from 0 to {MAX_LIFESPAN:.0f}")
        for what, value in (("wait", wait), ("create", create)):
            if not isinstance(value, int):
                raise InvalidRequest(f"{what} {value!r} is neither true nor false")
        is_to_wait = bool(wait) and timeout != 0
        message = Lock(name, as_mode(mode), check_quantity(quantity), is_to_wait, bool(create), lifespan)
    except InvalidRequest as e:
        e.concern(name)
        raise
    if not is_to_wait:
        timeout = ANSWER_TIMEOUT
    return Asked(message, None if timeout == float("inf") else timeout)


def check_lock(message: Lock) -> ResourceName:
    """
    Check that C{message} asks for something that a daemon may grant.

    @return: the name of it.
    @raise InvalidRequest: it asks for nothing of the kind; see L{ask}.
    """
    name = parse_name(message.name)
    _check_format(name)
    check_quantity(message.quantity)
    return name


def _check_format(name: ResourceName) -> None:
    if isinstance(name, TimestampName):
        from flom.core.locks.resources.timestamp import unit_of  # the others need not wait for its import

        unit_of(name.format)


def as_mode(mode: LockMode | str | int) -> LockMode:
    """
    Give the lock mode that C{mode}, a name such as C{"PR"} or a number, stands for.

    @raise InvalidRequest: it stands for none.
    """
    try:
        return LockMode[mode.upper()] if isinstance(mode, str) else LockMode(mode)
    except (KeyError, ValueError):
        raise InvalidRequest(f"mode {mode!r} is none of {', '.join(each.name for each in LockMode)}") from None


def _is_number(value: object) -> bool:
    """Tell whether C{value} is one that a clock can work with."""
    try:
        return isinstance(value, int | float) and float(value) == value  # the latter: not a NaN
    except OverflowError:
        return False
