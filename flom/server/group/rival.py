"""
Other daemons that seem to lead the same group: whether they do, and what is held at them (docs/explanation/groups.md,
"Network partitions").

Datagrams are easily forged, so nothing is given up for one. The rival is connected to where it says that it listens,
and has to answer for its node. A daemon of FLoM, and one of version 0.1.0, which cannot, has to answer a client.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.group.addresses import Group, Sender
from flom.core.group.key import prove
from flom.core.group.ranking import FLOM
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import END_OF_MESSAGE, MAX_ANSWER_SIZE
from flom.core.protocol.messages import STATUS_PROBE, Answer, Challenge, Lock, Proof, Standing
from flom.errors import FlomError, RemoteProtocolError
from flom.interfaces import IReactor
from flom.net.machine_id import unique_id
from flom.reactor.endpoints import stream_endpoint

if TYPE_CHECKING:
    from flom.core.locks.overlap import Digests, HeldThere
    from flom.tls.context import Tls

MOST_CHECKED: Final = 8
"""Rivals that are checked at one time; datagrams can make up any number of them."""

ATTEMPTS: Final = 5
"""How often a rival is asked what is held there: it says so once it has heard that this daemon leads, too."""

PAUSE: Final = 0.3  # seconds between two of them

MAX_LIST_SIZE: Final = 2**26
"""Bytes of the longest list of what is held at a rival; one lock takes 60 or a few more."""

_REACH_TIMEOUT: Final = 2.0  # seconds for connecting to a rival
_ANSWER_TIMEOUT: Final = 5.0  # seconds for its answer


@dataclass(frozen=True, slots=True)
class Source:
    """
    Where another daemon was heard.

    @ivar sender: the address that its datagram came from.
    @ivar server: where it listens for connections; port 0 if that is not known.
    """

    sender: Sender
    server: Sender


class RivalObserver:
    """Hears what is found out about other leaders; subclasses override what they need."""

    def rival_proven(self, rival: Standing, source: Source) -> None:
        """Note that the daemon C{rival} is there; it has answered for its node, if it can."""

    def rival_unproven(self, rival: Standing, source: Source, why: str) -> None:
        """Note that C{rival} was perhaps made up."""

    def rival_holds(self, rival: Standing, held: list[HeldThere], digests: Digests) -> None:
        """Note what is held at C{rival}, which was proven."""


class Unproven(FlomError):
    """There is no daemon that leads where one was announced."""


class Rivals:
    """The rivals of this daemon that are being checked."""

    _log = Logger()

    def __init__(
        self, group: Group, node: str, reactor: IReactor, observer: RivalObserver, tls: Tls | None = None
    ) -> None:
        """
        @param node: of this daemon.
        @param tls: this end of TLS, as for clients; C{None} for plain text.
        """
        self._group = group
        self._node = node
        self._reactor = reactor
        self._observer = observer
        self._tls = tls
        self._checks: dict[str, Deferred[None]] = {}  # by node

    def check(self, rival: Standing, source: Source, announce: Callable[[], None]) -> None:
        """
        Find out whether C{rival} is there, and what is held at it, unless that is being done.

        @param announce: tells the rival alone that this daemon leads.
        """
        if rival.node in self._checks or len(self._checks) >= MOST_CHECKED or not source.server[1]:
            return
        checking = Deferred.fromCoroutine(self._check(rival, source, announce))
        if not checking.called:
            self._checks[rival.node] = checking
        checking.addBoth(self._note_end, rival.node)

    def stop(self) -> None:
        """End all checks."""
        for checking in list(self._checks.values()):
            checking.cancel()

    def _note_end(self, result: Failure | None, node: str) -> None:
        self._checks.pop(node, None)
        if isinstance(result, Failure) and not result.check(CancelledError, ConnectingCancelledError):
            self._log.failure("checking another leader", result)

    async def _check(self, rival: Standing, source: Source, announce: Callable[[], None]) -> None:
        try:
            for _ in range(ATTEMPTS):
                if rival == FLOM:
                    await self._probe(source.server, is_ours=False)
                    self._observer.rival_proven(rival, source)
                    return
                announce()
                nonce = secrets.token_hex(16)
                answer = await self._ask(source.server, encode(Challenge(self._group.address, self._node, nonce)))
                if not answer and self._group.key is None:
                    await self._probe(source.server, is_ours=True)  # of version 0.1.0, which knows no challenge
                    self._observer.rival_proven(rival, source)
                    return
                proof, written = self._read(answer, rival, nonce)
                assert proof.standing is not None
                self._observer.rival_proven(proof.standing, source)
                if proof.size:
                    from flom.core.locks.overlap import read_held  # most daemons never have a rival

                    if len(written) != proof.size:
                        raise Unproven(f"its list of what it holds ends after {len(written)} bytes of {proof.size}")
                    self._observer.rival_holds(
                        proof.standing, read_held(written), digests_of(self._group, nonce, proof)
                    )
                    return
                await deferLater(self._reactor, PAUSE)
        except (Unproven, RemoteProtocolError) as e:
            self._observer.rival_unproven(rival, source, str(e))

    def _read(self, answer: bytes, rival: Standing, nonce: str) -> tuple[Proof, bytes]:
        """Return the proof in C{answer}, and what follows it; L{Unproven} is raised if it does not prove C{rival}."""
        proof, written = split(answer)
        standing = proof.standing
        if standing is None or standing.node != rival.node:
            what = "which is not of this group" if standing is None else f"node {standing.node}"
            raise Unproven(f"another daemon answers there, {what}")
        key, about = self._group.key, (nonce, proof.nonce, self._group.address, standing)
        if proof.proof != prove(b"", *about):
            raise Unproven("it does not answer the challenge")
        if key is not None and not secrets.compare_digest(proof.sealed, prove(key.secret, *about)):
            raise Unproven("it does not have the key of the group")
        return proof, written

    async def _probe(self, server: Sender, *, is_ours: bool) -> None:
        """Raise L{Unproven} if no daemon answers a client at C{server}, or it C{is_ours} and should not be, or so."""
        name = f"{STATUS_PROBE}{secrets.token_hex(8)}"
        answer = await self._ask(server, encode(Lock(name, peer_id=unique_id(), extended=True)), is_first_enough=True)
        message = decode(answer[: answer.find(END_OF_MESSAGE) + len(END_OF_MESSAGE)]) if answer else None
        if not isinstance(message, Answer):
            raise Unproven("no daemon answers there")
        if message.extended is not is_ours:
            raise Unproven(f"a daemon {'of FLoM' if is_ours else 'that is none of FLoM'} answers there")

    async def _ask(self, server: Sender, question: bytes, *, is_first_enough: bool = False) -> bytes:
        """Send C{question} to C{server}; return the answer, which is empty if it closes the connection instead."""
        factory: Any = Factory.forProtocol(lambda: _Asking(self._reactor, question, is_first_enough=is_first_enough))
        factory.noisy = False
        endpoint = stream_endpoint(self._reactor, *server)
        if self._tls is not None:
            endpoint = self._tls.secure_client(endpoint)
        connecting = endpoint.connect(factory).addTimeout(_REACH_TIMEOUT, self._reactor, _give_up)
        try:
            asking = await connecting
        except (ConnectError, OSError) as e:  # the latter: there is no such host
            raise Unproven(f"it cannot be reached: {Failure(e).getErrorMessage()}") from None
        assert isinstance(asking, _Asking)
        return await asking.answered


def answer(
    challenge: Challenge, group: Group, standing: Standing | None, list_held: Callable[[Digests], bytes] | None
) -> bytes:
    """
    Return the answer to C{challenge}.

    @param standing: of this daemon; C{None} if it is in no group.
    @param list_held: returns what is held here; C{None} to show nothing, because the other daemon is not known to lead.
    """
    if standing is None or challenge.group != group.address:
        return encode(Proof(None))
    nonce = secrets.token_hex(16)
    about = (challenge.nonce, nonce, group.address, standing)
    sealed = "" if group.key is None else prove(group.key.secret, *about)
    proof = Proof(standing, nonce, prove(b"", *about), sealed)
    written = b"" if list_held is None else list_held(digests_of(group, challenge.nonce, proof))
    if len(written) > MAX_LIST_SIZE:
        written = b""
    return encode(proof.replace(size=len(written))) + written


def digests_of(group: Group, challenge: str, proof: Proof) -> Digests:
    """Return the digests in the list that comes with C{proof}, which answers the nonce C{challenge}."""
    from flom.core.locks.overlap import Digests

    secret = b"" if group.key is None else group.key.secret
    return Digests(b"%b:%b:%b" % (challenge.encode(), proof.nonce.encode(), secret))


def split(data: bytes) -> tuple[Proof, bytes]:
    """Return the proof that C{data} begins with, and what follows; L{Unproven} is raised if there is none."""
    end = data.find(END_OF_MESSAGE) + len(END_OF_MESSAGE)
    try:
        message = decode(data[:end])
    except RemoteProtocolError:
        message = None
    if end < len(END_OF_MESSAGE) or not isinstance(message, Proof):
        raise Unproven("no daemon answers the challenge there")
    return message, data[end:]


class _Asking(Protocol):
    """
    Sends a question.

    @ivar answered: fires with all that comes until the other end closes the connection, or its time is over.
    """

    transport: Any

    def __init__(self, clock: IReactorTime, question: bytes, *, is_first_enough: bool) -> None:
        """C{is_first_enough} if the end of a first message ends the answer."""
        self._clock = clock
        self.answered: Deferred[bytes] = Deferred(canceller=lambda _: self.transport.abortConnection())
        self._question = question
        self._is_first_enough = is_first_enough
        self._received: list[bytes] = []
        self._size = 0

    def connectionMade(self) -> None:
        self._timer = self._clock.callLater(_ANSWER_TIMEOUT, self.transport.abortConnection)
        self.transport.write(self._question)

    def dataReceived(self, data: bytes) -> None:
        self._received.append(data)
        self._size += len(data)
        is_enough = self._is_first_enough and (
            END_OF_MESSAGE in b"".join(self._received) or self._size > MAX_ANSWER_SIZE
        )
        if is_enough or self._size > MAX_LIST_SIZE:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer.active():
            self._timer.cancel()
        if not self.answered.called:  # by being cancelled
            self.answered.callback(b"".join(self._received))


def _give_up(result: object, timeout: float) -> Any:
    raise Unproven(f"it cannot be reached: no answer within {timeout:g} s")
