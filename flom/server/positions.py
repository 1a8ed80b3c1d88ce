"""
The positions of sequences with a lifespan, in a file of the state directory
(docs/explanation/resources.md, "How long a resource is remembered").

It is a plain file of JSON, replaced as a whole: there are few such sequences, and an administrator can read it, copy it
and remove it without any tool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from twisted.logger import Logger

from flom.core.locks.positions import Position, Remembered
from flom.core.locks.resources.sequence import LAST_VALUE
from flom.core.names import SequenceName, parse_name
from flom.core.requests import MAX_LIFESPAN
from flom.errors import InvalidName
from flom.server.state import StateDirectory, StateError

_LONGEST: Final = MAX_LIFESPAN + 1.0


class Positions:
    """
    What one daemon remembers of its sequences.

    @ivar problem: why they are not remembered; the empty string if they are.
    """

    _log = Logger()

    def __init__(self, state: StateDirectory, address: str) -> None:
        """
        Check what is in the file.

        @param address: tells the daemon from the others that share the directory: where it listens.
        @raise StateError: the file cannot be read, or is not what a daemon at this address has left.
        """
        self.problem = ""
        self._state = state
        self._address = address
        self._name = f"sequences-{sha256(address.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
        self._remembered = self._read()

    def load(self) -> list[Remembered]:
        """Return what is remembered: what the file has by now, unless that could not be written last, or be read."""
        if not self.problem:
            try:
                self._remembered = self._read()
            except StateError as e:
                self._note(str(e))
        return list(self._remembered.values())

    def save(self, changes: Mapping[str, Remembered | None]) -> None:
        """
        Write C{changes} down, of sequences by their names; C{None} for those to be forgotten.

        If the directory cannot be used any more, one line of the log says so.
        """
        changed = {**self._remembered, **changes}
        self._remembered = {name: one for name, one in changed.items() if one is not None}
        sequences = {one.name: fields_of(one) for one in self._remembered.values()}
        text = json.dumps({"address": self._address, "sequences": sequences}, indent=1)
        try:
            if sequences:
                self._state.replace(self._name, f"{text}\n".encode())
            else:
                self._state.remove(self._name)
            self.problem = ""
        except StateError as e:
            self._note(str(e))

    def _read(self) -> dict[str, Remembered]:
        data = self._state.read(self._name)
        try:
            return {} if data is None else _parse(data, self._address)
        except (ValueError, TypeError, KeyError, AttributeError, InvalidName, RecursionError):
            what = f"{self._state.path}/{self._name}"
            raise StateError(f"{what}: it has no positions of sequences at {self._address}") from None

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._log.warn("{problem}: sequences may begin again after a restart", problem=problem)


def _parse(data: bytes, address: str) -> dict[str, Remembered]:
    """Read what L{Positions.save} writes; anything else raises one of many errors."""
    found = json.loads(data)
    if found["address"] != address:
        raise ValueError
    return {name: remembered_from(name, **fields) for name, fields in found["sequences"].items()}


def fields_of(one: Remembered) -> dict[str, Any]:
    """Return what is written of C{one} beside its name, for JSON."""
    return {"retention": one.retention, "last": one.position.last, "rolled_back": one.position.rolled_back}


def remembered_from(name: str, retention: float, last: int, rolled_back: list[int]) -> Remembered:
    """
    Return what was written as L{fields_of}.

    @raise ValueError: none of us can have written that; so do C{TypeError} and L{InvalidName} say.
    """
    parsed = parse_name(name)
    values: list[Any] = [last, *rolled_back]
    if not (
        isinstance(parsed, SequenceName)
        and 0 < retention <= _LONGEST
        and all(type(value) is int and 0 <= value <= LAST_VALUE for value in values)
        and len(set(rolled_back)) == len(rolled_back)
        and 0 not in rolled_back
        and (parsed.transactional or not rolled_back)
    ):
        raise ValueError
    return Remembered(name, float(retention), Position(last, tuple(rolled_back)))
