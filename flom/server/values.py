"""
Values of resources, and when jobs were finished (L{flom.core.values}), as a daemon keeps them: in its store, and by its
clock.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.modes import LockMode
from flom.core.names import ResourceName, parse_name
from flom.core.protocol.messages import Note, Told
from flom.core.values import TooMany, ValueOf, Values, as_fields, from_fields
from flom.errors import InvalidName
from flom.server.store import Store
from flom.text import one_line, truncate

if TYPE_CHECKING:
    from flom.core.requests import LockRequest
    from flom.server.arbiter import DeferredArbiter

_KEY: Final = "value "
"""Begins the keys of the store that are for this; the name of the resource follows."""

_MAY_SET: Final = frozenset({LockMode.PW, LockMode.EX})
"""Holders of one of these exclude all others that may set the value."""


class KeptValues:
    """What one daemon keeps; what was kept before is read when the first client wants to know."""

    _log = Logger()

    def __init__(self, arbiter: DeferredArbiter) -> None:
        """@param arbiter: has the store, which is another one each time that its daemon leads, and the clock."""
        self._arbiter = arbiter
        self._store: Store | None = None
        self._values = Values()
        self._problem = ""

    def why_not(self, request: LockRequest) -> str:
        """Return why what C{request} wishes of this cannot be; the empty string if it can, or nothing is wished."""
        wishes = request.wishes
        if wishes is None or not wishes.concerns_kept:
            return ""
        if not request.name.has_mode:
            return _no_modes(request.name)
        if why := self._why_nothing():
            return why
        if wishes.key is None:
            return ""  # it may want to read alone
        try:
            self._values.check_room(request.name.text, wishes.key, self._arbiter.now().wall)
        except TooMany as e:
            return str(e)
        return ""

    def told(self, request: LockRequest) -> Told | None:
        """Return what C{request}, which is granted, has wished to be told; C{None} for nothing."""
        wishes = request.wishes
        if wishes is None or not wishes.concerns_kept or self._why_nothing():
            return None
        name, now = request.name.text, self._arbiter.now().wall
        value = self._values.value(name)
        done = None if wishes.key is None else self._values.last(name, wishes.key, now)
        return Told(value) if done is None else Told(value, now - done.at, done.by)

    def note(self, name: ResourceName, mode: LockMode, note: Note) -> Deferred[str]:
        """
        Keep C{note} of the resource C{name}, as its holder in C{mode} wants.

        @return: fires when that is durable, with the empty string, or with the reason why it is not; the holder may
            release its lock then, and others are told C{note} in any case, as long as this daemon leads.
        """
        why = self._why_nothing()
        if why or not name.has_mode:
            return succeed(why or _no_modes(name))
        if note.value is not None and mode not in _MAY_SET:
            why = f"the value can be set in mode EX or PW, not {mode.name}"
            note = note.replace(value=None)
        try:
            by = one_line(note.by)
            changes = self._values.note(name.text, note.replace(by=by), self._arbiter.now().wall)
        except TooMany as e:
            return succeed(str(e))
        assert self._store is not None
        writes = [self._store.write(f"{_KEY}{changed}", _text_of(kept)) for changed, kept in changes.items()]
        written = gatherResults(writes, consumeErrors=True)
        return written.addCallbacks(lambda _: why, self._note_failure, errbackArgs=(name,))

    def view(self) -> dict[str, ValueOf]:
        """Return all that is kept, by the names of the resources."""
        return {} if self._why_nothing() else self._values.view(self._arbiter.now().wall)

    def _note_failure(self, failure: Failure, name: ResourceName) -> str:
        first = failure.value.subFailure if isinstance(failure.value, FirstError) else failure
        why = first.getErrorMessage()
        self._log.warn("{name}: what is to be kept is not durable: {why}", name=truncate(one_line(name.text)), why=why)
        return why

    def _why_nothing(self) -> str:
        """Return why nothing can be kept, as a client is told; the empty string if it can."""
        store = self._arbiter.store
        if store is not self._store:
            self._store, self._values, self._problem = store, Values(), ""
            for key, text in store.load().items():
                if key.startswith(_KEY):
                    self._remember(key.removeprefix(_KEY), text)
        why = store.why_not or self._problem
        return f"the daemon keeps nothing beyond its end: {why}" if why else ""

    def _remember(self, name: str, text: str) -> None:
        try:
            parse_name(name)
            self._values.remember(name, from_fields(**json.loads(text)))
        except (ValueError, TypeError, KeyError, InvalidName, RecursionError):
            self._problem = f"what is kept of {one_line(truncate(name))} is nothing that a daemon has written"
            self._log.warn("{problem}", problem=self._problem)


def _no_modes(name: ResourceName) -> str:
    return f"nothing is kept of a resource that is {name.type_name}; simple and hierarchical ones have modes"


def _text_of(kept: ValueOf | None) -> str | None:
    return None if kept is None else json.dumps(as_fields(kept))
