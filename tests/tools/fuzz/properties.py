"""What is true of the wire and of a session, whatever comes; the tests and the guided fuzzer share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Final

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol import fastpath
from flom.core.protocol.connection import ClientConnection, ServerConnection
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import END_OF_MESSAGE, MAX_ANSWER_SIZE, MAX_MESSAGE_SIZE, MessageReader
from flom.core.protocol.messages import Answer, Discover, Discovered, Lock, Message, Terms
from flom.core.protocol.session import ClientSession, ServerSession
from flom.core.requests import SessionId
from flom.errors import InvalidName, LocalProtocolError, RemoteProtocolError
from tests.tools.fuzz.malformed import cut
from tests.tools.fuzz.messages import any_message
from tests.tools.fuzz.reference import read_slowly

Heard = tuple[list[Message], str | None]
"""The messages of a stream, and why it could not be read further."""

_TLS: Final = (b"\x15\x03", b"\x16\x03")


def hear(pieces: Iterable[bytes], reader: MessageReader | None = None) -> Heard:
    """Read a stream that comes in C{pieces}; anything raised but a breach is let through."""
    reader, messages = reader or fastpath.FastReader(), list[Message]()
    try:
        for piece in pieces:
            for message in reader.feed(piece):
                messages.append(message)  # one by one: those before a breach count
    except RemoteProtocolError as e:
        return messages, f"{e.log_id} {e.code}: {e}"
    return messages, None


def check_cutting(data: bytes, random: Random) -> None:
    """It does not matter where a stream is cut; and what comes of it can be written and read again."""
    at_once = hear([data, b""])  # the empty piece: what is left of a stream is looked at when more comes
    for pieces in ([data[at : at + 1] for at in range(len(data))] + [b""], cut(random, data) + [b""]):
        in_pieces = hear(pieces)
        assert in_pieces[0] == at_once[0], (pieces, in_pieces, at_once)
        if not any(record in data for record in _TLS):  # seen sooner in pieces, and told in other words
            assert in_pieces[1] == at_once[1], (pieces, in_pieces, at_once)
    assert hear([data, b""], MessageReader()) == at_once, data  # without shortcuts
    check_connections(data, random)
    for message in at_once[0]:
        check_rewriting(message)


def check_rewriting(message: Message) -> None:
    """What was read can be written, unless it is too long or no name, and is then read as the same."""
    if isinstance(message, Answer) and message.code is None:
        return  # no client takes it, and no daemon of ours says it
    try:
        data = encode(message)
    except LocalProtocolError:
        return
    most = MAX_ANSWER_SIZE if isinstance(message, Answer) and message.extended else MAX_MESSAGE_SIZE
    assert len(data) <= most
    again = decode(data)
    assert hear([data], fastpath.FastReader(most)) == ([again], None)
    if not any(blank in repr(message) for blank in (r"\t", r"\n", r"\r")):  # these arrive as blanks
        assert again == _as_written(message), (message, data, again)
        assert encode(again) == data


def _as_written(message: Message) -> Message:
    """Leave out of C{message} what has no place in it: a mode of a numeric resource, and so on."""
    match message:
        case Lock():
            name = parse_name(message.name)
            plain = Lock("")
            return message.replace(
                mode=message.mode if name.has_mode else plain.mode,
                quantity=message.quantity if name.has_quantity else plain.quantity,
            )
        case Answer():
            said = message if message.extended else message.replace(session="", start="")
            said = said if said.session else said.replace(terms=Terms())
            return said if message.step == 16 else said.replace(peer_id=None)
        case Discover(port=0):
            return message.replace(address="")
        case Discovered(standing=None):
            return message.replace(host="", version="", alone=False)
        case _:
            return message


def check_against_expat(data: bytes) -> None:
    """Each message of a stream is what a parser of XML takes it for, whatever shorter ways there are."""
    *whole, _ = data.split(END_OF_MESSAGE)
    for text in whole:
        text += END_OF_MESSAGE
        slow = _outcome(read_slowly, text)
        for read in (decode, fastpath.decode):
            assert _outcome(read, text) == slow, (text, _outcome(read, text), slow)


def _outcome(read: Callable[[bytes], Message], data: bytes) -> Message | str:
    try:
        return read(data)
    except RemoteProtocolError as e:
        return f"{e.log_id} {e.code}"


def check_connections(data: bytes, random: Random) -> None:
    """Both ends make the same of a stream wherever it is cut, and raise nothing but a breach."""
    for fresh in (lambda: ServerConnection(SessionId(1), "id"), _asking, _watching):
        at_once = _meaning(fresh(), [data])
        assert _meaning(fresh(), cut(random, data)) == at_once, data


def _asking() -> ClientConnection:
    client = ClientConnection()
    client.lock(Lock("R1", LockMode.EX, wait=True, extended=True))
    return client


def _watching() -> ClientConnection:
    client = ClientConnection()
    client.request_status()
    return client


def _meaning(end: ClientConnection | ServerConnection, pieces: Iterable[bytes]) -> tuple[list[str], bool]:
    meaning = list[str]()
    try:
        for piece in pieces:
            meaning.extend(map(repr, end.receive(piece)))
    except RemoteProtocolError:
        return meaning, True
    return meaning, False


def check_sessions(random: Random, steps: int = 30) -> None:
    """Messages in any order make a session order something, nothing or a breach."""
    server, client = ServerSession(SessionId(1)), ClientSession()
    for _ in range(steps):
        message = any_message(random)
        try:
            server.order_of(message)
            if random.random() < 0.5:
                server.step_of(random.choice(list(Outcome)), delayed=random.random() < 0.5)
        except RemoteProtocolError:
            server = ServerSession(SessionId(1))
        try:
            if random.random() < 0.3:
                client.meaning_of(message)
            elif hasattr(message, "name"):
                client.note_sent(message)  # type: ignore[arg-type]
        except RemoteProtocolError:
            client = ClientSession()
        except (LocalProtocolError, InvalidName):
            pass  # what we must not send
