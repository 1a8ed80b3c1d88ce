"""
The key that the daemons and clients of a group share, if they do: what one of them says is sealed with it
(docs/explanation/groups.md, "A key for the group").

A seal is the attribute C{mac} of C{msg}, behind all others, which is ignored where there is no key.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from flom.core.protocol.messages import Standing

MIN_SECRET: Final = 16
"""Bytes of the shortest secret; one of fewer could be guessed by those who have seen a seal."""

SEAL_SIZE: Final = len(' mac=""') + 32
"""Bytes by which a seal makes a message longer."""


class GroupKey:
    """
    A secret, and what is done with it; two are equal if their secrets are.

    @ivar secret: L{MIN_SECRET} bytes or more.
    @ivar is_required: true if nothing without a seal is to be believed; otherwise, what FLoM's daemons and clients say
        is, which cannot have one.
    @ivar new_nonce: returns a random text of hexadecimal digits that was not used before.
    """

    __slots__ = ("is_required", "new_nonce", "secret")

    def __init__(self, secret: bytes, new_nonce: Callable[[], str], *, is_required: bool = False) -> None:
        self.secret = secret
        self.new_nonce = new_nonce
        self.is_required = is_required

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GroupKey) and other.secret == self.secret

    def __hash__(self) -> int:
        return hash(self.secret)

    def __repr__(self) -> str:
        return "<GroupKey>"  # the secret is for no log

    def seal(self, message: bytes, nonce: str = "") -> bytes:
        """
        Return C{message} with a seal.

        @param message: as L{flom.core.protocol.encode.encode} has written it.
        @param nonce: of the question that it answers, or nothing if it answers none.
        """
        start = message.index(b">", message.index(b"<msg"))
        return b'%b mac="%b"%b' % (message[:start], self._mac(message, nonce), message[start:])

    def is_sealed(self, message: bytes, nonce: str = "") -> bool:
        """Return whether C{message} has the seal that L{seal} gives it."""
        from hmac import compare_digest

        start = message.find(b' mac="', message.find(b"<msg"))
        unsealed = message[:start] + message[start + SEAL_SIZE :]
        expected = b' mac="%b"' % self._mac(unsealed, nonce)
        return start >= 0 and compare_digest(message[start : start + SEAL_SIZE], expected)

    def _mac(self, message: bytes, nonce: str) -> bytes:
        return _hash(self.secret, "message", nonce, message.decode("latin-1"))


def prove(secret: bytes, challenge: str, nonce: str, group: str, standing: Standing) -> str:
    """
    Return what a daemon answers to a challenge.

    @param secret: of its group; no bytes to show no more than that the daemon has received the challenge.
    @param challenge: the nonce of the challenge.
    @param nonce: of the answer.
    @param group: the address of the group.
    @param standing: of the daemon.
    """
    said = (challenge, nonce, group, standing.node, standing.role.value, str(standing.since))
    return _hash(secret, "proof", *said).decode()


def vouch(secret: bytes, what: str, *said: str) -> str:
    """
    Return 32 hexadecimal digits that only those who have C{secret} can make, for one of several that are C{said}.

    @param what: the kind of it, lest one stand for another.
    """
    return _hash(secret, what, *said).decode()


def promise_of(nonce: str) -> str:
    """Return what a leader announces before it shows C{nonce}, which cannot be found out by this."""
    return _hash(b"", "promise", nonce).decode()


def _hash(secret: bytes, *said: str) -> bytes:
    """Return 32 hexadecimal digits that only those who have the C{secret} can make of what is C{said}."""
    import hmac  # with hashlib it takes milliseconds, and most groups have no key

    text = "\0".join(f"{len(each)} {each}" for each in said)
    return hmac.new(secret, text.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:32].encode()
