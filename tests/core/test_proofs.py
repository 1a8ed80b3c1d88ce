"""Proofs of grants: only who has the key can make one, and it is of one grant to one client alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from flom.core.effects import Granted
from flom.core.modes import LockMode, excludes_no_more
from flom.core.names import parse_name
from flom.core.proofs import START_SIZE, ProofKey, Prover
from flom.core.requests import LockRequest, SessionId

SECRET = b"32 bytes that nobody else knows."


@dataclass(frozen=True)
class Grant:
    """All that a proof is of."""

    who: str = "uid 1000"
    session: str = "0123456789abcdef0123456789abcdef"
    name: str = "red.green"
    mode: LockMode = LockMode.PR
    quantity: int = 1
    element: str | None = "red"
    token: int = 12884901895
    secret: bytes = SECRET
    place: str = "/run/flom.sock"

    @property
    def prover(self) -> Prover:
        return ProofKey(self.secret, self.place).prover(self.who, self.session)

    def proof(self) -> str:
        request = LockRequest(SessionId(1), parse_name(self.name), self.mode, self.quantity)
        return self.prover.prove(Granted(request, self.token, self.element))

    def takes(self, proof: str) -> bool:
        """Return whether a client that says that it had this is believed because of C{proof}."""
        reclaim = LockRequest(
            SessionId(9),
            parse_name(self.name),
            self.mode,
            self.quantity,
            wait=False,
            regains=True,
            secret=self.session,
            element=self.element,
            token=self.token,
            proof=proof,
        )
        return self.prover.has_proven(reclaim)


GRANT = Grant()
PROOF = GRANT.proof()


def test_a_proof_is_that_of_its_grant() -> None:
    proof = GRANT.proof()
    assert GRANT.takes(proof)
    assert len(proof) == 32
    assert not proof.strip("0123456789abcdef")
    assert GRANT.proof() == proof


@pytest.mark.parametrize(
    "other",
    [
        replace(GRANT, who="uid 0"),
        replace(GRANT, who=""),
        replace(GRANT, session="f" * 32),
        replace(GRANT, session=""),
        replace(GRANT, name="red.green.blue"),
        replace(GRANT, mode=LockMode.EX),
        replace(GRANT, quantity=2),
        replace(GRANT, element="green"),
        replace(GRANT, element=None),
        replace(GRANT, element=""),
        replace(GRANT, token=GRANT.token + 1),
        replace(GRANT, token=0),
        replace(GRANT, secret=b"another key"),
        replace(GRANT, place="/run/other.sock"),
    ],
)
def test_with_anything_changed_it_is_wrong(other: Grant) -> None:
    assert not other.takes(GRANT.proof())


@pytest.mark.parametrize("mode", [LockMode.NL, LockMode.CR])
def test_it_is_one_of_a_part_too(mode: LockMode) -> None:
    """A client that was about to convert its lock to less may not know whether that was done."""
    assert replace(GRANT, mode=mode).takes(GRANT.proof())


@pytest.mark.parametrize("mode", [LockMode.CW, LockMode.PW])
def test_it_is_none_of_more(mode: LockMode) -> None:
    assert not replace(GRANT, mode=mode).takes(GRANT.proof())


@pytest.mark.parametrize("proof", ["", "0" * 32, PROOF[:-1], PROOF.upper(), f"{PROOF}0", "\udc80é"])
def test_what_is_no_proof_proves_nothing(proof: str) -> None:
    assert not GRANT.takes(proof)


def test_without_a_key_nothing_is_proven() -> None:
    request = LockRequest(SessionId(1), parse_name("R"))
    assert Prover().prove(Granted(request, 1)) == ""
    assert not Prover().has_proven(request)


NAMES = ["a", "N[5]", "red.green", "_s_n[1]", "/a", "/a+b", "/a+", "/1 /a", "/1 2 /a+b", "/\udc80", "/é"]
texts = st.text(st.characters(exclude_categories=()), max_size=9)

grants = st.builds(
    Grant,
    who=texts,
    session=texts,
    name=st.sampled_from(NAMES),
    mode=st.sampled_from(list(LockMode)),
    quantity=st.integers(0, 2**31 - 1) | st.integers(0, 12),
    element=st.none() | texts | st.sampled_from(["", "+", "b", "+b"]),
    token=st.integers(0, 2**63 - 1) | st.integers(0, 12),
    secret=st.just(SECRET) | st.binary(max_size=70),
    place=st.just("/run/flom.sock") | texts,
)


@given(grants, grants)
@example(replace(GRANT, name="/a", element="b"), replace(GRANT, name="/a+b", element=None))
@example(replace(GRANT, who="ab", session="c"), replace(GRANT, who="a", session="bc"))
@example(replace(GRANT, quantity=1, token=23), replace(GRANT, quantity=12, token=3))
def test_no_two_grants_have_one_proof(one: Grant, other: Grant) -> None:
    assert one.takes(one.proof())
    assume(replace(one, mode=other.mode) != other or not excludes_no_more(other.mode, one.mode))
    assert not other.takes(one.proof())


@given(grants, st.data())
def test_one_changed_field_is_enough(grant: Grant, data: st.DataObject) -> None:
    other = data.draw(grants)
    field = data.draw(st.sampled_from(sorted(vars(grant))))
    changed = replace(grant, **{field: getattr(other, field)})
    is_part = replace(changed, mode=grant.mode) == grant and excludes_no_more(changed.mode, grant.mode)
    assert changed.takes(grant.proof()) is is_part


# starts of daemons


def test_a_start_is_known_by_those_with_the_key() -> None:
    key = ProofKey(SECRET, "/run/flom.sock")
    start = key.sign_start("0123456789abcdef")
    assert start[:8] == "01234567"
    assert len(start) == START_SIZE
    assert key.has_signed(start)
    assert ProofKey(SECRET, "/run/flom.sock").has_signed(start)
    for other in (ProofKey(b"another", "/run/flom.sock"), ProofKey(SECRET, "/run/other.sock")):
        assert not other.has_signed(start)


@pytest.mark.parametrize("start", ["", "0123456789abcdef", "0123", "0123456789abcdef0", "é" * 16])
def test_another_start_is_not(start: str) -> None:
    assert not ProofKey(SECRET, "/run/flom.sock").has_signed(start)


def test_a_key_is_not_shown() -> None:
    assert repr(ProofKey(SECRET, "")) == "<ProofKey>"
