"""A group's key: seals of messages, and proofs."""

from __future__ import annotations

import pytest

from flom.core.group.key import SEAL_SIZE, GroupKey, promise_of, prove, vouch
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered, Role, Standing

LEADER = Standing("0123456789abcdef", Role.LEADER, 1_700_000_000_000)
ANNOUNCEMENT = encode(Discover("ff02::1", standing=LEADER, address="a>b", port=7))
ANSWER = encode(Discovered("", 40001, LEADER, "host", "1"))


def key(secret: bytes = b"a secret of some bytes") -> GroupKey:
    return GroupKey(secret, lambda: "00")


@pytest.mark.parametrize("message", [ANNOUNCEMENT, ANSWER, encode(Discover("ff02::1"))])
def test_a_sealed_message_says_the_same(message: bytes) -> None:
    sealed = key().seal(message)
    assert len(sealed) == len(message) + SEAL_SIZE
    assert decode(sealed) == decode(message)
    assert key().is_sealed(sealed)


def test_a_seal_is_of_one_key() -> None:
    assert not key(b"another secret, as long").is_sealed(key().seal(ANNOUNCEMENT))


def test_a_seal_of_an_answer_is_of_one_question() -> None:
    assert key().is_sealed(key().seal(ANSWER, "n1"), "n1")
    assert not key().is_sealed(key().seal(ANSWER, "n1"), "n2")
    assert not key().is_sealed(key().seal(ANSWER, "n1"))


@pytest.mark.parametrize(
    "message", [b"", b"hello", ANNOUNCEMENT, ANNOUNCEMENT.replace(b">", b' mac="">', 1), b'<msg mac="']
)
def test_what_has_no_seal_is_not_sealed(message: bytes) -> None:
    assert not key().is_sealed(message)


def test_no_byte_of_a_sealed_message_can_be_changed() -> None:
    sealed = key().seal(ANNOUNCEMENT)
    for place in range(len(sealed)):
        assert not key().is_sealed(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
        assert not key().is_sealed(sealed[:place])


def test_a_secret_is_not_shown() -> None:
    assert "secret" not in repr(key())
    assert key() == key()
    assert key() != key(b"another secret, as long")
    assert hash(key()) == hash(key())


def test_a_proof_is_of_everything_that_it_is_about() -> None:
    proofs = {
        prove(b"", "c", "n", "g", LEADER),
        prove(b"s", "c", "n", "g", LEADER),
        prove(b"", "d", "n", "g", LEADER),
        prove(b"", "c", "m", "g", LEADER),
        prove(b"", "c", "n", "h", LEADER),
        prove(b"", "cn", "", "g", LEADER),
        prove(b"", "c", "n", "g", LEADER.replace(node="1123456789abcdef")),
        prove(b"", "c", "n", "g", LEADER.replace(role=Role.STANDBY)),
        prove(b"", "c", "n", "g", LEADER.replace(since=1)),
    }
    assert len(proofs) == 9
    assert prove(b"", "c", "n", "g", LEADER) in proofs


def test_what_is_vouched_for_is_of_one_key_and_one_kind() -> None:
    said = vouch(b"a secret", "offer", "a", "b")
    assert len(said) == 32
    assert said not in (
        vouch(b"another", "offer", "a", "b"),
        vouch(b"a secret", "line", "a", "b"),
        vouch(b"a secret", "offer", "ab"),
        vouch(b"a secret", "offer", "b", "a"),
    )


def test_a_promise_is_of_one_nonce() -> None:
    assert promise_of("00" * 16) == promise_of("00" * 16) != promise_of("01" * 16)
