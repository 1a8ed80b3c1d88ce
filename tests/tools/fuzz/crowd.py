"""
Clients of a real daemon, in one thread: well-behaved ones that are checked, and vandals that are not.

L{Crowd} makes up what they do from a C{Random}; the fuzz tests and the soak share it.
"""

from __future__ import annotations

import selectors
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from time import monotonic
from typing import Any, Final

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MessageReader
from flom.core.protocol.messages import Answer, Lock, Message, More, Unlock
from tests.tools.fuzz.checker import Checker, Claim, Witness, Wrong, key_of
from tests.tools.fuzz.malformed import cut, garbage
from tests.tools.fuzz.messages import (
    NAMES,
    PEER_ID,
    any_message,
    mutated,
    orders_shutdown,
    several_locks,
    spelled,
    valid_lock,
)

Address = str | tuple[str, int]
"""Where a daemon listens: the path of a UNIX socket, or a host and a port."""

PATIENCE: Final = 30.0
"""Seconds in which waiters must be served when all clients release their locks; only a failure takes so long."""

_RESET: Final = struct.pack("ii", 1, 0)  # linger for no time: the other end gets an RST


def connect(address: Address) -> socket.socket:
    """Connect to a daemon; the socket does not block from then on."""
    connected = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    connected.settimeout(PATIENCE)
    connected.connect(address)
    connected.setblocking(False)
    return connected


class RawClient:
    """
    One well-behaved client: it waits for each answer before it says something else.

    @ivar extended: whether it is one of ours, which has a session over TCP.
    """

    def __init__(self, address: Address, checker: Checker, key: str, *, extended: bool = False) -> None:
        self.socket = connect(address)
        self.key = key
        self.extended = extended
        self._secret = ""
        self._granted: list[tuple[Claim, Answer]] = []
        self.witness = Witness(checker)
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self.is_dismissed = False

    def fileno(self) -> int:
        return self.socket.fileno()

    @property
    def awaits(self) -> bool:
        """Whether something it has asked is not decided."""
        return bool(self.witness.asked or self.witness.begun or self.witness.waiting)

    def reclaims(self) -> list[Lock]:
        """Return what reclaims the last of what it holds, if it can: who comes back twice is there once only."""
        if not self.extended or self.awaits:
            return []
        for claim, answer in reversed(self._granted):
            if claim in self.witness.held:
                lock = Lock(claim.name, LockMode(claim.mode), claim.quantity, False, True, 0.0, PEER_ID, True, True)
                said = {"element": claim.element, "token": answer.token, "proof": answer.proof}
                return [lock.replace(session=self._secret, **said)]
        return []

    def say(self, message: Message) -> None:
        self.witness.says(message)
        self.socket.sendall(encode(message))  # it is small, and everything before it was answered

    def hear(self) -> None:
        """
        Receive what has come.

        @raise Wrong: it must not have come, or the connection has ended.
        """
        data = self.socket.recv(65536)
        if not data and not self.is_dismissed:
            raise Wrong(f"the daemon left a client that holds {self.witness.held}, waits for {self.witness.waiting}")
        for message in self._reader.feed(data):
            self.witness.hears(message)
            if isinstance(message, Answer):
                self._note(message)

    def _note(self, answer: Answer) -> None:
        self._secret = answer.session or self._secret
        self.is_dismissed = answer.code == -14 or (answer.code == 5 and not self.extended)
        if answer.code == 0 and self.witness.held:
            self._granted = [*self._granted[-5:], (self.witness.held[-1], answer)]
        if (begun := self.witness.begun) is not None:
            self.say(More(begun.session, begun.element, begun.token, begun.proof, begun.holder, begun.waited))

    def close(self, *, reset: bool = False, half: bool = False) -> None:
        """End the connection: in order, by a reset, or only our side, and the rest when the daemon has done its own."""
        self.witness.leaves()
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if half:
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.settimeout(PATIENCE)
            while self.socket.recv(65536):
                pass  # what was on its way
        self.socket.close()


class Vandal:
    """A client that sends anything but an order to shut down, and leaves in any way."""

    def __init__(self, address: Address, random: Random) -> None:
        self.socket = connect(address)
        self._random = random
        while orders_shutdown(script := self._script()):
            pass
        self.script = script
        self._pieces = [piece for piece in cut(random, script) if piece][::-1]
        self.stays_silent = random.random() < 0.1

    def _script(self) -> bytes:
        random = self._random
        said: list[Callable[[], bytes]] = [lambda: spelled(any_message(random)), lambda: garbage(random)]
        said.append(lambda: several_locks(random))
        return b"".join(random.choices(said, [4, 5, 1])[0]() for _ in range(random.randint(1, 4)))

    def fileno(self) -> int:
        return self.socket.fileno()

    def act(self) -> bool:
        """Send some of it; tell whether it is still there."""
        try:
            for _ in range(50):
                if self._pieces:
                    self.socket.send(self._pieces.pop())
        except BlockingIOError:
            return True
        except OSError:  # the daemon has had enough
            self.close()
            return False
        if self.stays_silent:
            return True
        self.close()
        return False

    def hear(self) -> None:
        """Ignore what has come."""
        try:
            if not self.socket.recv(65536):
                self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def close(self) -> None:
        if self.fileno() < 0:
            return
        try:
            match self._random.randrange(3):
                case 0:
                    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                case 1:
                    self.socket.shutdown(socket.SHUT_WR)
                case _:
                    pass
        except OSError:
            pass  # it is closed already
        self.socket.close()


class Crowd:
    """
    Some clients and some vandals at the addresses of one daemon.

    @ivar former: what reclaims what was held on connections that broke, or at a daemon that was killed.
    @ivar did: how often what was done.
    @ivar history: the last things that clients did, in words.
    """

    def __init__(
        self, addresses: list[Address], random: Random, *, size: int = 30, vandals: int = 10, names: list[str] = NAMES
    ) -> None:
        self._addresses = addresses
        self._random = random
        self._size = size
        self._max_vandals = vandals
        self._names = names
        self._selector = selectors.DefaultSelector()
        self._clients: list[RawClient] = []
        self._vandals: list[Vandal] = []
        self.checker = Checker()
        self.did: Counter[str] = Counter()
        self.history: deque[str] = deque(maxlen=5000)
        self.former: deque[Lock] = deque(maxlen=100)

    def play(self, seconds: float) -> None:
        """
        Do anything for C{seconds}, then wait for all clients to finish and go.

        @raise Wrong: a client was told something that cannot be, or not what it waited for.
        """
        end = monotonic() + seconds
        while monotonic() < end:
            self.turn()
        self.settle()

    def turn(self) -> None:
        """Make some clients act, then receive the answers."""
        random = self._random
        if len(self._clients) < self._size:
            self._add_client()
        if len(self._vandals) < self._max_vandals:
            self._add_vandal()
        for client in random.sample(self._clients, min(5, len(self._clients))):
            self._act(client)
        for vandal in random.sample(self._vandals, min(3, len(self._vandals))):
            self._act_badly(vandal)
        self._hear(0.0005)

    def settle(self) -> None:
        """Close the vandals, serve all waiters, and close all clients."""
        for vandal in self._vandals[:]:
            self._forget(vandal)
            vandal.close()
        deadline = monotonic() + PATIENCE
        while self._clients:
            for client in self._clients[:]:
                if client.witness.asked and not client.is_dismissed:
                    pass  # the answer is due
                elif client.witness.held and self._random.random() < 0.5:
                    self._say(client, Unlock(client.witness.held[-1].name))
                elif client.witness.held or client.witness.incubated or not client.awaits:
                    self._leave(client)
            if self._clients:
                self._hear(0.1)
            if monotonic() > deadline:
                waiting = [client.witness.waiting for client in self._clients]
                raise Wrong(f"no lock is held any more, and still these wait: {waiting}")

    def abandon(self) -> None:
        """Close what is open: the daemon was killed."""
        for client in self._clients:
            self.former += client.reclaims()
        self.close()

    def close(self) -> None:
        """Close what is open, without a word."""
        for each in self._clients + self._vandals:
            each.socket.close()
        self._selector.close()

    def _add_client(self) -> None:
        random = self._random
        key = key_of(random.choice(self._names))
        client = RawClient(random.choice(self._addresses), self.checker, key, extended=random.random() < 0.5)
        self._clients.append(client)
        self._selector.register(client, selectors.EVENT_READ)
        self.did["connected"] += 1

    def _add_vandal(self) -> None:
        vandal = Vandal(self._random.choice(self._addresses), self._random)
        self.history.append(f"vandal {vandal.fileno()}: {vandal.script!r}")
        self._vandals.append(vandal)
        self._selector.register(vandal, selectors.EVENT_READ)
        self.did["vandals"] += 1

    def _act(self, client: RawClient) -> None:
        random = self._random
        if client.is_dismissed:
            self._leave(client)
        elif client.witness.asked or client.witness.begun:
            pass  # the answer is due
        elif random.random() < 0.1:
            how = random.choice([{}, {"reset": True}, {"half": True}])
            if how == {"reset": True}:
                self.former += client.reclaims()
            self._leave(client, **how)
        elif client.awaits:
            pass
        elif client.witness.held and random.random() < 0.7:
            name = random.choice(client.witness.held).name
            self._say(client, Unlock(name, rollback=random.random() < 0.3))
        elif (lock := self._reclaim(client)) is not None:
            self.did["reclaims"] += 1
            self._say(client, lock)
        else:
            name = random.choice([name for name in self._names if key_of(name) == client.key])
            lock = valid_lock(random, name, regains=False, session="", extended=client.extended)
            if client.witness.held:
                lock = lock.replace(wait=False, create=True)  # it must not wait for itself
            self._say(client, lock)

    def _reclaim(self, client: RawClient) -> Lock | None:
        """Return what is reclaimed by C{client}, which holds nothing, if anything is to be."""
        random = self._random
        if client.witness.held or not client.extended:
            return None
        lock = next((lock for lock in self.former if key_of(lock.name) == client.key), None)
        if lock is None:
            return None
        self.former.remove(lock)
        if random.random() < 0.5:
            lock = mutated(random, lock)
        return lock.replace(more=random.random() < 0.2)

    def _act_badly(self, vandal: Vandal) -> None:
        before = vandal.fileno()
        self._selector.unregister(vandal)
        if before >= 0 and vandal.act():
            self._selector.register(vandal, selectors.EVENT_READ)
            if vandal.stays_silent and self._random.random() < 0.05:
                self._forget(vandal)
                vandal.close()
        else:
            self._vandals.remove(vandal)

    def _say(self, client: RawClient, message: Lock | Unlock) -> None:
        self.did[type(message).__name__.lower()] += 1
        self.history.append(f"client {client.fileno()}: {message}")
        client.say(message)

    def _leave(self, client: RawClient, **how: Any) -> None:
        self.did["left by " + ("".join(how) or "close")] += 1
        self.history.append(f"client {client.fileno()} leaves: {how}")
        self._clients.remove(client)
        self._selector.unregister(client)
        client.close(**how)

    def _forget(self, vandal: Vandal) -> None:
        self._vandals.remove(vandal)
        if vandal.fileno() >= 0:
            self._selector.unregister(vandal)

    def _hear(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            each: Any = key.fileobj
            if isinstance(each, RawClient):
                each.hear()
            else:
                self._selector.unregister(each)
                each.hear()
                if each.fileno() >= 0:
                    self._selector.register(each, selectors.EVENT_READ)
                else:
                    self._vandals.remove(each)
