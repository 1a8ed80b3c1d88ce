"""A daemon and its clients in one process, bytes in and bytes out, without a network: L{Scene}."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from flom.core.locks.snapshot import LockView as Shown
from flom.core.locks.snapshot import TableView
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MessageReader
from flom.core.protocol.messages import Answer, Lock, Message, Unlock
from flom.errors import RemoteProtocolError
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory, LockProtocol
from flom.server.limits import DEFAULT_LIMITS, Limits
from flom.server.options import ServerOptions
from tests.fakes.connections import TcpTransport, Transport
from tests.fakes.failures import failures_logged
from tests.tools.fuzz.checker import Checker, Claim, Witness, Wrong, key_of
from tests.tools.fuzz.malformed import cut, garbage
from tests.tools.fuzz.messages import NAMES, any_message, mutated, spelled, valid_lock

IDLE: float = 60.0
"""Seconds after which nothing is remembered of a resource without clients."""


class Wire(Transport):
    """A transport that, as real ones, sends nothing after its end, or after that of our side."""

    def write(self, data: bytes) -> None:
        if not (self.half_closed or self.disconnecting):
            super().write(data)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))


class TcpWire(Wire, TcpTransport):
    """The same over TCP, where a session outlives a connection that breaks."""


@dataclass(eq=False)
class Client:
    """
    One connection: what it is bound to, and what it may still say.

    @ivar granted: what reclaims what was granted last, in its session; C{None} if it has none.
    """

    number: int
    protocol: LockProtocol
    wire: Wire
    witness: Witness
    key: str
    extended: bool
    reader: MessageReader = field(default_factory=lambda: MessageReader(MAX_ANSWER_SIZE))
    secret: str = ""
    granted: Lock | None = None

    @property
    def is_closing(self) -> bool:
        """Whether the daemon has closed the connection, or its side of it."""
        return self.wire.disconnecting or self.wire.half_closed or self.wire.aborted

    def hear(self) -> None:
        """Receive what the daemon has said since the last call."""
        data = self.wire.value()
        self.wire.clear()
        if self.witness.is_vague:
            return
        heard = list(self.reader.feed(data))
        if b"".join(encode(message) for message in heard) != data:
            raise Wrong(f"this is not how an answer is spelled: {data!r}")
        for message in heard:
            asked = self.witness.asked[0] if self.witness.asked else None
            self.witness.hears(message)
            if isinstance(message, Answer):
                self.secret = message.session or self.secret
                if message.code == 0 and asked is not None and self.secret:
                    had = {"element": message.element, "token": message.token, "proof": message.proof}
                    self.granted = asked.replace(regains=True, wait=False, session=self.secret, **had)


class Scene:
    """
    Plays what a C{Random} makes up, and checks after each turn that the clients were told the truth.

    @ivar script: what was done so far, in words.
    """

    def __init__(self, random: Random, *, names: list[str] = NAMES, limits: Limits = DEFAULT_LIMITS) -> None:
        self._random = random
        self._names = names
        self._limits = limits
        self._clock = Clock()
        self._arbiter = DeferredArbiter(self._clock, limits=limits)
        self._factory = LockFactory(self._arbiter, self._clock, ServerOptions(limits=limits))
        self._clients: list[Client] = []
        self._broken: list[tuple[float, Client]] = []  # until when each is expected back
        self._numbers = count(1)
        self.checker = Checker()
        self.script: list[str] = []

    def play(self, turns: int) -> None:
        """
        Play C{turns} turns, then disconnect all clients.

        @raise Wrong: the daemon did what it must not.
        """
        with failures_logged() as failures:
            for _ in range(turns):
                self._turn()
                self._check()
            while self._clients:
                self._part(self._random.choice(self._clients))
                self._check()
            self._clock.advance(IDLE)
        if failures:
            raise Wrong(failures[0].getTraceback())
        view, now = self._arbiter.view(), self._clock.seconds()
        left = [
            each for each in view.resources if each.idle_until is None or each.idle_until <= now
        ]  # or asked to stay
        if left or view.incubator or not self._arbiter.is_deserted:
            raise Wrong(f"all clients have gone, and this is left: {view}")

    def _turn(self) -> None:
        random, what = self._random, self._random.random()
        if self._broken and what < 0.04:
            self._come_back(random.choice(self._broken)[1])
        elif not self._clients or (what < 0.12 and len(self._clients) < 12):
            self._connect()
        elif what < 0.2:
            self._advance(random.choice([0.001, 0.1, 1.0, 2.5, 31.0]))
        else:
            client = random.choice(self._clients)
            if what < 0.25 or (client.is_closing and what < 0.6):
                if client.granted is not None and not client.is_closing and random.random() < 0.5:
                    self._break(client)
                else:
                    self._part(client)
            elif client.is_closing or what < 0.3:
                self._go_astray(client)
            else:
                self._say(client)

    def _connect(self, key: str = "", kind: type[Wire] | None = None) -> Client:
        protocol = self._factory.buildProtocol(None)
        assert isinstance(protocol, LockProtocol)
        random = self._random
        wire = (kind or random.choice([Wire, TcpWire]))()
        number = next(self._numbers)
        key = key or key_of(random.choice(self._names))
        is_extended = kind is not None or random.random() < 0.4
        client = Client(number, protocol, wire, Witness(self.checker), key, extended=is_extended)
        self.script.append(f"{number} connects")
        protocol.makeConnection(wire)
        self._clients.append(client)
        self._hear()
        return client

    def _break(self, client: Client) -> None:
        """Break the connection of C{client}: what it has is kept for a while, and who has it is not told."""
        self.script.append(f"the connection of {client.number} breaks")
        client.witness.goes_astray({client.key})
        self._clients.remove(client)
        self._broken.append((self._clock.seconds() + self._limits.session_timeout, client))
        client.protocol.connectionLost(Failure(ConnectionLost()))
        self._hear()

    def _come_back(self, former: Client) -> None:
        """Go on with the session of C{former} on another connection, or with something like it."""
        client = self._connect(former.key, TcpWire)
        if client not in self._clients:
            return  # it was not let in
        assert former.granted is not None
        lock = former.granted.replace(extended=True)
        if self._random.random() < 0.5:
            lock = mutated(self._random, lock)
        self.script.append(f"{client.number} says {lock}, as {former.number}")
        client.witness.goes_astray({client.key})
        client.protocol.dataReceived(encode(lock))
        self._hear()

    def _advance(self, seconds: float) -> None:
        self.script.append(f"{seconds} s pass")
        self._clock.advance(seconds)
        for due, client in self._broken:
            if due <= self._clock.seconds():
                client.witness.leaves()
        self._broken = [each for each in self._broken if each[0] > self._clock.seconds()]
        self._hear()

    def _say(self, client: Client) -> None:
        """Send a message about the client's resource, cut anywhere; it is said when its last byte has left."""
        random = self._random
        name = random.choice([name for name in self._names if key_of(name) == client.key])
        message: Message
        if random.random() < 0.4:
            message = Unlock(name, rollback=random.random() < 0.5)
        else:
            message = valid_lock(random, name, extended=client.extended)
        self.script.append(f"{client.number} says {message}")
        *begun, last = [piece for piece in cut(random, encode(message)) if piece]
        for piece in begun:
            client.protocol.dataReceived(piece)
        client.witness.says(message)
        client.protocol.dataReceived(last)
        self._hear()

    def _go_astray(self, client: Client) -> None:
        """Send anything."""
        random = self._random
        data = spelled(any_message(random)) if random.random() < 0.5 else garbage(random)
        self.script.append(f"{client.number} sends {data!r}")
        if not client.is_closing:
            client.witness.goes_astray({client.key} | {key_of(name) for name in names_in(data)})
        for piece in cut(random, data):
            if not client.wire.disconnecting:
                client.protocol.dataReceived(piece)
        self._hear()

    def _part(self, client: Client) -> None:
        self.script.append(f"{client.number} is gone")
        client.witness.leaves()
        self._clients.remove(client)
        client.protocol.connectionLost()
        self._hear()

    def _hear(self) -> None:
        """Receive every client's answers, then drop those whose connection the daemon has closed."""
        for client in self._clients:
            client.hear()
        for client in self._clients[:]:
            if client.wire.disconnecting and client in self._clients:
                self._part(client)

    def _check(self) -> None:
        """Compare what the daemon shows with what the clients were told."""
        self.checker.check_nobody_is_forgotten()
        view = self._arbiter.view()
        self._check_limits(view)
        held = {key_of(resource.name): _count(resource.holders) for resource in view.resources}
        waiting = {key_of(resource.name): _count(resource.waiters) for resource in view.resources}
        for claim in view.incubator:
            waiting.setdefault(key_of(claim.request.name.text), Counter()).update(_count([claim]))
        for key in held.keys() | waiting.keys() | self.checker.keys():
            if self.checker.is_vague(key):
                continue
            for what, shown, told in (
                ("holders", held.get(key, Counter()), self.checker.held(key)),
                ("waiters", waiting.get(key, Counter()), self.checker.waited_for(key)),
            ):
                if shown != told:
                    raise Wrong(f"{what} of {key}: {dict(shown)} in the daemon, {dict(told)} were told so")

    def _check_limits(self, view: TableView) -> None:
        """Check that no client has more than it may have."""
        limits = self._limits
        locks = Counter(claim.request.session for each in view.resources for claim in [*each.holders, *each.waiters])
        for what, most, counts in (
            ("connections", limits.connections, [len(self._clients)]),
            ("resources", limits.resources, [len(view.resources)]),
            ("waiters", limits.waiters, [len(resource.waiters) for resource in view.resources]),
            ("locks", limits.locks_per_connection, locks.values()),
        ):
            if max(counts, default=0) > most:
                raise Wrong(f"there may be {most} {what}, and there are more: {view}")


def names_in(data: bytes) -> set[str]:
    """Return the names in the messages that C{data} begins with."""
    names = set()
    try:
        for message in MessageReader().feed(data):
            names.add(str(getattr(message, "name", "")))
    except RemoteProtocolError:
        pass  # those before it count
    return names


def _count(claims: list[Shown]) -> Counter[Claim]:
    return Counter(
        Claim(request.name.text, int(request.mode), request.quantity, element) for _, request, _, element, *_ in claims
    )
