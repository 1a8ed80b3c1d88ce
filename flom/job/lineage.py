"""
Lineage: by which a daemon knows which commands run under a lock of which other one (docs/howto/nested-locks.md).

Each C{flom-run}, and each process that takes locks itself under one, has a random public id. A C{flom-run} passes on
its own and those of the commands that it runs under to its command, in the environment. They are no secrets.
"""

from __future__ import annotations

import os

from flom.core.protocol.messages import Wishes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from flom.core.protocol.messages import Lock

VARIABLE: Final = "FLOM_LINEAGE"
"""The variable that has the ids of the commands that a program runs under, the nearest first, with slashes between."""

_MOST: Final = 8  # ids that are passed on

_ours: tuple[str, Wishes | None] | None = None  # what the environment said, and what that comes to


def new_id() -> str:
    """Return a new public id."""
    return os.urandom(8).hex()


def outer_ids(environment: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return the ids of the commands that a program in C{environment} runs under; what is none is left out, and so is what
    is there already.
    """
    ids = dict.fromkeys(environment.get(VARIABLE, "").split("/"))
    return tuple(each for each in ids if len(each) == 16 and not each.strip("0123456789abcdef"))[:_MOST]


def lineage_of(own: str) -> tuple[str, ...]:
    """Return C{own}, an id of this process, and those of the commands that it runs under."""
    return own, *outer_ids(os.environ)


def pass_on(lineage: tuple[str, ...], environment: dict[bytes, bytes]) -> None:
    """Note C{lineage} in C{environment}, which is that of a command that is about to be started."""
    environment[VARIABLE.encode()] = "/".join(lineage[:_MOST]).encode()


def with_lineage(request: Lock, lineage: tuple[str, ...], nested: str) -> Lock:
    """Return C{request} with C{lineage}; C{nested} is C{"refuse"}, C{"share"} or C{"wait"}, see L{Wishes}."""
    wishes = (request.wishes or Wishes()).replace(lineage=lineage, nested="" if nested == "refuse" else nested)
    return request.replace(wishes=wishes)


def with_own(request: Lock, lineage: tuple[str, ...]) -> Lock:
    """Return C{request} with C{lineage} in the place of this process's, unless that is empty."""
    return request.replace(wishes=(request.wishes or Wishes()).replace(lineage=lineage)) if lineage else request


def wishes_here(wishes: Wishes | None) -> Wishes | None:
    """
    Return C{wishes} with the lineage of this process, if it runs under a command and C{wishes} have none yet.

    Any other process has no use for a lineage: nothing runs under its locks that says so.
    """
    global _ours
    said = os.environ.get(VARIABLE, "")
    if _ours is None or _ours[0] != said:
        ids = lineage_of(new_id())
        _ours = said, Wishes(ids) if len(ids) > 1 else None
    ours = _ours[1]
    if ours is None or wishes is None:
        return wishes or ours
    return wishes if wishes.lineage else wishes.replace(lineage=ours.lineage)


def _forget() -> None:
    """Forget the id of the process that has forked this one."""
    global _ours
    _ours = None


os.register_at_fork(after_in_child=_forget)
