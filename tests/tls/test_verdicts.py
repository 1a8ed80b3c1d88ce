"""The words for what goes wrong with TLS (docs/compatibility.md, "TLS failures", "Peer id check")."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from flom.codes import ReturnCode
from flom.tls.verdicts import (
    CHAIN_TOO_LONG,
    blame,
    certificate_problem,
    connection_failed,
    describe_certificate,
    describe_complaints,
    peer_id_problem,
)
from tests.fakes.authority import Authority, Files


def der(path: str) -> bytes:
    """Return the first certificate in a PEM file."""
    return x509.load_pem_x509_certificate(Path(path).read_bytes()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("complaints", "words"),
    [
        (["tlsv1 alert unknown ca"], "it does not trust the authority that our certificate comes from"),
        (["something", "wrong version number"], "it does not speak TLS"),
        (["something", "something else"], "something, something else"),
        ([], ""),
    ],
)
def test_openssl_is_quoted_where_we_have_no_words(complaints: list[str], words: str) -> None:
    assert describe_complaints(complaints) == words


@pytest.mark.parametrize(
    ("is_secured", "code"), [(True, ReturnCode.SSL_READ_ERROR), (False, ReturnCode.SSL_CONNECT_ERROR)]
)
def test_the_code_says_when_a_connection_failed(is_secured: bool, code: int) -> None:
    error = connection_failed(["bad record mac"], is_secured=is_secured)
    assert (error.code, str(error)) == (code, "TLS failed: bad record mac")


def test_a_certificate_is_named_with_its_problem(good: Files) -> None:
    assert certificate_problem(10, 0, None) == "its certificate has expired"
    assert certificate_problem(99, 1, None) == "a certificate that its own depends on has X.509 problem 99"
    assert "more than 4 certificates away" in certificate_problem(CHAIN_TOO_LONG, 5, der(good.certificate))


def test_whose_certificate_is_bad_is_found_out_once_more(good: Files, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", "Another authority")
    chain = [der(good.certificate)]
    assert blame(20, chain, other.path) == certificate_problem(20, 0, chain[0])
    assert blame(20, [], other.path) == certificate_problem(20, 0, None)


def test_a_certificate_is_described_in_one_line(authority: Authority) -> None:
    described = describe_certificate(der(authority.issue("long", ["a\nb"]).certificate))
    assert described.isprintable()
    assert described.endswith("issued by CN=Test authority")
    assert describe_certificate(b"nothing of the kind") == "malformed"


def test_what_a_peer_has_chosen_is_cut_off() -> None:
    error = peer_id_problem("x" * 1000, None)
    assert error.code is ReturnCode.UNIQUE_ID_DOES_NOT_MATCH
    assert len(str(error)) == 300
