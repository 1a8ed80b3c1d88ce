"""The limits of a daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flom.config import Config
from flom.config.parsers import times_by_name
from flom.core.locks.hold_limits import ByName, HoldPolicy

_DEFAULTS: Final = Config()


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What clients may use at most; for those that count, 0 is no limit. The defaults are those of the settings.

    @ivar connections: in all; one more is closed at once.
    @ivar connections_per_peer: from one IP address, or of one user over UNIX sockets; one more is closed at once.
    @ivar waiters: for one resource, created or not; one more is refused as if it did not want to wait.
    @ivar resources: a request that would create one more is refused.
    @ivar locks_per_connection: that it holds and waits for, of its resource; one more is refused.
    @ivar message_size: bytes of one message, 511 or more; a longer one ends its connection.
    @ivar message_timeout: seconds, more than 0, from a connection to its first message's end, and from the beginning of
        any other message to its end; then the connection ends.
    @ivar unread_timeout: seconds, more than 0, after which the connection ends of a client that has too many answers
        unread and has read none of them meanwhile.
    @ivar session_timeout: seconds for which locks are kept whose TCP connection is broken, or whose daemon was killed;
        0 for not at all.
    @ivar overtaking: requests that may go before one for several locks at once that waits, although they came later.
    @ivar hold: for how long locks may be held, and are kept from others when they are lost; C{None} for no limits.
    """

    connections: int = _DEFAULTS.max_connections
    connections_per_peer: int = _DEFAULTS.max_connections_per_peer
    waiters: int = _DEFAULTS.max_waiters
    resources: int = _DEFAULTS.max_resources
    locks_per_connection: int = _DEFAULTS.max_locks_per_connection
    message_size: int = _DEFAULTS.max_message_size
    message_timeout: float = _DEFAULTS.message_timeout_ms / 1000
    unread_timeout: float = _DEFAULTS.unread_timeout_ms / 1000
    session_timeout: float = _DEFAULTS.session_timeout_ms / 1000
    overtaking: int = _DEFAULTS.max_overtaking
    hold: HoldPolicy | None = None


DEFAULT_LIMITS: Final = Limits()
"""More than any known use needs, and less than would bring a host down."""


def hold_policy_of(config: Config) -> HoldPolicy | None:
    """Return for how long C{config} lets locks be held, and keeps them when they are lost; C{None} for no limits."""
    return (
        HoldPolicy(ByName(times_by_name(config.hold_limits)), ByName(times_by_name(config.lock_delays)))
        if config.hold_limits or config.lock_delays
        else None
    )


def limits_of(config: Config) -> Limits:
    """Return the limits that C{config} sets."""
    return Limits(
        config.max_connections,
        config.max_connections_per_peer,
        config.max_waiters,
        config.max_resources,
        config.max_locks_per_connection,
        config.max_message_size,
        config.message_timeout_ms / 1000,
        config.unread_timeout_ms / 1000,
        config.session_timeout_ms / 1000,
        config.max_overtaking,
        hold_policy_of(config),
    )
