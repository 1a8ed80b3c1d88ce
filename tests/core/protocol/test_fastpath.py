"""The shortcuts give what the long way does, and are taken by what clients and daemons usually say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.modes import LockMode
from flom.core.protocol import fastpath
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import DECLARATION, encode
from flom.core.protocol.framing import MessageReader
from flom.core.protocol.messages import Answer, Discover, Lock, Message, Terms, Unlock, Unlocked
from flom.errors import RemoteProtocolError

PEER_ID = "0123456789abcdef0123456789abcdef"
USUAL: list[Message] = [
    *(Lock(name, LockMode.PR, 3, True, True, 1.5, PEER_ID, extended=True) for name in ("R1", "N[5]", "a.b", "/a/b")),
    Lock("R1", LockMode.EX, wait=True, create=True, peer_id=PEER_ID),
    Lock("R1", wait=True, create=True, peer_id=PEER_ID, extended=True, user="root", command="nightly-backup"),
    Unlock("R1", rollback=True),
    Unlocked(),
    Answer(16, 0, None, PEER_ID, extended=True),
    Answer(16, 0, "red", PEER_ID, extended=True, session="f" * 32),
    Answer(16, 1, None, PEER_ID),
    Answer(24, 0, "2026-11-29 12:00:00.5"),
    Answer(16, 0, None, PEER_ID, extended=True, token=7),
    Answer(24, 0, "red", token=2**63 - 1),
    Answer(16, 0, None, PEER_ID, extended=True, start="0123456789abcdef"),
    Answer(16, 0, "a", PEER_ID, extended=True, start="0123456789abcdef"),
]


@pytest.mark.parametrize("message", USUAL, ids=repr)
def test_a_usual_message_is_read_without_a_parser(message: Message) -> None:
    data = encode(message)
    assert fastpath._decode_usual(data) == decode(data) == fastpath.decode(data)


@pytest.mark.parametrize(
    "message",
    [Answer(24, 0, "a&b"), Answer(24, 0, "a\tb"), Answer(24, 0, "é"), Lock("R1", peer_id="<")],
    ids=repr,
)
def test_any_other_is_left_to_the_parser(message: Message) -> None:
    data = encode(message)
    assert fastpath._decode_usual(data) is None
    assert fastpath.decode(data) == decode(data)


def outcome(read: Callable[[bytes], Message], data: bytes) -> Message | None:
    """Return what C{read} makes of C{data}; C{None} if it is no message."""
    try:
        return read(data)
    except RemoteProtocolError:
        return None


@given(st.data())
def test_what_is_almost_usual_is_read_as_the_long_way_does(data: st.DataObject) -> None:
    """Pieces between quotation marks are taken out, repeated, exchanged, and have blanks and slashes too many."""
    pieces = encode(data.draw(st.sampled_from([*USUAL, Discover("239.1.1.1")]))).decode().split('"')
    for _ in range(data.draw(st.integers(1, 3))):
        at, other = (data.draw(st.integers(0, len(pieces) - 1)) for _ in range(2))
        change = data.draw(st.sampled_from(["remove", "repeat", "exchange", "blank", "slash", "close", "nest"]))
        if change == "remove":
            del pieces[at : at + data.draw(st.integers(1, 2))]
        elif change == "repeat":
            pieces[at:at] = pieces[at : at + 2]
        elif change == "exchange":
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif change == "blank":
            pieces[at] = data.draw(st.sampled_from([" ", "  ", "\n"])) + pieces[at]
        elif change == "slash":
            pieces[at] = pieces[at].replace("/>", ">", 1)
        elif change == "close":
            pieces[at] = pieces[at].replace(">", "/>", 1)
        else:
            pieces[at] = pieces[at].replace("><", "><a><", 1)
        if not pieces:
            return
    whole = '"'.join(pieces).encode()
    assert outcome(fastpath.decode, whole) == outcome(decode, whole)


def test_an_answer_is_written_as_the_long_way_does() -> None:
    start = "0123456789abcdef"
    answer = Answer(16, 0, "a", PEER_ID, True, start=start, converts=True)
    assert fastpath.encode_answer(16, 0, "a", PEER_ID, True, start) == encode(answer)


def test_a_token_is_written_as_the_long_way_does() -> None:
    answer = Answer(24, 0, "a")
    assert fastpath.add_token(encode(answer), 7) == encode(answer.replace(token=7))
    assert fastpath.add_token(encode(answer), 7, "ab" * 16) == encode(answer.replace(token=7, proof="ab" * 16))


@pytest.mark.parametrize(
    "end",
    [
        b'<answer rc="0" token="9223372036854775808"/></msg>',
        b'<answer rc="0" token="00000000000000000000007"/></msg>',
        b'<answer rc="0" token="-7"/></msg>',
        b'<answer rc="0"/> token="7"/></msg>',
        b'<answer rc="0" element=\'" token="7"/></msg>',
        b'<answer rc="0" token="7" proof="0123456789abcdef0123456789abcdef"/></msg>',
        b'<answer rc="0" token="7" proof="0123456789abcdef0123456789abcdeg"/></msg>',
        b'<answer rc="0" token="7" proof=""/></msg>',
        b'<answer rc="0" token="7" proof="" proof="a"/></msg>',
    ],
)
def test_a_token_is_read_as_the_long_way_does(end: bytes) -> None:
    data = DECLARATION.encode() + b'<msg level="3" verb="1" step="24">' + end
    for _ in range(2):  # the second time, it is known
        try:
            expected = decode(data)
        except RemoteProtocolError:
            with pytest.raises(RemoteProtocolError):
                fastpath.decode(data)
        else:
            assert fastpath.decode(data) == expected


def test_grants_with_different_tokens_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fastpath.decode(encode(Answer(24, 0, "once", token=1)))
    monkeypatch.setattr(fastpath, "message_of", None)
    assert fastpath.decode(encode(Answer(24, 0, "once", token=2**62))) == Answer(24, 0, "once", token=2**62)


def test_a_session_and_a_token_are_added_to_what_is_written() -> None:
    answer = fastpath.encode_answer(16, 0, "red", PEER_ID, True, "0123456789abcdef")
    terms = Terms(timeout=10.0, succession=2.75, waits=True, required=True, quorum=True)
    whole = Answer(16, 0, "red", PEER_ID, True, "f" * 32, "0123456789abcdef", 7, "ab" * 16, terms, converts=True)
    assert fastpath.add_token(fastpath.add_session(answer, "f" * 32, terms), 7, "ab" * 16) == encode(whole)
    assert fastpath.decode(encode(whole)) == decode(encode(whole)) == whole


def test_a_read_that_comes_again_is_not_read_again() -> None:
    reader, data = fastpath.FastReader(), encode(USUAL[0]) + encode(Unlock("R1"))
    first = reader.feed(data)
    assert list(first) == list(MessageReader().feed(data))
    assert reader.feed(data) is first


def test_what_another_connection_has_had_is_not_read_again() -> None:
    [first], [again] = (fastpath.FastReader().feed(encode(Unlock("R1"))) for _ in range(2))
    assert again is first


def test_what_another_connection_may_have_is_too_long_for_this_one() -> None:
    data = encode(Unlock("R1"))
    assert list(fastpath.FastReader().feed(data)) == [Unlock("R1")]
    with pytest.raises(RemoteProtocolError):
        list(fastpath.FastReader(len(data) - 1).feed(data))


def test_what_is_no_message_is_not_kept() -> None:
    reader = fastpath.FastReader(2048)
    assert list(reader.feed(b"<" * 1025)) == []
    assert not reader._kept


def test_what_is_wrong_is_found_after_what_comes_before_it() -> None:
    messages = iter(fastpath.FastReader().feed(encode(Unlocked()) + b"nonsense</msg>"))
    assert next(messages) == Unlocked()
    with pytest.raises(RemoteProtocolError):
        next(messages)


def test_a_client_that_hears_usual_answers_imports_no_parser() -> None:
    script = """
import sys
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.messages import Lock
client = ClientConnection()
client.lock(Lock("R1", wait=True, create=True, peer_id="0", extended=True))
list(client.receive(bytes.fromhex(sys.argv[1])))
assert client.holds
print(*sorted({"pyexpat", "xml", "re", "enum", "typing", "dataclasses", "base64"} & set(sys.modules)))
"""
    words = [sys.executable, "-S", "-c", script, encode(USUAL[8]).hex()]
    path = [entry for entry in sys.path if entry]
    result = subprocess.run(words, env={"PYTHONPATH": ":".join(path)}, capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == ("", "")
