"""The two ends of a conversation as plain sockets: a daemon that says what a test wants, and a client that asks."""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MessageReader
from flom.core.protocol.messages import Answer, Lock, Message, Terms, Unlock, Unlocked

PATIENCE = 20.0  # seconds until a peer that says nothing fails the test
WHILE = 0.3  # seconds in which something would happen that should not


class SocketConversation:
    """One connection; every wait in it ends after L{PATIENCE}."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        self._connection = connection
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self._messages: list[Message] = []

    def read(self) -> Message | None:
        """Return the next message; C{None} when the peer has closed."""
        while not self._messages:
            try:
                data = self._connection.recv(4096)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._messages += self._reader.feed(data)
        return self._messages.pop(0)

    def is_open(self) -> bool:
        """Return whether the peer, which says nothing, has the connection open: it does not close it for a while."""
        readable, _, _ = select.select([self._connection], [], [], WHILE)
        return not readable

    def say(self, message: Message) -> None:
        self._connection.sendall(encode(message))

    def answer(self, code: int, *, step: int = 16, element: str | None = None, token: int = 0) -> None:
        self.say(Answer(step, code, element, "0" * 32 if step == 16 else None, token=token))

    def answer_as_ours(self, code: int) -> None:
        """Answer as a daemon of this project does."""
        self.say(Answer(16, code, None, "0" * 32, extended=True))

    def wait_for_turn(self, terms: Terms) -> None:
        """Say that the lock must be waited for, and C{terms}."""
        self.say(Answer(16, Outcome.QUEUED, None, "0" * 32, extended=True, session="0123456789abcdef" * 2, terms=terms))

    def unlock(self) -> None:
        """Wait for the unlock, and confirm it."""
        message = self.read()
        assert isinstance(message, Unlock)
        self.say(Unlocked())

    def send(self, data: bytes) -> None:
        """Send anything."""
        self._connection.sendall(data)

    def end(self) -> None:
        """End the connection, which another thread may be reading from."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()


class FakeDaemon:
    """Listens on a UNIX socket and leaves the answers to the test; as a context manager, it is gone outside."""

    def __init__(self, path: str) -> None:
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(path)
        self._listen()

    def _listen(self) -> None:
        self._listening.listen()
        self._listening.settimeout(PATIENCE)
        self._conversations: list[SocketConversation] = []

    def accept(self) -> tuple[SocketConversation, Lock]:
        """Wait for a client; give the connection and what it asks for; those that end without a word do not count."""
        asked: Message | None = None
        while asked is None:
            connection, _ = self._listening.accept()
            conversation = SocketConversation(connection)
            self._conversations.append(conversation)
            asked = conversation.read()
        assert isinstance(asked, Lock)
        return conversation, asked

    def __enter__(self) -> FakeDaemon:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Go away, as a daemon does that is killed."""
        self._listening.close()
        for conversation in self._conversations:
            conversation.close()


class FakeHost(FakeDaemon):
    """
    The same at a TCP address.

    @ivar connections: how many it has closed as a standby.
    """

    def __init__(self, host: str, port: int) -> None:
        self._listening = socket.create_server((host, port))
        self._listen()
        self.connections = 0

    def stand_by(self) -> None:
        """Close every connection at once, from now on until the end."""
        threading.Thread(target=self._turn_away, daemon=True).start()

    def _turn_away(self) -> None:
        try:
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                connection.close()
        except OSError:
            pass  # it is closed


class SocketClient:
    """Asks a real daemon for locks; as a context manager, it has given up everything outside."""

    def __init__(self, path: str) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(path)
        self._conversation = SocketConversation(connection)

    def ask(self, name: str, *, wait: bool = False) -> int | None:
        """Ask for C{name} exclusively; return the first answer, the number of an L{Outcome}."""
        self._conversation.say(Lock(name, LockMode.EX, 1, wait, True))
        return self.next()

    def next(self) -> int | None:
        """Return the next answer, the number of an L{Outcome}."""
        answer = self._conversation.read()
        assert isinstance(answer, Answer)
        return answer.code

    def close(self) -> None:
        self._conversation.close()

    def __enter__(self) -> SocketClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def is_locked(path: str, name: str) -> bool:
    """Return whether C{name} is held at the daemon on C{path}."""
    with SocketClient(path) as client:
        return client.ask(name) == Outcome.BUSY
