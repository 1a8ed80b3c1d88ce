"""Peer ids and the names in certificates (docs/compatibility.md, "Peer id check"); scenarios/tls has the handshakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from OpenSSL import crypto

from flom.codes import ReturnCode
from flom.errors import TlsError
from flom.net.machine_id import unique_id
from tests.fakes.authority import MALFORMED, Authority, Files, replace_in_certificate
from tests.scenarios.tls.conftest import SOMEBODY


class Secured:
    """A connection to a peer with the certificate in C{files}."""

    def __init__(self, files: Files) -> None:
        self._certificate = crypto.load_certificate(crypto.FILETYPE_PEM, Path(files.certificate).read_bytes())

    def getPeerCertificate(self) -> crypto.X509:
        return self._certificate


@pytest.mark.parametrize("kind", ["good", "somebody's at first"])
def test_a_peer_id_that_is_the_last_common_name_is_fine(good: Files, files: Mapping[str, Files], kind: str) -> None:
    good.tls(checks_peer_id=True).check_peer_id(Secured(files[kind]), unique_id())


@pytest.mark.parametrize(
    ("kind", "peer_id", "named"),
    [
        ("somebody's", unique_id(), f"has the common name '{SOMEBODY}'"),
        ("somebody's in the end", unique_id(), f"has the common name '{SOMEBODY}'"),
        ("in capitals", unique_id(), f"has the common name '{unique_id().upper()}'"),
        ("nameless", unique_id(), "has no common name"),
        ("nameless", "", "has no common name"),
        ("nameless", None, "has no common name"),
        ("good", SOMEBODY, f"has the common name '{unique_id()}'"),
        ("good", "", f"has the common name '{unique_id()}'"),
        ("good", None, f"has the common name '{unique_id()}'"),
    ],
)
def test_every_other_peer_id_is_refused(
    good: Files, files: Mapping[str, Files], kind: str, peer_id: str | None, named: str
) -> None:
    with pytest.raises(TlsError) as caught:
        good.tls(checks_peer_id=True).check_peer_id(Secured(files[kind]), peer_id)
    assert caught.value.code is ReturnCode.UNIQUE_ID_DOES_NOT_MATCH
    said = "it has sent no unique id" if peer_id is None else f"its unique id is '{peer_id}'"
    assert str(caught.value) == f"{said}, and its certificate {named}"


@pytest.mark.parametrize(("right", "wrong"), MALFORMED.values(), ids=MALFORMED.keys())
def test_with_a_certificate_that_cannot_be_read_no_peer_id_will_do(
    good: Files, tmp_path: Path, right: bytes, wrong: bytes
) -> None:
    odd = Authority(tmp_path / "odd", "Another authority").issue("odd", ["Texts"])
    replace_in_certificate(odd.certificate, right, wrong)
    with pytest.raises(TlsError) as caught:
        good.tls(checks_peer_id=True).check_peer_id(Secured(odd), "Texts")
    assert caught.value.code is ReturnCode.UNIQUE_ID_DOES_NOT_MATCH
    assert str(caught.value).isprintable()


def test_a_common_name_is_told_in_one_line(good: Files, authority: Authority) -> None:
    odd = authority.issue("odd", ["first\nsecond\x1b[31m"])
    with pytest.raises(TlsError) as caught:
        good.tls(checks_peer_id=True).check_peer_id(Secured(odd), unique_id())
    assert str(caught.value).isprintable()


def test_unless_it_is_to_be_checked_any_peer_id_will_do(good: Files, files: Mapping[str, Files]) -> None:
    good.tls().check_peer_id(Secured(files["somebody's"]), None)
