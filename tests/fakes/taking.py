"""An Acquirer at work, for tests that play its daemon."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flom.client.blocking.acquire import Acquirer, Hooks
from flom.client.blocking.connection import Conversation
from flom.config import Config
from flom.core.modes import EX
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Lock
from flom.errors import FlomError

REQUEST = Lock("R", EX, 1, True, True, lifespan=2.0, peer_id="id")


class Heard(Hooks):
    """
    Notes what it is told.

    @ivar asked: the connections over which the lock was asked for.
    @ivar said: what was said.
    @ivar warned: the warnings.
    @ivar problem: raised when one is about to be.
    """

    def __init__(self) -> None:
        self.asked: list[Conversation] = []
        self.said: list[str] = []
        self.warned: list[str] = []
        self.problem: FlomError | None = None

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def say(self, text: str) -> None:
        self.said.append(text)

    def asks(self, conversation: Conversation) -> None:
        self.asked.append(conversation)
        if self.problem is not None:
            raise self.problem


class Taking:
    """An L{Acquirer} at work in a thread."""

    def __init__(self, path: str, pool: ThreadPoolExecutor) -> None:
        self.path = path
        self.hooks = Heard()
        self._pool = pool

    def acquirer(self, timeout: float | None = None, *, may_start: bool = False, **config: Any) -> Acquirer:
        return Acquirer(Config(socket_name=self.path, **config), self.hooks, timeout, may_start=may_start)

    def start(self, acquirer: Acquirer, message: Lock = REQUEST) -> Future[tuple[Conversation, Granted]]:
        return self._pool.submit(acquirer.acquire, message)
