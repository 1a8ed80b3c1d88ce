"""
What is kept of a resource beyond its holders: a value of up to 64 bytes, and when jobs were finished last under its
lock (docs/howto/once-per-period.md).

Each has a bound, because nobody looks after it: a text of 64 bytes, 64 jobs of one resource, 1000 resources; and that a
job was finished is forgotten after 25 days, because no period is longer.
"""

from __future__ import annotations

from flom.core.requests import check_text
from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

    from flom.core.protocol.messages import Note

MAX_BY: Final = 64
"""Characters of a host's name that are kept."""

MAX_KEYS: Final = 64
"""Jobs of one resource that are kept."""

MAX_NAMES: Final = 1000
"""Resources of which anything is kept."""

MAX_PERIOD: Final = 2_147_483.647
"""Seconds of the longest period: what a duration of an option can say."""

MAX_AGE: Final = 25 * 86_400.0
"""Seconds after which it is forgotten that a job was finished."""


class TooMany(Exception):
    """What is to be kept would be too much; the text says of what, and what can be done."""


class Done(Value):
    """
    A job that was finished well.

    @ivar at: when, in seconds since the epoch.
    @ivar period: see L{flom.core.protocol.messages.Note}, as for C{key} and C{by}; 0 to L{MAX_PERIOD}.
    """

    key: str
    at: float
    period: float
    by: str


class ValueOf(Value):
    """
    What is kept of one resource.

    @ivar value: the empty string if there is none.
    @ivar done: the oldest first.
    """

    value: str = ""
    done: tuple[Done, ...] = ()


class Values:
    """
    What is kept of all resources, by their names: of a hierarchy, by those of its nodes.

    Times are seconds since the epoch by the clock of this host. If that has gone back, so that a job was finished in
    the future, it counts as finished now.
    """

    def __init__(self) -> None:
        self._kept: dict[str, ValueOf] = {}

    def __len__(self) -> int:
        """Return of how many resources anything is kept."""
        return len(self._kept)

    def remember(self, name: str, kept: ValueOf) -> None:
        """Go on with C{kept}, which a daemon before this one has noted."""
        self._kept[name] = kept

    def value(self, name: str) -> str:
        """Return the value of the resource C{name}; the empty string if there is none."""
        return self._kept.get(name, _NOTHING).value

    def last(self, name: str, key: str, now: float) -> Done | None:
        """Return when the job C{key} of the resource C{name} was finished last; C{None} if that is not known."""
        kept = self._settled(name, now)
        return next((done for done in kept.done if done.key == key), None)

    def check_room(self, name: str, key: str | None, now: float) -> None:
        """
        Check that there is room for what a client may want to be kept, before it gets the lock.

        @param key: of the job that it may finish; C{None} for none.
        @raise TooMany: there is not.
        """
        if name not in self._kept and len(self._kept) >= MAX_NAMES and not self._stale(now):
            raise TooMany(f"something is kept of {MAX_NAMES} resources already; flomctl value shows them")
        if key is not None:
            _with(self._settled(name, now), Done(key, now, 0.0, ""))

    def note(self, name: str, note: Note, now: float) -> dict[str, ValueOf | None]:
        """
        Keep what C{note} says of the resource C{name}.

        @return: what has changed, by names; C{None} for what is not kept any more.
        @raise TooMany: see L{check_room}; nothing has changed.
        """
        self.check_room(name, note.key, now)
        kept = self._settled(name, now)
        if note.value is not None:
            kept = kept.replace(value=note.value)
        if note.key is not None:
            period = max(0.0, min(note.period, MAX_PERIOD))
            kept = _with(kept, Done(note.key, now, period, note.by[:MAX_BY]))
        changes: dict[str, ValueOf | None] = {}
        if len(self._kept) >= MAX_NAMES:
            changes = dict.fromkeys(self._stale(now))
        changes[name] = None if kept == _NOTHING else kept
        for changed, of_it in changes.items():
            if of_it is None:
                self._kept.pop(changed, None)
            else:
                self._kept[changed] = of_it
        return changes

    def view(self, now: float) -> dict[str, ValueOf]:
        """Return all that is kept, by names in their order."""
        view = {name: self._settled(name, now) for name in sorted(self._kept)}
        return {name: kept for name, kept in view.items() if kept != _NOTHING}

    def _settled(self, name: str, now: float) -> ValueOf:
        """Return what is kept of C{name}, without what is too old, and with nothing in the future."""
        kept = self._kept.get(name, _NOTHING)
        if any(not now - MAX_AGE <= done.at <= now for done in kept.done):
            done = tuple(one.replace(at=min(one.at, now)) for one in kept.done if one.at >= now - MAX_AGE)
            kept = self._kept[name] = kept.replace(done=done)
        return kept

    def _stale(self, now: float) -> list[str]:
        """Return the names of which nothing is left to be kept."""
        return [name for name in list(self._kept) if self._settled(name, now) == _NOTHING]


_NOTHING: Final = ValueOf()


def _with(kept: ValueOf, done: Done) -> ValueOf:
    """
    Return C{kept} with C{done}, in the place of the oldest job whose period is over if there are L{MAX_KEYS}.

    @raise TooMany: there are, and none is over.
    """
    others = [one for one in kept.done if one.key != done.key]
    if len(others) >= MAX_KEYS:
        over = next((one for one in others if one.at + one.period <= done.at), None)
        if over is None:
            raise TooMany(f"it has {MAX_KEYS} keys within their periods already; others need another resource")
        others.remove(over)
    return kept.replace(done=(*others, done))


def as_fields(kept: ValueOf) -> dict[str, Any]:
    """Return C{kept} as what JSON can say, for L{from_fields}."""
    return {"value": kept.value, "done": [[one.key, one.at, one.period, one.by] for one in kept.done]}


def from_fields(value: object, done: Iterable[Any]) -> ValueOf:
    """
    Return what was written as L{as_fields}.

    @raise ValueError: none of us can have written that; so does C{TypeError} say.
    """
    several = tuple(Done(check_text("key", key), float(at), float(period), str(by)) for key, at, period, by in done)
    if len(several) > MAX_KEYS or len({one.key for one in several}) < len(several):
        raise ValueError("keys")
    if not all(0 <= one.period <= MAX_PERIOD and abs(one.at) < 2**53 and len(one.by) <= MAX_BY for one in several):
        raise ValueError("done")
    return ValueOf(check_text("value", value), several)
