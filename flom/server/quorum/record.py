"""
What a daemon has seen of etcd, in a file of the state directory, so that it notices when etcd has gone back meanwhile.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import NamedTuple

from twisted.logger import Logger

from flom.server.state import StateDirectory, StateError


class Seen(NamedTuple):
    """
    The highest numbers of one quorum.

    @ivar epoch: -1 for none.
    @ivar revision: 0 for none.
    @ivar raised: see L{flom.server.quorum.offset.Offset}.
    """

    epoch: int = -1
    revision: int = 0
    raised: int = 0


class Record:
    """
    What one user's daemons have seen of one quorum.

    @ivar problem: why it is not remembered; the empty string if it is, or is not meant to be.
    """

    _log = Logger()

    def __init__(self, state: StateDirectory | None, address: str) -> None:
        """@param address: of the quorum, see L{flom.server.quorum.address.QuorumAddress}."""
        self.problem = ""
        self._state = state
        self._address = address
        self._name = f"quorum-{sha256(address.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"

    def read(self) -> Seen | None:
        """Return what was seen; C{None} if nothing was, or what is there cannot be read, which is logged."""
        if self._state is None:
            return None
        try:
            data = self._state.read(self._name)
            if data is None:
                return None
            found = json.loads(data)
            seen = Seen(found["epoch"], found["revision"], found["raised"])
            if found["address"] == self._address and all(type(each) is int for each in seen):
                return seen
            raise ValueError
        except StateError as e:
            self._note(str(e))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._note(f"{self._state.path}/{self._name}: it does not say what was seen of {self._address}")
        return None

    def write(self, seen: Seen) -> None:
        """Remember C{seen}, or what others have seen, whichever is higher; if that is not possible, log it."""
        if self._state is None:
            return
        try:
            with self._state.locked():
                before = self.read() or Seen()
                seen = seen._replace(epoch=max(seen.epoch, before.epoch))
                text = {"address": self._address, **seen._asdict()}
                self._state.replace(self._name, f"{json.dumps(text)}\n".encode())
            self.problem = ""
        except StateError as e:
            self._note(str(e))

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._log.warn("{problem}: after a restart, it may not be noticed that etcd has gone back", problem=problem)
