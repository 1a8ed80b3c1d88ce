"""Where messages begin and end in a stream of bytes (docs/compatibility.md, "Protocol: framing")."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.modes import LockMode
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MAX_MESSAGE_SIZE, MessageReader, Shown
from flom.core.protocol.messages import (
    Answer,
    Discover,
    Lock,
    Ping,
)
from flom.errors import LocalProtocolError, RemoteProtocolError
from tests.core.protocol.texts import (
    DECLARATION,
    MESSAGES,
    PEER_ID,
    STREAM,
    feed,
)


def test_messages_may_arrive_in_one_piece() -> None:
    assert feed(STREAM) == MESSAGES


def test_messages_may_be_cut_at_every_byte() -> None:
    for cut in range(len(STREAM) + 1):
        assert feed([STREAM[:cut], STREAM[cut:]]) == MESSAGES


def test_messages_may_arrive_byte_by_byte() -> None:
    assert feed(STREAM[n : n + 1] for n in range(len(STREAM))) == MESSAGES


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_messages_may_be_cut_anywhere(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    assert feed(STREAM[begin:end] for begin, end in pairwise(ends)) == MESSAGES


def test_a_message_is_given_before_what_follows_it_is_found_to_be_none() -> None:
    messages = iter(MessageReader().feed(encode(Discover()) + b"garbage</msg>" + encode(Discover())))
    assert next(messages) == Discover()
    with pytest.raises(RemoteProtocolError):
        next(messages)


def test_white_space_may_stand_between_messages() -> None:
    assert feed(b"\r\n " + encode(Discover()) + b"\n\n\t" + encode(Ping(8))) == [Discover(), Ping(8)]


def test_a_trace_does_not_show_the_secret_of_a_session() -> None:
    answer = encode(Answer(16, 0, "red", "0123", extended=True, session="f" * 32))
    asked = encode(Lock("R1", regains=True, session="f" * 32))
    assert str(Shown(answer + asked)) == repr(answer + asked).replace("f" * 32, "...")
    assert str(Shown(encode(Lock("R1")))) == repr(encode(Lock("R1")))


def test_the_reader_knows_whether_a_message_has_begun() -> None:
    reader = MessageReader()
    assert not reader
    assert list(reader.feed(b"<msg")) == []
    assert reader
    assert list(reader.feed(b' verb="4" step="8"></msg>')) == [Discover()]
    assert not reader


@pytest.mark.parametrize("records", [b"\x16\x03\x01\x02\x00", b"\x15\x03\x03\x00\x02"], ids=["handshake", "alert"])
def test_a_peer_that_speaks_tls_is_recognised_by_its_first_two_bytes(records: bytes) -> None:
    reader = MessageReader()
    assert list(reader.feed(encode(Discover()))) == [Discover()]
    assert list(reader.feed(records[:1])) == []
    with pytest.raises(RemoteProtocolError, match="speaks TLS"):
        list(reader.feed(records[1:2]))


@pytest.mark.parametrize("end", [b"", b"/>", b"></msg >", b"></MSG>", b"></msg"])
def test_a_message_without_its_end_is_waited_for(end: bytes) -> None:
    assert feed(b'<msg level="3" verb="4" step="8"' + end) == []


def sized(size: int) -> bytes:
    """A discover message of C{size} bytes."""
    text = b'<msg level="3" verb="4" step="8" padding=""></msg>'
    return text.replace(b'""', b'"' + b"x" * (size - len(text)) + b'"')


@pytest.mark.parametrize("cut", [1, 100, 510, 511])
def test_511_bytes_are_a_message_and_512_are_none(cut: int) -> None:
    assert feed([sized(511)[:cut], sized(511)[cut:]]) == [Discover()]
    assert feed(sized(511) * 3) == [Discover()] * 3
    for pieces in ([sized(512)], [sized(512)[:cut], sized(512)[cut:]]):
        with pytest.raises(RemoteProtocolError, match="more than 511"):
            feed(pieces)


def test_511_bytes_without_an_end_are_waited_for_and_512_are_not() -> None:
    assert feed(b"x" * 511) == []
    with pytest.raises(RemoteProtocolError, match="more than 511"):
        feed(b"x" * 512)


def test_a_client_accepts_1023_bytes() -> None:
    assert feed(sized(1023), MAX_ANSWER_SIZE) == [Discover()]
    with pytest.raises(RemoteProtocolError, match="more than 1023"):
        feed(sized(1024), MAX_ANSWER_SIZE)


def test_endless_garbage_is_not_kept() -> None:
    reader, kept = MessageReader(), 0
    with pytest.raises(RemoteProtocolError):  # noqa: PT012
        for _ in range(10_000):
            list(reader.feed(b"garbage "))
            kept = max(kept, len(reader._buffer))
    assert kept <= MAX_MESSAGE_SIZE


def test_endless_messages_are_not_kept() -> None:
    reader = MessageReader()
    for _ in range(1_000):
        assert list(reader.feed(encode(Discover()) + b"<msg")) == [Discover()]
        assert len(reader._buffer) == 4
        assert list(reader.feed(encode(Discover())[len(DECLARATION) + 4 :])) == [Discover()]
        assert not reader


@pytest.mark.parametrize("length", [240, 241])
def test_a_simple_name_may_have_240_bytes(length: int) -> None:
    message = Lock("a" * length, LockMode.EX, wait=True, create=True, peer_id=PEER_ID)
    if length == 240:
        assert decode(encode(message)) == message
    else:
        with pytest.raises(LocalProtocolError, match="too long"):
            encode(message)


def test_a_lock_of_what_is_no_name_is_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match="'no name!'"):
        encode(Lock("no name!"))
