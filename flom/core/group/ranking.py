"""The order of leaders and candidates, by which elections are decided and clients choose."""

from __future__ import annotations

from flom.core.protocol.messages import Role, Standing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

FLOM: Final = Standing("", Role.LEADER, 0)
"""A daemon of FLoM 1.7.2, which cannot yield."""


def rank(standing: Standing) -> tuple[bool, bool, int, str]:
    """
    Return the place of C{standing} among leaders and candidates, the same on every host; the lowest wins.

    Leaders come before candidates, one that leads by a quorum comes before the others, and of two alike the one that
    has been it for longer comes first.
    """
    return (standing.role is not Role.LEADER, not standing.quorum, standing.since, standing.node)
