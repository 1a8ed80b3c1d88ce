"""
Keys at etcd that the leader alone writes.

They are written by transactions that hold only while the leader's key is the one that this daemon has put, so that
nothing is written late by one that was deposed; and only on top of what this daemon has read or written last, so that a
write whose answer was doubtful cannot come after the next one. What is to be written while a transaction is on its way
goes out together in the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.errors import FlomError
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.wire import KeyValue, created_at, delete, modified_at, put, read

BATCH: Final = 50
"""Keys that are written in one transaction at most: etcd takes 128 operations."""

RETRY: Final = 0.1
"""Seconds before a write is tried again."""


class Deposed(FlomError):
    """This daemon does not lead any more: nothing more is written."""


class LeadersKeys:
    """
    Keys below one prefix, as long as this daemon leads.

    @ivar problem: why the last write has not succeeded yet; the empty string if it has.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        gateway: Gateway,
        leader_key: str,
        created: int,
        on_deposed: Callable[[str], None],
        folder: str,
        what: str,
    ) -> None:
        """
        @param leader_key: of the leadership.
        @param created: the revision in which this daemon has put it.
        @param on_deposed: called if it turns out that another daemon leads.
        @param folder: below which the keys are, such as C{sequences/}.
        @param what: they are, in the plural, for the log.
        """
        self.problem = ""
        self._reactor = reactor
        self._gateway = gateway
        self._leader_key = leader_key
        self._created = created
        self._on_deposed = on_deposed
        self._what = what
        self._prefix = gateway.address.key(folder)
        self._written: dict[str, int] = {}  # by keys: the revision of the last write, of any daemon
        self._unsaved: dict[str, bytes | None] = {}
        self._waiting: list[Deferred[None]] = []
        self._on_their_way: list[Deferred[None]] = []
        self._is_writing = False
        self._writing: Deferred[None] | None = None
        self._why_closed = ""

    async def fetch(self) -> list[tuple[str, KeyValue]]:
        """
        Return what the leaders before have written, with the names below the prefix; none of them can write any more.
        """
        [found] = (await self._gateway.read_all(self._prefix)).found
        self._written = {one.key: one.modified for one in found}
        return [(one.key.removeprefix(self._prefix), one) for one in found]

    def save(self, changes: Mapping[str, bytes | None]) -> Deferred[None]:
        """
        Write C{changes}, by names below the prefix; C{None} for those to be deleted.

        @return: fires when they are written, with L{Deposed} if this daemon does not lead any more before that.
        """
        saved: Deferred[None] = Deferred(lambda _: None)
        if self._why_closed:
            saved.errback(Deposed(self._why_closed))
            return saved
        self._unsaved.update(changes)
        self._waiting.append(saved)
        if not self._is_writing:
            self._is_writing = True
            self._writing = Deferred.fromCoroutine(self._write())
            self._writing.addErrback(self._note_failure)
        return saved

    def close(self, why: str) -> None:
        """Write nothing more: this daemon does not lead, because of C{why}."""
        self._why_closed = why
        waiting = [*self._on_their_way, *self._waiting]
        self._on_their_way, self._waiting = [], []
        if self._writing is not None:
            self._writing.cancel()
        for saved in waiting:
            if not saved.called:
                saved.errback(Deposed(why))

    def _note_failure(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("writing {what}", failure, what=self._what)
            self._on_deposed(f"{self._what} cannot be written")

    async def _write(self) -> None:
        while self._unsaved:
            changes, self._unsaved = self._unsaved, {}
            self._on_their_way, self._waiting = self._waiting, []
            names = list(changes)
            for start in range(0, len(names), BATCH):
                await self._write_batch({name: changes[name] for name in names[start : start + BATCH]})
            written, self._on_their_way = self._on_their_way, []
            for saved in written:
                if not saved.called:
                    saved.callback(None)
        self._is_writing = False

    async def _write_batch(self, changes: Mapping[str, bytes | None]) -> None:
        while True:
            try:
                if await self._try_to_write(changes):
                    self.problem = ""
                    return
                await self._read_again(changes)
            except FlomError as e:  # doubtful, or not permitted at present; what is written twice does no harm
                if not self.problem:
                    self._log.warn("{what} are not written yet: {why}", what=self._what, why=str(e))
                self.problem = str(e)
                await deferLater(self._reactor, RETRY)

    async def _try_to_write(self, changes: Mapping[str, bytes | None]) -> bool:
        keys = {name: self._prefix + name for name in changes}
        compare = [created_at(self._leader_key, self._created)]
        compare += [modified_at(key, self._written.get(key, 0)) for key in keys.values()]
        then = [delete(keys[name]) if value is None else put(keys[name], value) for name, value in changes.items()]
        answer = await self._gateway.transact(compare, then)
        if answer.has_succeeded:
            for name, value in changes.items():
                self._written[keys[name]] = 0 if value is None else answer.revision
        return answer.has_succeeded

    async def _read_again(self, changes: Mapping[str, bytes | None]) -> None:
        """Find out why a write did not hold: this daemon is deposed, or an earlier doubtful try was carried out."""
        keys = [self._prefix + name for name in changes]
        answer = await self._gateway.transact([], [read(self._leader_key), *map(read, keys)])
        leader, *found = answer.found
        if not leader or leader[0].created != self._created:
            self._on_deposed("another daemon leads" if leader else f"{self._leader_key} has gone from etcd")
            await Deferred()  # until close() cancels this
        for key, one in zip(keys, found, strict=True):
            self._written[key] = one[0].modified if one else 0
