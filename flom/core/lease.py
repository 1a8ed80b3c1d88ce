"""
What a client may believe that holds a lock over TCP: for how long it is its own if nothing more is heard of the daemon
(docs/explanation/guarantees.md, "A command that is not to run without its lock").

The daemon keeps what a client has for a time after it has received the client's last message. The client does not know
when that was, but knows when it has sent the last message that was answered, which was earlier. So it counts its
patience, which is shorter, from there. All times are seconds; those of one L{Lease} are of one clock, which goes on
while the machine sleeps.
"""

from __future__ import annotations

from flom.core.value import Value
from flom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.core.protocol.messages import Terms

KILL_AFTER: Final = 2.5
"""Seconds from SIGTERM to SIGKILL, unless they are said, or have no room."""

MARGIN: Final = 1.5
"""Seconds for what takes longer than it should, and for clocks of which one is faster."""

_KILL_PART: Final = 0.25  # of the whole time, if that is less than KILL_AFTER
_MARGIN_PART: Final = 0.15  # likewise
_LEAST_PATIENCE_PART: Final = 0.3
_PINGS: Final = 3  # in the whole time: one message that is late, or lost with its connection, does no harm

MOST_UNANSWERED: Final = 100
"""Messages that wait to be answered; as long as there are so many, no further ones are sent."""

NEVER: Final = float("inf")


class Times(Value):
    """
    What happens within the time after which another client may be granted a lock whose holder is not heard.

    @ivar patience: seconds after which the holder takes its lock for lost.
    @ivar kill_after: seconds in which what it runs has to end then.
    @ivar margin: seconds that are left.
    @ivar interval: seconds from one message to the next.
    """

    patience: float
    kill_after: float
    margin: float
    interval: float


def times_within(whole: float, kill_after: float | None = 0.0, *, what: str = "") -> Times:
    """
    Divide the time after which another client may be granted the lock: patience, C{kill_after} and margin are as long
    as that together. For example, 10 s are 6 s, 2.5 s and 1.5 s.

    @param whole: that time, in seconds; more than 0.
    @param kill_after: seconds from SIGTERM to SIGKILL; 0 if nothing is ended, or at once; C{None} for
        L{KILL_AFTER}, or less if that has no room.
    @param what: says in the error what C{whole} is.
    @raise ConfigError: C{kill_after} leaves too little patience: less than three tenths of C{whole}.
    """
    margin = min(MARGIN, whole * _MARGIN_PART)
    if kill_after is None:
        kill_after = min(KILL_AFTER, whole * _KILL_PART)
    patience = whole - margin - kill_after
    if patience < whole * _LEAST_PATIENCE_PART:
        most = whole * (1 - _LEAST_PATIENCE_PART) - margin
        raise ConfigError(
            f"kill-after: {kill_after:g} s are too long: another client may get the lock after {whole:g} s"
            f"{what and f' ({what})'}, so there is room for {most:.3g} s at most"
        )
    return Times(patience, kill_after, margin, whole / _PINGS)


def time_kept(terms: Terms, default: float, *, is_strict: bool) -> tuple[float, str]:
    """
    Return the seconds after which another client may be granted a lock whose holder is not heard, and what they are.

    @param terms: of the daemon that has granted it.
    @param default: for a daemon that does not say how long it keeps what a client has.
    @param is_strict: whether the holder has to be gone before the leader of a group can have a successor, too.
    """
    whole = terms.timeout or default
    if is_strict and not terms.quorum and 0 < terms.succession < whole:
        return terms.succession, "if the leader of the group goes"
    return whole, "the daemon's session-timeout"


def times_on(terms: Terms, kill_after: float | None, default: float = 0.0, *, is_strict: bool) -> Times:
    """
    Return the times of a lock that a daemon has granted on C{terms}; see L{time_kept} and L{times_within}.

    @raise ConfigError: C{kill_after} has no room.
    """
    if terms.quorum:
        from flom.core.quorum.times import holder_times

        return holder_times(terms.timeout, kill_after)
    whole, what = time_kept(terms, default, is_strict=is_strict)
    return times_within(whole, kill_after, what=what)


class Lease:
    """
    What the holder of a lock may believe.

    Call L{sent} before each message that will be answered, and L{answered} when an answer has come. At L{next_ping}, it
    is time for another message; from L{doubtful_at}, the connection is to be looked into; at L{lost_at}, the lock may
    be another client's.

    @ivar patience: seconds for which the lock is held if nothing more is answered.
    @ivar interval: seconds from one message to the next.
    @ivar kill_after: see L{Times.kill_after}; it is kept here for its users.
    """

    __slots__ = ("_checks_until", "_is_confirmed", "_since", "_unanswered", "interval", "kill_after", "patience")

    def __init__(self, patience: float, interval: float | None = None, kill_after: float = 0.0) -> None:
        """@param interval: by default, half of C{patience}."""
        self.patience = patience
        self.kill_after = kill_after
        self.interval = patience / 2 if interval is None else interval
        self._since = -NEVER  # when the last message that was answered was sent
        self._checks_until = -NEVER
        self._unanswered: list[float] = []  # when each of the others was sent, the earliest first
        self._is_confirmed = False

    def renew(self, terms: Terms, asked_at: float, default: float = 0.0, *, is_strict: bool) -> None:
        """
        Note that the lock was granted again, on C{terms} (see L{times_on}), as it was asked for at C{asked_at} over
        another connection; what is ended when it is lost has as much time as then, if there is room.
        """
        whole, _ = time_kept(terms, default, is_strict=is_strict)
        times = times_on(terms, min(self.kill_after, whole / 2), default, is_strict=is_strict)
        self.patience = times.patience
        self.interval = times.interval if terms.timeout else NEVER  # older daemons do not understand the question
        self.reconnected()
        self.sent(asked_at)
        self.answered()

    def sent(self, now: float) -> None:
        """Note that a message which will be answered is about to be sent, at C{now}."""
        self._unanswered.append(now)
        self._is_confirmed = False

    def answered(self) -> None:
        """Note that the earliest message that was not answered is now: answers come in order."""
        if self._unanswered:
            self._since = max(self._since, self._unanswered.pop(0))

    def confirmed(self) -> None:
        """
        Note that the kernel of the daemon's host has confirmed all that was sent, although the daemon has not answered.

        It still has the connection, so a daemon that is stopped, or busy, keeps the lock. Where another daemon may take
        its place meanwhile, that is no reason to believe anything.
        """
        if self._unanswered:
            self._since = max(self._since, self._unanswered[-1])
            self._is_confirmed = True

    def reconnected(self) -> None:
        """Note that there is another connection: nothing will be answered that was sent by the last one."""
        self._unanswered.clear()
        self._is_confirmed = False

    def woke(self, now: float, seconds: float) -> None:
        """
        Note that the program did not run until C{now}, and could not ask: it has C{seconds} to find out.

        It may have slept through L{lost_at}, but the kernel confirms for it what the daemon sends, so it may hold the
        lock all the same.
        """
        self._checks_until = now + seconds

    def is_over(self, now: float) -> bool:
        """Return whether the lock may be another client's at C{now}, even if there is time to find out (L{woke})."""
        return now >= self._since + self.patience

    @property
    def lost_at(self) -> float:
        """When the lock may be another client's; minus infinity if nothing was answered yet."""
        return max(self._since + self.patience, self._checks_until)

    @property
    def next_ping(self) -> float:
        """When to send the next message; L{NEVER} while one is under way."""
        if self._unanswered and (not self._is_confirmed or len(self._unanswered) >= MOST_UNANSWERED):
            return NEVER
        return self._since + self.interval

    @property
    def doubtful_at(self) -> float:
        """When a missing answer says that the connection may be broken; L{NEVER} if none is missing."""
        if not self._unanswered or self._is_confirmed:
            return NEVER
        return (self._unanswered[-1] + self.lost_at) / 2
