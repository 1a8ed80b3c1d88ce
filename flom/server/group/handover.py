"""
Handing over: a leader leaves the granting to a standby, with all that is held and waited for
(docs/explanation/groups.md, "Handing over").

The leader announces whom it means, and a promise; so the standby knows that the one that connects to it then, and keeps
the promise, is its leader. On that connection, after the L{Offer}, both send lines: a word, a seal and a text::

    standby: ready
    leader:  estate    with what L{Estate.write} returns; from now on, the leader grants nothing
    standby: prepared
    leader:  lead      with the secrets of the clients that have ended meanwhile
    standby: leads     it does; clients that have lost the leader come back to it

The standby may say C{no} instead, with the reason. Until C{lead} is sent, any end leaves the leader as it was. After
that, it is over when the standby C{leads}, or is heard to lead; if neither happens, the leader goes on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.group.key import promise_of, vouch
from flom.core.locks.handover import Estate, read_estate
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Role
from flom.errors import FlomError, RemoteProtocolError
from flom.reactor.endpoints import stream_endpoint
from flom.server.estate import HandoverFailed, estate_of
from flom.server.group.member import Standby, seal_offer
from flom.text import one_line, truncate

if TYPE_CHECKING:
    from flom.core.group.addresses import Group
    from flom.interfaces import IReactor
    from flom.server.arbiter import DeferredArbiter
    from flom.server.group.member import GroupMember
    from flom.server.sessions import Sessions
    from flom.tls.context import Tls

MAX_ESTATE: Final = 2**26
"""Bytes of the longest line; one lock takes some 200."""

FIND: Final = 0.3  # seconds in which standbys may answer
MOST_TRIED: Final = 3  # standbys
ATTEMPTS: Final = 3  # for each of them: what is announced to it may get lost
PAUSE: Final = 0.05  # seconds between two
CONNECT_TIMEOUT: Final = 1.0
READY_TIMEOUT: Final = 1.0
PREPARE_TIMEOUT: Final = 5.0  # in which nothing is granted; 10,000 clients take one of them
LEAD_WITHIN: Final = 2.0  # seconds after "prepared" in which "lead" has to come: later, the leader has given up
LEAD_TIMEOUT: Final = 5.0  # after "lead"; longer than that and what the standby has to do, lest both lead


class StandbyRefused(HandoverFailed):
    """One standby cannot take over; another one may."""


class Lines:
    """
    The lines of one handover, with their seals: with the key of the group, only its daemons can make them.
    """

    def __init__(self, group: Group, nonce: str) -> None:
        self._secret = b"" if group.key is None else group.key.secret
        self._nonce = nonce
        self._received = b""

    def write(self, word: str, text: str = "") -> bytes:
        """Return the line of C{word} with C{text}."""
        return f"{word} {self._seal(word, text)} {text}\n".encode()

    def receive(self, data: bytes) -> list[tuple[str, str]]:
        """
        Return the words, with their texts, that C{data} completes.

        @raise RemoteProtocolError: a line is too long, or has not the seal.
        """
        self._received += data
        *lines, self._received = self._received.split(b"\n")
        if len(self._received) > MAX_ESTATE:
            raise RemoteProtocolError(f"a line of more than {MAX_ESTATE} bytes")
        return [self._read(line) for line in lines]

    def _read(self, line: bytes) -> tuple[str, str]:
        word, seal, text = [*line.decode(errors="replace").split(" ", 2), "", ""][:3]
        if not secrets.compare_digest(seal.encode(), self._seal(word, text).encode()):
            raise RemoteProtocolError("a line without the seal of the group")
        return word, text

    def _seal(self, word: str, text: str) -> str:
        return vouch(self._secret, "handover", self._nonce, word, text)


class Handover:
    """The leader's part."""

    _log = Logger()

    def __init__(
        self,
        group: Group,
        reactor: IReactor,
        member: GroupMember,
        arbiter: DeferredArbiter,
        sessions: Sessions,
        tls: Tls | None,
    ) -> None:
        self._group = group
        self._reactor = reactor
        self._member = member
        self._arbiter = arbiter
        self._sessions = sessions
        self._tls = tls
        self._frozen_at = 0.0  # in seconds of the reactor's clock

    async def run(self, tell: Callable[[str], None]) -> None:
        """
        Hand over to the first standby that takes over.

        @param tell: called with the name of the new leader, just before the clients of this daemon are sent to it.
        @raise HandoverFailed: there is none; this daemon still leads, and grants.
        """
        self._check()
        self._member.ask_standbys()
        await deferLater(self._reactor, FIND)
        standbys = self._member.standbys
        if not standbys:
            raise HandoverFailed("no daemon stands by")
        problems = []
        for standby in standbys[:MOST_TRIED]:
            try:
                await self._hand_to(standby, tell)
                return
            except StandbyRefused as e:
                self._log.warn("not handed over to {standby}: {why}", standby=standby.name, why=str(e))
                problems.append(f"{standby.name}: {e}")
            finally:
                self._member.forget_successor()
        raise HandoverFailed("; ".join(problems))

    def _check(self) -> None:
        """Raise L{HandoverFailed} if this daemon cannot hand over now."""
        if not self._leads:
            raise HandoverFailed("it does not lead")
        if self._arbiter.is_draining or self._arbiter.is_closed:
            raise HandoverFailed("it is about to end")
        if self._arbiter.is_in_grace:
            raise HandoverFailed("it has taken over a moment ago, and waits for holders of the last leader")
        estate_of(self._arbiter, self._sessions)

    @property
    def _leads(self) -> bool:
        return self._member.election.role is Role.LEADER and not self._arbiter.is_closed

    async def _hand_to(self, standby: Standby, tell: Callable[[str], None]) -> None:
        node = standby.standing.node
        nonce = secrets.token_hex(16)
        has_led: Deferred[None] = Deferred()

        def note_lead() -> None:
            if not has_led.called:
                has_led.callback(None)

        for attempt in range(ATTEMPTS):
            if attempt:
                await deferLater(self._reactor, PAUSE)
            self._member.announce_successor(node, promise_of(nonce), note_lead)
            talk = await self._connect(standby, nonce)
            try:
                await talk.hear("ready", READY_TIMEOUT)
                break
            except _Ended:
                if attempt == ATTEMPTS - 1:
                    raise StandbyRefused("it does not take the connection; its version may be too old") from None
            except BaseException:
                talk.end()
                raise
        try:
            await self._commit(talk, has_led, note_lead)
        except BaseException:
            self._arbiter.thaw()
            self._member.answer_held()
            talk.end()
            raise
        tell(standby.name)
        seconds = self._reactor.seconds() - self._frozen_at
        text = "standing by: {standby} leads from now on; nothing was granted for {seconds:.3f} s"
        self._log.info(text, standby=standby.name, seconds=seconds)
        self._arbiter.hand_over()
        self._member.hand_over(standby)
        self._member.answer_held()
        talk.end()

    async def _commit(self, talk: _Talk, has_led: Deferred[None], note_lead: Callable[[], None]) -> None:
        """Push what is held to the standby, and wait until it leads, of which C{note_lead} fires C{has_led}."""
        freeze = self._arbiter.freeze()
        self._member.hold_questions()
        self._frozen_at = self._reactor.seconds()
        estate, clients = estate_of(self._arbiter, self._sessions)
        talk.say("estate", estate.write())
        await talk.hear("prepared", PREPARE_TIMEOUT)
        if not self._leads:
            raise HandoverFailed("it does not lead any more")
        talk.say("lead", " ".join(clients[session] for session in freeze.gone if session in clients))

        def note_refusal(failure: Failure) -> None:
            if not failure.check(_Ended) and not has_led.called:  # if it has only ended, the standby may lead
                has_led.errback(failure)

        talk.heard("leads").addCallbacks(lambda _: note_lead(), note_refusal)
        await has_led.addTimeout(LEAD_TIMEOUT, self._reactor, partial(_give_up, "it does not say that it leads"))

    async def _connect(self, standby: Standby, nonce: str) -> _Talk:
        """Connect to C{standby}, and offer it to take over."""
        lines = Lines(self._group, nonce)
        node = self._member.election.standing.node
        offer = encode(seal_offer(self._group, node, standby.standing.node, nonce))
        factory: Any = Factory.forProtocol(lambda: _Talk(self._reactor, lines, offer))
        factory.noisy = False
        endpoint = stream_endpoint(self._reactor, *standby.source.server)
        if self._tls is not None:
            endpoint = self._tls.secure_client(endpoint)
        give_up = partial(_give_up, "it cannot be connected to")
        try:
            talk = await endpoint.connect(factory).addTimeout(CONNECT_TIMEOUT, self._reactor, give_up)
        except (ConnectError, OSError) as e:
            raise StandbyRefused(f"it cannot be connected to: {Failure(e).getErrorMessage()}") from None
        assert isinstance(talk, _Talk)
        return talk


class _Ended(StandbyRefused):
    """The connection has ended."""


class _Talk(Protocol):
    """The leader's end of a connection to a standby."""

    transport: Any

    def __init__(self, clock: IReactorTime, lines: Lines, offer: bytes) -> None:
        self._clock = clock
        self._lines = lines
        self._offer = offer
        self._awaited: tuple[str, Deferred[str]] | None = None
        self._ended: FlomError | None = None

    def connectionMade(self) -> None:
        self.transport.write(self._offer)

    def say(self, word: str, text: str = "") -> None:
        """Send a line."""
        self.transport.write(self._lines.write(word, text))

    def heard(self, word: str) -> Deferred[str]:
        """Return what fires with the text of the next line, which has to be C{word}, or with L{StandbyRefused}."""
        awaited: Deferred[str] = Deferred()
        self._awaited = word, awaited
        if self._ended is not None:
            self._fail(self._ended)
        return awaited

    def hear(self, word: str, seconds: float) -> Deferred[str]:
        """Do as L{heard}, for some C{seconds}."""
        return self.heard(word).addTimeout(seconds, self._clock, partial(_give_up, "it does not answer"))

    def end(self) -> None:
        """Close the connection."""
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        try:
            for word, text in self._lines.receive(data):
                if self._awaited is None:
                    return
                if word != self._awaited[0]:
                    raise StandbyRefused(text if word == "no" else f"it says {truncate(one_line(word))}")
                (_, awaited), self._awaited = self._awaited, None
                awaited.callback(text)
        except FlomError as e:
            self._fail(e if isinstance(e, StandbyRefused) else StandbyRefused(str(e)))
            self.end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = _Ended("it has closed the connection")
        self._fail(self._ended)

    def _fail(self, why: FlomError) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is not None and not awaited[1].called:
            awaited[1].errback(why)


def _give_up(why: str, result: object, seconds: float) -> Any:
    if isinstance(result, Failure):  # by being cancelled, which connecting has an error of its own for
        raise StandbyRefused(f"{why} within {seconds:g} s")
    return result


class Heir:
    """The standby's part: it takes the lines that come after an L{Offer}."""

    _log = Logger()

    def __init__(
        self,
        lines: Lines,
        clock: IReactorTime,
        send: Callable[[bytes], None],
        hang_up: Callable[[], None],
        check: Callable[[Estate], None],
        lead: Callable[[Estate, list[str]], None],
    ) -> None:
        """
        @param check: called with what is handed over; C{ValueError} is raised if this daemon cannot take it.
        @param lead: called with what is handed over, and the secrets of clients that have ended meanwhile; it makes
            this daemon lead, or raises L{FlomError}.
        """
        self._lines = lines
        self._clock = clock
        self._send = send
        self._hang_up = hang_up
        self._check = check
        self._lead = lead
        self._estate: Estate | None = None
        self._prepared_at = 0.0

    def begin(self, why_not: str) -> None:
        """Say that this daemon is ready, or, if it cannot be, C{why_not}."""
        self._say("no" if why_not else "ready", why_not)

    def receive(self, data: bytes) -> None:
        """Receive bytes as they arrived."""
        try:
            for word, text in self._lines.receive(data):
                self._take(word, text)
        except (FlomError, ValueError) as e:
            self._log.error("not taking over: {why}", why=str(e))
            self._say("no", one_line(str(e)))

    def _take(self, word: str, text: str) -> None:
        if word == "estate" and self._estate is None:
            estate = read_estate(text)
            self._check(estate)
            self._estate = estate
            self._prepared_at = self._clock.seconds()
            self._say("prepared")
        elif word == "lead" and self._estate is not None:
            if self._clock.seconds() - self._prepared_at > LEAD_WITHIN:
                raise HandoverFailed("the leader has taken too long")
            self._lead(self._estate, text.split())
            self._say("leads")
        else:
            raise RemoteProtocolError(f"a line that says {truncate(one_line(word))}")

    def _say(self, word: str, text: str = "") -> None:
        self._send(self._lines.write(word, text))
        if word in ("no", "leads"):
            self._hang_up()
