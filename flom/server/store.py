"""
What a daemon keeps durably beside its locks, as texts by keys: holds without a process, and values of resources.

What was written is there when L{Store.write} says so, whatever happens to the machine from then on, and is read before
the first grant of the next daemon: in the state directory, or, under a quorum, at etcd
(L{flom.server.quorum.store}). Of groups without a quorum nothing is kept: the daemon that leads next is on another
host.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from twisted.internet.defer import Deferred, execute, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.errors import FlomError
from flom.server.state import StateDirectory, StateError

NO_DIRECTORY: Final = "it has no state directory (--state)"
NO_QUORUM: Final = "it is in a group without a quorum (--quorum)"
NOT_LEADING: Final = "it does not lead"

_PREFIX: Final = "kept-"

Failures = dict[str, StateError]
"""What could not be written, by keys, and why."""


class NotKept(FlomError):
    """Nothing can be kept here; the text says why."""


class Store:
    """
    Keeps nothing; a daemon that can keep something has one of the subclasses.

    Keys begin with a word and a blank that say whose they are, such as C{hold } and C{value }, and may have any other
    characters.

    @ivar why_not: why nothing can be kept, as words that follow C{the daemon keeps nothing beyond its end: }; the empty
        string if it can.
    @ivar problem: why the last write has failed; the empty string if it has not.
    """

    problem = ""

    def __init__(self, why_not: str = NO_DIRECTORY) -> None:
        self.why_not = why_not

    def load(self) -> dict[str, str]:
        """Return all texts, by their keys, as they were written last, by this daemon or the one before."""
        return {}

    def write(self, key: str, text: str | None) -> Deferred[None]:
        """
        Keep C{text} at C{key}, in the place of what is there; C{None}: nothing.

        Of several writes of one key, the last one counts, and none fires before it is durable.

        @return: fires when it is durable; fails with a L{FlomError} if it is not known to be: then either text, or
            both one after the other, may be read later.
        """
        return fail(NotKept(f"nothing is kept: {self.why_not}"))


class FileStore(Store):
    """
    Keeps each text in a file of the state directory.

    A write takes milliseconds, or seconds where the disk is busy, so that it is done in a thread. What is to be written
    while another write goes on is written right after that, in one go.
    """

    _log = Logger()

    def __init__(
        self,
        state: StateDirectory,
        address: str,
        defer: Callable[[Callable[[], Failures]], Deferred[Failures]] = execute,
    ) -> None:
        """
        Read what is there.

        @param address: tells the daemon from the others that share the directory: where it listens.
        @param defer: calls what it is given, perhaps in a thread, and returns what fires with its result.
        @raise StateError: a file cannot be read, or is not what a daemon at this address has left.
        """
        super().__init__("")
        self._state = state
        self._address = address
        self._prefix = f"{_PREFIX}{_digest(address, 16)}-"
        self._defer = defer
        self._texts = self._read()
        self._unwritten: dict[str, str | None] = {}
        self._waiting: dict[str, list[Deferred[None]]] = {}
        self._is_writing = False

    def load(self) -> dict[str, str]:
        return dict(self._texts)

    def write(self, key: str, text: str | None) -> Deferred[None]:
        written: Deferred[None] = Deferred(lambda _: None)
        self._unwritten[key] = text
        self._waiting.setdefault(key, []).append(written)
        if not self._is_writing:
            self._write_next()
        return written

    def _write_next(self) -> None:
        changes, self._unwritten = self._unwritten, {}
        waiting, self._waiting = self._waiting, {}
        self._is_writing = bool(changes)
        if changes:
            self._defer(lambda: self._replace(changes)).addBoth(self._note_written, changes, waiting)

    def _replace(self, changes: Mapping[str, str | None]) -> Failures:
        """Write C{changes}; this is called in a thread, in no two at a time."""
        failures: Failures = {}
        for key, text in changes.items():
            name = self._name_of(key)
            try:
                if text is None:
                    self._state.remove(name)
                else:
                    kept = {"address": self._address, "key": key, "text": text}
                    self._state.replace(name, f"{json.dumps(kept)}\n".encode())
            except StateError as e:
                failures[key] = e
        return failures

    def _note_written(
        self,
        result: Failures | Failure,
        changes: Mapping[str, str | None],
        waiting: Mapping[str, list[Deferred[None]]],
    ) -> None:
        if isinstance(result, Failure):
            self._log.failure("writing to the state directory", result)
            result = dict.fromkeys(changes, StateError(f"{self._state.path}: {result.getErrorMessage()}"))
        self.problem = next(map(str, result.values()), "")
        for key, text in changes.items():
            if key not in result and text is None:
                self._texts.pop(key, None)
            elif key not in result and text is not None:
                self._texts[key] = text
        self._write_next()  # before others are told, who may write more
        for key, several in waiting.items():
            for written in several:
                if not written.called:
                    written.errback(result[key]) if key in result else written.callback(None)

    def _read(self) -> dict[str, str]:
        texts = {}
        for name in self._state.names():
            if name.startswith(self._prefix) and not name.endswith(".new"):
                data = self._state.read(name)
                if data is not None:
                    key, text = self._parse(name, data)
                    texts[key] = text
        return texts

    def _parse(self, name: str, data: bytes) -> tuple[str, str]:
        try:
            found = json.loads(data)
            address, key, text = found["address"], found["key"], found["text"]
            if address != self._address or self._name_of(key) != name or not isinstance(text, str):
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            what = f"{self._state.path}/{name}"
            raise StateError(f"{what}: it is nothing that a daemon at {self._address} has kept") from None
        return key, text

    def _name_of(self, key: str) -> str:
        return f"{self._prefix}{_digest(key, 32)}"


def _digest(text: str, digits: int) -> str:
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:digits]
