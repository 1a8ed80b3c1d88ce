"""Why a wait was refused that would never have ended, in words (L{flom.core.locks.circles})."""

from __future__ import annotations

from collections.abc import Callable
from socket import gethostname
from typing import Final

from flom.core.effects import NotConverted, Refused, Step
from flom.core.locks.circles import covers
from flom.core.requests import LockRequest, SessionId
from flom.server.peer import Peer
from flom.text import one_line

FindPeer = Callable[[SessionId], "Peer | None"]

_MOST: Final = 5
"""Steps of a circle that are spelled; of a longer one, those in the middle are counted."""


def spell_circle(refused: Refused | NotConverted, find_peer: FindPeer) -> str:
    """Return one line about the circle of C{refused}: who holds what, and waits for what."""
    circle = refused.circle
    told = circle if len(circle) <= _MOST else (*circle[: _MOST - 2], *circle[-2:])
    parts = []
    for number, step in enumerate(told):
        if len(told) < len(circle) and number == _MOST - 2:
            parts.append(f"and so on over {len(circle) - len(told)} more")
        after = circle[circle.index(step) + 1] if step is not circle[-1] else None
        held = f"{_what(step.held)} is held by {_who(step.holder, find_peer)}"
        parts.append(f"{held}, {_why_kept(step, after, refused, find_peer)}")
    if len(circle) == 1 and circle[0].holder.session != refused.request.session:
        return f"{parts[0]}: {_advice(circle[0])}"
    return f"it would wait for ever: {'; '.join(parts)}"


def _why_kept(step: Step, after: Step | None, refused: Refused | NotConverted, find_peer: FindPeer) -> str:
    """Return why the holder of C{step} keeps it: what C{after} waits for, or what was C{refused}."""
    if after is None:
        is_same = step.holder.session == refused.request.session
        return "which is the client itself" if is_same else "under whose command this one runs"
    if step.holder.session == after.wait.session:
        return f"which waits for {_what(after.wait)}"
    return f"under whose command {_who(after.wait, find_peer)} waits for {_what(after.wait)}"


def _advice(step: Step) -> str:
    if step.wait.wishes is not None and step.wait.wishes.nested == "share":
        return f"{_what(step.wait)} is more than that, and cannot be shared with it"
    if covers(step.held, step.wait):
        return "it would wait for ever; --nested=share shares the lock with it"
    return "it would wait for ever"


def _what(request: LockRequest) -> str:
    """Return C{"backup"}, C{"backup (PR)"} or C{"3 of licences[5]"}."""
    name = request.name
    text = one_line(name.text)[:80]
    if name.has_quantity:
        return f"{request.quantity} of {text}"
    return f"{text} ({request.mode.name})" if name.has_mode else text


def _who(request: LockRequest, find_peer: FindPeer) -> str:
    """Return C{"pid 4711 on HOST (root, backup)"}, or the address of a client over TCP in its place."""
    peer = find_peer(request.session)
    if peer is None:
        return "a former client"
    where = peer.address if peer.uid is None else f"{f'pid {peer.pid}' if peer.pid else 'a process'} on {gethostname()}"
    return f"{where}{peer.details[:100]}"
