"""
What a daemon has granted, and has waiting, as one text for the daemon that takes its place
(docs/explanation/groups.md, "Handing over").
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any, Final, NamedTuple

from flom.core.locks.positions import Kept
from flom.core.modes import LockMode
from flom.core.names import ResourceName, parse_name
from flom.core.protocol.decode import read_lineage
from flom.core.requests import MAX_LIFESPAN, check_apart, check_quantity, check_text
from flom.core.tokens import MAX_EPOCH, MAX_TOKEN
from flom.errors import InvalidName, InvalidRequest, RemoteProtocolError

_LEAST: Final = 9  # fields of a claim that every daemon has

MAX_RETENTION: Final = MAX_LIFESPAN + 1.0
"""Seconds of the longest time that an idle resource is remembered."""


class Client(NamedTuple):
    """
    A client that comes back.

    @ivar secret: by which it does, see L{flom.core.protocol.messages.Answer.session}.
    @ivar certificate: what is known of its certificate; empty without TLS.
    @ivar address: as the status shows it.
    @ivar peer_id: the unique id that it has sent, if it has.
    @ivar user: its user, by its own account; C{None} if it has not said.
    @ivar command: the program that its lock is for, likewise.
    @ivar is_contested: true if it has to be told that another daemon has granted its lock too.
    """

    secret: str
    certificate: str
    address: str
    peer_id: str | None
    user: str | None
    command: str | None
    is_contested: bool


class Claim(NamedTuple):
    """
    A lock that is held, or waited for.

    @ivar client: whose it is, counted from 0.
    @ivar create: see L{flom.core.requests.LockRequest}, as for C{lifespan}, in seconds.
    @ivar element: which one is held, for the types that have elements.
    @ivar token: of a lock that is held; 0 for one that is waited for.
    @ivar waited: seconds since it was asked for first, if it is waited for; 0 otherwise.
    @ivar joint: the same number, 1 or more, for all that a request waits for at once, in their order; 0 for others.
    @ivar lineage: see L{flom.core.protocol.messages.Wishes}, as for C{nested} and C{value}.
    @ivar keys: the key there, if there is one.
    @ivar max_hold: see L{flom.core.protocol.messages.Wishes}, as for C{wanted}.
    @ivar delays: the lock delay there, if one is wished.
    @ivar left: seconds for which a lock that is held still may be; 0 if there is no limit.
    """

    client: int
    name: ResourceName
    mode: LockMode
    quantity: int
    create: bool
    lifespan: float
    element: str | None
    token: int
    waited: float
    joint: int = 0
    lineage: tuple[str, ...] = ()
    nested: str = ""
    value: bool = False
    keys: tuple[str, ...] = ()
    max_hold: float = 0.0
    delays: tuple[float, ...] = ()
    wanted: bool = False
    left: float = 0.0


class Lost(NamedTuple):
    """
    What a holder has lost, and a lock delay keeps from all clients.

    @ivar element: which one, for the types that have elements.
    @ivar left: seconds for which it is kept still.
    """

    name: ResourceName
    mode: LockMode
    quantity: int
    element: str | None
    token: int
    left: float


class Estate(NamedTuple):
    """
    All that is handed over.

    @ivar epoch: of the fencing tokens so far.
    @ivar claims: what is held, and then what is waited for, each in the order in which it was asked for.
    @ivar lost: what lock delays keep, beside what is held.
    """

    epoch: int
    resources: list[Kept]
    clients: list[Client]
    claims: list[Claim]
    lost: list[Lost] = []

    def write(self) -> str:
        """Return all of it as one line of ASCII."""
        resources = [each._replace(name=each.name.text) for each in self.resources]  # type: ignore[arg-type]
        claims = [_write_claim(each) for each in self.claims]
        written = [self.epoch, resources, self.clients, claims]
        if self.lost:  # left out otherwise, so that daemons of before can read it
            written.append([each._replace(name=each.name.text) for each in self.lost])  # type: ignore[arg-type]
        return json.dumps(written, separators=(",", ":"))


def read_estate(text: str) -> Estate:
    """Return what L{Estate.write} has written; raise L{RemoteProtocolError} if C{text} is nothing of the kind."""
    try:
        epoch, resources, clients, claims, *others = json.loads(text)
        estate = Estate(
            _number(epoch, MAX_EPOCH),
            [_kept(*each) for each in resources],
            [_client(*each) for each in clients],
            [_claim(len(clients), *each) for each in claims],
            [_lost(*each) for lost in others[:1] for each in lost],
        )
        _check_joint(estate.claims)
        return estate
    except (ValueError, TypeError, RecursionError, InvalidName, InvalidRequest) as e:
        raise RemoteProtocolError(f"what it hands over cannot be read: {e}") from None


def _check_joint(claims: list[Claim]) -> None:
    """Raise C{ValueError} if C{claims} that belong together cannot be one request."""
    for joint, found in groupby(claims, key=lambda claim: claim.joint):
        together = list(found)
        if joint and (len(together) == 1 or len({claim.client for claim in together}) > 1 or together[0].token):
            raise ValueError(f"{len(together)} claims with the number {joint}")
        if joint:
            check_apart(claim.name for claim in together)


def _write_claim(claim: Claim) -> tuple[Any, ...]:
    written: tuple[Any, ...] = claim._replace(name=claim.name.text)  # type: ignore[arg-type]
    while not written[-1] and len(written) > _LEAST:
        written = written[:-1]  # so that daemons of before can read it, too
    return written


def _kept(name: str, retention: float, left: float, is_saved: bool, memory: list[int]) -> Kept:
    numbers = tuple(_number(each, 2**63) for each in memory)
    return Kept(parse_name(name), _seconds(retention), _seconds(left), bool(is_saved), numbers)


def _client(
    secret: str,
    certificate: str,
    address: str,
    peer_id: str | None,
    user: str | None,
    command: str | None,
    is_contested: bool,
) -> Client:
    if not secret:
        raise ValueError("a client without a secret")
    who = (None if each is None else str(each) for each in (peer_id, user, command))
    return Client._make((str(secret), str(certificate), str(address), *who, bool(is_contested)))


def _claim(
    clients: int,
    client: int,
    name: str,
    mode: int,
    quantity: int,
    create: bool,
    lifespan: float,
    element: str | None,
    token: int,
    waited: float,
    joint: int = 0,
    lineage: tuple[str, ...] = (),
    nested: str = "",
    value: bool = False,
    keys: tuple[str, ...] = (),
    max_hold: float = 0.0,
    delays: tuple[float, ...] = (),
    wanted: bool = False,
    left: float = 0.0,
) -> Claim:
    return Claim(
        _number(client, clients - 1),
        parse_name(name),
        LockMode(mode),
        check_quantity(quantity),
        bool(create),
        _seconds(lifespan, -MAX_RETENTION),
        None if element is None else str(element),
        _number(token, MAX_TOKEN),
        _seconds(waited, highest=float("inf")),
        _number(joint, MAX_TOKEN),
        read_lineage("/".join(lineage)) if lineage else (),
        str(nested),
        bool(value),
        tuple(check_text("key", key) for key in keys[:1]),
        _seconds(max_hold),
        tuple(_seconds(delay) for delay in delays[:1]),
        bool(wanted),
        _seconds(left),
    )


def _lost(name: str, mode: int, quantity: int, element: str | None, token: int, left: float) -> Lost:
    return Lost(
        parse_name(name),
        LockMode(mode),
        check_quantity(quantity),
        None if element is None else str(element),
        _number(token, MAX_TOKEN),
        _seconds(left),
    )


def _number(value: Any, highest: int) -> int:
    """Return C{value}, if it is a number from 0 to C{highest}."""
    if type(value) is not int or not 0 <= value <= highest:
        raise ValueError(f"{value!r} is not a number from 0 to {highest}")
    return value


def _seconds(value: Any, lowest: float = 0.0, highest: float = MAX_RETENTION) -> float:
    if type(value) not in (int, float) or not lowest <= value <= highest:
        raise ValueError(f"{value!r} is not a number of seconds")
    return float(value)
