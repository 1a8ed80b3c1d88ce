"""
Proofs of grants: by which a daemon knows that the one before it has granted a lock to the client that reclaims it
(docs/reference/protocol.md, "Proofs").

A proof is a MAC (keyed BLAKE2b) that only a daemon with the same key can make. The client keeps it, and repeats it with
all that it covers when it reclaims the lock.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from flom.core.effects import Converted, Granted
from flom.core.modes import LockMode, excludes_no_more
from flom.core.requests import LockRequest

_SIZE: Final = 16
"""Bytes of a proof, which are twice as many hexadecimal digits."""

START_SIZE: Final = 16
"""Hexadecimal digits that name a start of a daemon (L{flom.net.holders})."""

_RANDOM: Final = START_SIZE // 2
"""How many of these are random; the others are the MAC of these."""


class ProofKey:
    """The key of a daemon; those that have the same secret at the same place have the same one."""

    __slots__ = ("_grants", "_starts")

    def __init__(self, secret: bytes, place: str) -> None:
        """
        @param secret: what the daemons share, of any length.
        @param place: where their clients find them: what was granted at one place proves nothing at another.
        """
        key = blake2b(_bytes(place), digest_size=32, key=blake2b(secret).digest()).digest()
        self._grants = blake2b(digest_size=_SIZE, key=key, person=b"flom grant")
        self._starts = blake2b(digest_size=(START_SIZE - _RANDOM) // 2, key=key, person=b"flom start")

    def __repr__(self) -> str:
        return "<ProofKey>"  # it is for no log

    def prover(self, who: str, session: str) -> Prover:
        """
        Return what proves grants to one client.

        @param who: the client, as far as the daemon knows it; the empty string if it knows nothing of it.
        @param session: the secret of its session; the empty string if it has none.
        """
        mac = self._grants.copy()
        mac.update(_bytes(f"{len(who)} {len(session)} {who}{session}"))
        return Prover(mac)

    def sign_start(self, start: str) -> str:
        """
        Return a name for a start of a daemon, by which one with the same key knows it (L{has_signed}).

        @param start: L{START_SIZE} random hexadecimal digits; the MAC of the first half takes the place of the other.
        """
        random = start[:_RANDOM]
        mac = self._starts.copy()
        mac.update(_bytes(random))
        return random + mac.hexdigest()

    def has_signed(self, start: str) -> bool:
        """Return whether L{sign_start} has returned C{start}, with this key."""
        return _are_equal(start, self.sign_start(start))


class Prover:
    """Proves what is granted to one client."""

    __slots__ = ("_mac",)

    def __init__(self, mac: blake2b | None = None) -> None:
        """@param mac: knows the key and the client; C{None} for no proofs."""
        self._mac = mac

    def prove(self, grant: Granted | Converted) -> str:
        """Return the proof of C{grant} as hexadecimal digits; the empty string if there are no proofs."""
        return self._prove(grant.request, grant.request.mode, grant.element, grant.token)

    def has_proven(self, request: LockRequest) -> bool:
        """
        Return whether C{request} reclaims what L{prove} has returned its proof for, or a part: a client that was about
        to convert its lock to a mode that excludes less, and does not know whether that was done.
        """
        if not request.proof:
            return False
        modes = (request.mode, *(mode for mode in LockMode if excludes_no_more(request.mode, mode)))
        proofs = (self._prove(request, mode, request.element, request.token) for mode in modes)
        return any(_are_equal(request.proof, proof) for proof in proofs)

    def _prove(self, request: LockRequest, mode: LockMode, element: str | None, token: int) -> str:
        """
        Return the MAC of what C{request} asks for, and was granted in C{mode}.

        No two grants have one encoding: mode and numbers end with a space, the length of the name says where that ends,
        and an element, if there is one, begins with a plus sign.
        """
        if self._mac is None:
            return ""
        mac, name = self._mac.copy(), request.name.text
        said = f"{mode.name} {request.quantity} {token} {len(name)} {name}"
        mac.update(_bytes(said if element is None else f"{said}+{element}"))
        return mac.hexdigest()


def _are_equal(claimed: str, true: str) -> bool:
    """Return whether both texts are the same, in a time that does not tell how far they are."""
    from hmac import compare_digest  # most daemons never need it

    return compare_digest(_bytes(claimed), _bytes(true))


def _bytes(text: str) -> bytes:
    """Return different bytes for different texts, be they of bytes that are none."""
    return text.encode("utf-8", "surrogatepass")
