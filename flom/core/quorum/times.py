"""
The times of a quorum: how long a daemon leads, and how long what it has granted may be used
(docs/explanation/quorum.md).

A leader stops before etcd can have ended its lease. Its clients stop using what they hold before their sessions can
have ended. The next leader waits until all sessions of the one before have ended. No clock is compared with another:
each of these is a number of seconds, counted by the clock of the one that waits, which goes on while the machine
sleeps. The margin is for clocks of which one is faster.
"""

from __future__ import annotations

from flom.core.lease import Times
from flom.core.value import Value
from flom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LEASE: Final = 3.0
"""Seconds after which etcd ends the lease of a leader that does not keep it."""

SESSION: Final = 5.0
"""Seconds for which a leader keeps what a client has that is not heard."""

LEAST_LEASE: Final = 2.0
"""Seconds; of one second, etcd makes two."""

LEAST_SESSION: Final = 1.0
"""Seconds; in less, heartbeats have no room."""

MARGIN_PART: Final = 0.2
"""Least margin, as a part of the session. Then one clock may count up to 1.25 s in a second of another one."""

_KILL_PART: Final = 0.3  # of the session, if it is not said
_LEAST_PATIENCE_PART: Final = 0.3
_ROUNDING: Final = 1e-9  # seconds
_PINGS: Final = 3  # in the patience
_KEEPALIVES: Final = 5  # in a lease


class QuorumTimes(Value):
    """
    The times of a daemon that leads by a quorum, and of its clients, in seconds.

    @ivar lease: see L{LEASE}.
    @ivar session: see L{SESSION}.
    @ivar margin: part of the session that no client uses; the same part of each lease, no leader uses.
    @ivar patience: after which a client that is not answered takes what it holds for lost.
    @ivar kill_after: in which the command of that client has to end then.
    @ivar interval: from one heartbeat of a client to the next.
    """

    lease: float
    session: float
    margin: float
    patience: float
    kill_after: float
    interval: float

    @property
    def keepalive_interval(self) -> float:
        """Seconds from one keepalive of the lease to the next."""
        return self.lease / _KEEPALIVES

    @property
    def wait(self) -> float:
        """Seconds for which a new leader grants nothing new, counted from when it knows that it leads."""
        return self.session + self.margin

    @property
    def told(self) -> float:
        """
        The session's seconds that clients are told. They subtract the least margin; it is less than C{session} if the
        margin is greater than that, so what they use is C{session - margin}.
        """
        return (self.session - self.margin) / (1 - MARGIN_PART)

    def lead_within(self, ttl: float) -> float:
        """Return for how many of C{ttl} seconds, the time of a lease as etcd says it, its holder may lead."""
        return ttl * (1 - self.margin / self.session)


def quorum_times(
    lease: float = LEASE, session: float = SESSION, margin: float | None = None, kill_after: float | None = None
) -> QuorumTimes:
    """
    Return the times that follow from what is configured.

    For example, a session of 5 s is 2.5 s of patience, 1.5 s of C{kill_after} and 1 s of margin.

    @param lease: whole seconds, 2 or more, less than C{session}.
    @param session: seconds.
    @param margin: seconds; C{None} for the least there may be, a fifth of C{session}.
    @param kill_after: see L{holder_times}.
    @raise ConfigError: they do not fit together; the text begins with the option that is wrong.
    """
    if lease < LEAST_LEASE or lease != int(lease):
        raise ConfigError(f"quorum-lease: {lease:g} s: etcd has leases of whole seconds, {LEAST_LEASE:g} or more")
    if session <= lease:
        raise ConfigError(f"session-timeout: {session:g} s have to be more than the {lease:g} s of quorum-lease")
    least = session * MARGIN_PART
    if margin is None:
        margin = least
    if margin < least - _ROUNDING:
        raise ConfigError(
            f"quorum-margin: {margin:g} s are too short: a fifth of session-timeout ({session:g} s) is the least"
        )
    if margin > session * (1 - 2 * _LEAST_PATIENCE_PART):
        most = session * (1 - 2 * _LEAST_PATIENCE_PART)
        raise ConfigError(
            f"quorum-margin: {margin:g} s are too long: of session-timeout ({session:g} s), {most:.3g} s are the most"
        )
    times = _holder_times(session, margin, kill_after)
    return QuorumTimes(lease, session, margin, times.patience, times.kill_after, times.interval)


def holder_times(told: float, kill_after: float | None = None) -> Times:
    """
    Return the times of a client.

    @param told: seconds of the session, as the daemon has told them (L{QuorumTimes.told}).
    @param kill_after: seconds in which the command has to end when its lock is lost; C{None} for three tenths of
        C{told}. What it is shorter than that is added to the patience, and what it is longer is taken from it.
    @raise ConfigError: C{kill_after} leaves less than three tenths of C{told} for the patience; or C{told} is less than
        L{LEAST_SESSION}.
    """
    return _holder_times(told, told * MARGIN_PART, kill_after)


def _holder_times(session: float, margin: float, kill_after: float | None) -> Times:
    if session < LEAST_SESSION:
        raise ConfigError(f"session-timeout: {session:g} s are too short: heartbeats need {LEAST_SESSION:g} s")
    if kill_after is None:
        kill_after = session * _KILL_PART
    patience = session - margin - kill_after
    least = session * _LEAST_PATIENCE_PART
    if patience < least - _ROUNDING:
        raise ConfigError(
            f"kill-after: {kill_after:g} s are too long: another client may get the lock after {session:g} s (the "
            f"daemon's session-timeout), so there is room for {session - margin - least:.3g} s at most"
        )
    return Times(patience, kill_after, margin, patience / _PINGS)


DEFAULT: Final = quorum_times()
"""About 10 s from the end of a leader to the next new grant: the lease, up to half a second of etcd's, and the wait."""

FAST: Final = quorum_times(lease=2.0, session=3.0)
"""About 6 s."""
