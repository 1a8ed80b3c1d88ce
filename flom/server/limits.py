"""What clients may use at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flom.core.protocol.wire import MAX_MESSAGE_SIZE


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What clients may use at most; of those without a unit, 0 is for no limit.

    @ivar connections: in all; one more is closed at once.
    @ivar connections_per_peer: from one IP address, or of one user over UNIX sockets; one more is closed at once.
    @ivar waiters: for one resource, be it yet to be created; one more is refused as if it did not want to wait.
    @ivar resources: a request that would create one more is refused.
    @ivar locks_per_connection: that it holds and waits for, of its resource; one more is refused.
    @ivar message_size: bytes of one message, 511 or more; a longer one ends its connection.
    @ivar message_timeout: seconds, more than 0, until the first message is complete, and to complete any other that has
        begun; then the connection ends. How the bytes come in does not matter.
    @ivar unread_timeout: seconds, more than 0, in which a client that has too many answers still to read must have read
        some; or else its connection ends.
    """

    connections: int = 50_000
    connections_per_peer: int = 20_000
    waiters: int = 50_000
    resources: int = 1_000_000
    locks_per_connection: int = 1_000
    message_size: int = MAX_MESSAGE_SIZE
    message_timeout: float = 30.0
    unread_timeout: float = 30.0


DEFAULT_LIMITS: Final = Limits()
"""More than any known use needs, and less than would bring a host down."""
