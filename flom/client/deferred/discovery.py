"""Looking for the daemon of a multicast group (docs/compatibility.md, "Discovery by the client")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater

from flom.codes import ReturnCode
from flom.core.group.addresses import Group, Sender, destination, is_loopback
from flom.core.group.discovery import ASK_AGAIN
from flom.core.group.election import FLOM, rank
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from flom.errors import DaemonUnreachable, RemoteProtocolError
from flom.net.multicast import NoMulticast
from flom.reactor.endpoints import connect_within
from flom.reactor.multicast_port import GroupPort
from flom.text import host_port

SETTLE: Final = 0.02
"""Seconds after the first answer in which others may come: all clients are to choose the same daemon."""

INTERREGNUM: Final = 10.0
"""Seconds that those who stand by have to elect a leader."""

_MOST_TRIED: Final = 3  # of those who answer, and most named in a warning: anybody can answer

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for connecting to a daemon that has just answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What a daemon has said.

    @ivar host: where it is to be reached, with C{port}.
    """

    host: str
    port: int
    reply: Discovered
    sender: Sender

    @property
    def standing(self) -> Standing:
        """What the daemon is to its group."""
        return self.reply.standing or FLOM

    @property
    def peer(self) -> str:
        """Names the daemon to a user."""
        return host_port(self.host, self.port)

    @property
    def preference(self) -> tuple[object, ...]:
        """Orders answers the same way on every client: who will stay if the daemons see each other comes first."""
        return (*rank(self.standing), self.peer)


class Answers:
    """
    What daemons of a group have said, one answer for each of them.

    What is no answer is passed over, whoever sent it, and we go on waiting
    (docs/compatibility.md, "A bad reply to discovery crashes the client").
    """

    def __init__(self, group: Group, say: Callable[[str], None]) -> None:
        """
        @param say: told what is received.
        """
        self._group = group
        self._say = say
        self._found: dict[object, Answer] = {}

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self._found)

    @property
    def all(self) -> list[Answer]:
        """All of them, the one to choose first."""
        return sorted(self._found.values(), key=lambda answer: answer.preference)

    @property
    def leaders(self) -> list[Answer]:
        """Those of daemons that lead, the one to choose first."""
        return [answer for answer in self.all if answer.standing.role is Role.LEADER]

    def take(self, datagram: bytes, sender: Sender) -> None:
        """Take what has come from C{sender}."""
        where = f"{sender[0]}/{sender[1]}"
        try:
            if len(datagram) > MAX_ANSWER_SIZE:
                raise RemoteProtocolError(f"more than {MAX_ANSWER_SIZE} bytes")
            reply = decode(datagram)
            if not isinstance(reply, Discovered):
                raise RemoteProtocolError("no answer")
        except RemoteProtocolError as e:
            self._say(f"ignoring what came from {where}: {e}")
            return
        if reply.standing is None and is_loopback(sender[0]):
            return  # a daemon of FLoM, which does not know what group it was asked for
        answer = Answer(destination(reply.address, sender, self._group), reply.port, reply, sender)
        key = reply.standing.node if reply.standing else answer.peer
        known = self._found.get(key)
        if known is None or known.standing != answer.standing:
            self._say(f"reply from {where} is '{datagram.decode(errors='replace')}'")
            self._found[key] = answer


class Asker(DatagramProtocol):
    """
    Asks a group who leads it, and collects the answers.

    @ivar problem: why nothing could be sent to the group the last time, if that was so.
    """

    transport: Any  # a GroupPort, which the base class cannot say

    def __init__(
        self,
        group: Group,
        reactor: Any,
        say: Callable[[str], None] = lambda text: None,
        *,
        everyone: bool = False,
        orphaned: bool = False,
    ) -> None:
        """
        @param say: told what is sent and received.
        @param everyone: ask those who stand by too, at once.
        @param orphaned: see L{Discover.orphaned}.
        """
        self._group = group
        self._reactor = reactor
        self._say = say
        self._is_everyone_asked = everyone
        self._is_orphaned = orphaned
        self._answers = Answers(group, say)
        self._first: Deferred[None] = Deferred()
        self._is_first = True
        self.problem: NoMulticast | None = None
        self._port = GroupPort(group, self, reactor, is_member=False)

    def __enter__(self) -> Asker:
        self._port.startListening()
        return self

    def __exit__(self, *_: object) -> None:
        self._port.stopListening()

    @property
    def answers(self) -> list[Answer]:
        """What has come up to now, one answer for each daemon, the one to choose first."""
        return self._answers.all

    @property
    def leaders(self) -> list[Answer]:
        """The L{answers} of those who lead."""
        return self._answers.leaders

    @property
    def port_number(self) -> int:
        """The UDP port that we ask from."""
        number: int = self._port.getHost().port
        return number

    async def collect(self, wait: float) -> None:
        """Ask once, and take what comes within C{wait} seconds, however many have answered."""
        self._send()
        await deferLater(self._reactor, wait)

    async def ask(self, wait: float) -> list[Answer]:
        """
        Ask once.

        @param wait: seconds to wait for a first answer of one who leads.
        @return: L{leaders}.
        """
        self._send()
        if not self.leaders:
            self._first = Deferred()
            try:
                await self._first.addTimeout(wait, self._reactor)
            except TimeoutError:
                return []
        await deferLater(self._reactor, SETTLE)
        return self.leaders

    async def ask_often(self, attempts: int, wait: float) -> list[Answer]:
        """
        L{ask} until there is an answer, at most C{attempts} times.

        If some stand by, there will be a leader soon: then we go on asking, for L{INTERREGNUM}.
        """
        for _ in range(attempts):
            if leaders := await self.ask(wait):
                return leaders
            self._is_everyone_asked = True
        give_up = self._reactor.seconds() + INTERREGNUM
        while self._answers and self._reactor.seconds() < give_up:
            if leaders := await self.ask(ASK_AGAIN):
                return leaders
        return []

    def datagramReceived(self, datagram: bytes, addr: Sender) -> None:
        self._answers.take(datagram, addr)
        if self.leaders and not self._first.called:
            self._first.callback(None)

    def _send(self) -> None:
        """Ask the group, and the port of a daemon on this host, which hears us even where multicast does not work."""
        question = encode(Discover(self._group.address, self._is_everyone_asked, self._is_orphaned))
        is_first, self._is_first = self._is_first, False
        if is_first:
            text = " ".join(question.decode().split())
            self._say(f"sending UDP multicast datagram to {self._group.address}/{self._group.port} ('{text}')")
        try:
            told = self._port.tell(question)
            if is_first:
                self._say(f"asked by {', '.join(told)}")
            self.problem = None
        except NoMulticast as e:
            self.problem = e
        if not self._group.interface:
            try:
                self._port.write(question, ("::1" if self._group.is_ipv6 else "127.0.0.1", self._group.port))
            except OSError:
                pass


def describe(answer: Answer) -> str:
    """Tell in a line who answers what."""
    if answer.reply.standing is None:
        return f"{answer.peer} (FLoM)"
    return f"{answer.peer} ({answer.reply.host or 'unknown host'}, node {answer.standing.node})"


async def connect_to_first(
    reactor: Any, answers: list[Answer], factory: IProtocolFactory, say: Callable[[str], None]
) -> IProtocol:
    """
    Connect to the first of C{answers} that can be connected to.

    @raise DaemonUnreachable: there is none.
    """
    problems = []
    for answer in answers[:_MOST_TRIED]:
        try:
            connected = await connect_within(CONNECT_TIMEOUT, reactor, answer.host, answer.port, factory)
        except (ConnectError, DNSLookupError, OSError, ValueError) as e:
            problems.append(f"{answer.peer} answers, but cannot be connected to: {e}")
            say(problems[-1])
        else:
            return connected
    raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, problems[0])


def choice_warning(answers: list[Answer], group: Group) -> str | None:
    """Tell what to warn of: more than one daemon that leads C{group}."""
    if len(answers) < 2:
        return None
    named = ", ".join(map(describe, answers[:_MOST_TRIED])) + (", ..." if len(answers) > _MOST_TRIED else "")
    return f"{len(answers)} daemons lead {group}: {named}; using the first"
