"""
Fencing tokens: numbers that grow with every grant, so that a protected store can refuse a late writer
(docs/explanation/tokens.md).

A token is an epoch and a counter in one number below 2**63: C{token == (epoch << 32) + counter}. A daemon that starts,
or takes over, begins an epoch that is higher than all that it knows of, and counts its grants in it. For example, the
7th grant of epoch 3 has the token 12884901895.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

COUNTER: Final = 2**32 - 1
"""Mask of the counter in a token; it is 0 in no token."""

MAX_TOKEN: Final = 2**63 - 1
"""The highest token that there can be."""

MAX_EPOCH: Final = MAX_TOKEN >> 32
"""The highest epoch that there can be."""

MAX_CLAIMED: Final = MAX_EPOCH - 2**20
"""The highest epoch that a peer is believed: nobody can use up all that there are by one message."""

_FIRST_SECOND: Final = 1_577_836_800  # 2020-01-01, in seconds since the epoch of the wall clock


def epoch_of(token: int) -> int:
    """Return the epoch of C{token}."""
    return token >> 32


def begin_epoch(seen: int, wall: float = 0.0) -> int:
    """
    Return the first token of an epoch that is higher than C{seen}, the highest known; -1 if none is.

    It has at least as many seconds as C{wall}, seconds since the epoch, has since 2020-01-01, and the counter begins
    with what that has beyond whole seconds. So tokens grow with the clock even if nothing is remembered: no daemon
    grants as many locks a second as the counter counts.
    """
    seconds, fraction = divmod(wall - _FIRST_SECOND, 1)
    if seconds > seen:
        return (min(int(seconds), MAX_EPOCH) << 32) + int(fraction * 2**31) + 1
    return (min(seen + 1, MAX_EPOCH) << 32) + 1


def believable(token: int) -> int:
    """Return C{token}, which a peer has claimed, or 0 if no daemon can have granted it."""
    return token if token & COUNTER and token > 0 and epoch_of(token) <= MAX_CLAIMED else 0
