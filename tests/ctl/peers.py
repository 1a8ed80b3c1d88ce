"""Those who hold and wait, so that there is something to see, and what C{flomctl} tells of them."""

from __future__ import annotations

import socket
import subprocess
from typing import Any

from flom.core.modes import LockMode
from flom.core.protocol.messages import Answer, Lock
from flom.net.machine_id import unique_id
from tests.fakes.daemon import BIN
from tests.fakes.peers import SocketConversation
from tests.fakes.programs import Programs

FLOMCTL = str(BIN / "flomctl")


class Locks:
    """Locks of this process, each over a connection of its own; as a context manager, they are gone outside."""

    def __init__(self, path: str) -> None:
        """
        @param path: the UNIX socket of the daemon.
        """
        self._path = path
        self._conversations: list[SocketConversation] = []

    def ask(self, name: str, mode: LockMode = LockMode.EX, quantity: int = 1, **others: Any) -> int | None:
        """Ask for C{name}, and give the first answer; whatever it is, the connection stays."""
        return self.ask_over(self.connect(), name, mode, quantity, **others)

    def connect(self) -> SocketConversation:
        """Return a new connection."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self._path)
        self._conversations.append(SocketConversation(connection))
        return self._conversations[-1]

    def ask_over(
        self,
        conversation: SocketConversation,
        name: str,
        mode: LockMode = LockMode.EX,
        quantity: int = 1,
        **others: Any,
    ) -> int | None:
        """Do as L{ask} does, over a connection that there is."""
        wishes = {"wait": True, "create": True, "peer_id": unique_id(), **others}
        conversation.say(Lock(name, mode, quantity, **wishes))
        answer = conversation.read()
        assert isinstance(answer, Answer)
        return answer.code

    def close(self) -> None:
        """Release all locks."""
        for conversation in self._conversations:
            conversation.close()
        self._conversations.clear()

    def __enter__(self) -> Locks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def flomctl(programs: Programs, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run C{flomctl} to its end."""
    return programs.start_program(FLOMCTL, *words, **options).finish()


def rows_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, str]]:
    """Read what C{flomctl status} writes when stdout is no terminal."""
    assert (done.returncode, done.stderr) == (0, "")
    head, heading, *lines = done.stdout.splitlines()
    assert head.startswith("# flom ")
    return [dict(zip(heading.split("\t"), line.split("\t"), strict=True)) for line in lines]
