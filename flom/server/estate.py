"""What a leader leaves to the next one (L{flom.core.locks.handover}), as its arbiter and its sessions have it."""

from __future__ import annotations

from typing import Any, Final

from flom.core.locks.handover import Claim, Client, Estate, Lost
from flom.core.locks.snapshot import LockView
from flom.core.requests import SessionId
from flom.core.sessions import MOST_BROKEN
from flom.errors import FlomError
from flom.server.arbiter import DeferredArbiter
from flom.server.sessions import Sessions
from flom.text import one_line, truncate

_LEAST_LEFT: Final = 0.001
"""Seconds that are left of a lock that ends at any moment; 0 would be no limit."""


class HandoverFailed(FlomError):
    """This daemon still leads; the text says why."""


def estate_of(arbiter: DeferredArbiter, sessions: Sessions) -> tuple[Estate, dict[SessionId, str]]:
    """
    Return all that is to be handed over, and the secrets of the clients that it is of.

    @raise HandoverFailed: something is held that its holder could not find again.
    """
    by_id = sessions.by_id()
    view = arbiter.view()
    held = [lock for resource in view.resources for lock in resource.holders]
    held = [lock for lock in held if not arbiter.is_hold(lock.request.session)]  # which are kept by themselves
    for lock in held:
        if lock.request.session not in by_id:
            peer = arbiter.peer(lock.request.session)
            name = truncate(one_line(lock.request.name.text))
            raise HandoverFailed(
                f"{name} is held by {peer.name if peer else 'a client'}, which could not follow: it is a client of "
                "FLoM's, of an old version, or not connected by TCP"
            )
    waiting = [lock for resource in view.resources for lock in resource.waiters if not lock.converts] + view.incubator
    waiting = [lock for lock in waiting if lock.request.session in by_id]
    claims = sorted(held, key=lambda lock: lock.number)
    claims += sorted(waiting, key=lambda lock: (lock.since - lock.request.waited, lock.number))
    ids = list(dict.fromkeys(lock.request.session for lock in claims))
    if len(ids) > MOST_BROKEN:
        raise HandoverFailed(f"{len(ids)} clients hold or wait, more than {MOST_BROKEN}")
    numbers = {id: number for number, id in enumerate(ids)}
    clients = []
    for id in ids:
        known, peer = by_id[id], arbiter.peer(id)
        clients.append(
            Client(
                known.secret,
                known.owner.certificate.decode("latin-1"),
                peer.address if peer else "",
                known.owner.peer_id,
                peer and peer.user,
                peer and peer.command,
                known.is_contested,
            )
        )
    now = arbiter.now().monotonic
    estate = Estate(
        arbiter.epoch,
        arbiter.keep(),
        clients,
        [
            Claim(
                numbers[lock.request.session],
                lock.request.name,
                lock.request.mode,
                lock.request.quantity,
                lock.request.create,
                lock.request.lifespan,
                lock.element,
                lock.token,
                0.0 if lock.token else now - lock.since + lock.request.waited,
                lock.joint,
                *_wished(lock, now),
            )
            for lock in claims
        ],
        [
            Lost(was.name, was.mode, was.quantity, lost.element, lost.token, max(0.0, lost.until - now))
            for resource in view.resources
            for lost in resource.lost
            for was in [lost.request]
        ],
    )
    return estate, {id: by_id[id].secret for id in ids}


def _wished(lock: LockView, now: float) -> tuple[Any, ...]:
    """Return the last fields of a L{Claim}: what is wished of C{lock}, and what is left of its time."""
    left = 0.0 if lock.until is None else max(_LEAST_LEFT, lock.until - now)
    wishes = lock.request.wishes
    if wishes is None:
        return (), "", False, (), 0.0, (), False, left
    key = () if wishes.key is None else (wishes.key,)
    delay = () if wishes.lock_delay is None else (wishes.lock_delay,)
    return wishes.lineage, wishes.nested, wishes.value, key, wishes.max_hold, delay, wishes.wanted, left
