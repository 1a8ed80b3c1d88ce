"""What is made of the files for TLS (docs/compatibility.md, "TLS parameters")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from flom.codes import ReturnCode
from flom.errors import TlsError
from flom.net.machine_id import unique_id
from tests.fakes.authority import Files
from tests.scenarios.tls.conftest import SOMEBODY

GARBLED = "-----BEGIN {0}-----\nAAAA\n-----END {0}-----\n"

OPTIONS = {
    "certificate": ("tls-certificate", ReturnCode.SSL_CTX_USE_CERTIFICATE_FILE_ERROR),
    "key": ("tls-private-key", ReturnCode.SSL_CTX_USE_PRIVATEKEY_FILE_ERROR),
    "authority": ("tls-ca-certificate", ReturnCode.SSL_CTX_LOAD_VERIFY_LOCATIONS_ERROR),
}

CONTENTS = {
    "nothing": "",
    "no PEM": "hello\n",
    "a certificate that is none": GARBLED.format("CERTIFICATE"),
    "a key that is none": GARBLED.format("PRIVATE KEY"),
    "something else": GARBLED.format("DH PARAMETERS"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there."""
    return tmp_path / "bad.pem"


def refusal(files: Files) -> TlsError:
    """Return the one line that says why C{files} cannot be used."""
    with pytest.raises(TlsError) as caught:
        files.tls()
    assert str(caught.value).isprintable()
    return caught.value


@pytest.mark.parametrize("which", OPTIONS)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_file_that_is_not_what_it_should_be_is_named(good: Files, path: Path, which: str, content: str) -> None:
    path.write_text(content)
    option, code = OPTIONS[which]
    error = refusal(replace(good, **{which: str(path)}))
    assert error.code is code
    assert str(error).startswith(f"{option}: '{path}' cannot be used: ")


UNREADABLE = {"bad.pem": "no such file or directory", "": "is a directory", "file/bad.pem": "not a directory"}


@pytest.mark.parametrize("which", OPTIONS)
@pytest.mark.parametrize(("where", "why"), UNREADABLE.items(), ids=UNREADABLE.values())
def test_a_file_that_cannot_be_read_is_named(good: Files, tmp_path: Path, which: str, where: str, why: str) -> None:
    (tmp_path / "file").touch()
    option, code = OPTIONS[which]
    error = refusal(replace(good, **{which: str(tmp_path / where)}))
    assert error.code is code
    assert str(error) == f"{option}: '{tmp_path / where}' cannot be used: {why}"


OTHER_KEYS = [
    "somebody's",
    "for an RSA key",
]


@pytest.mark.parametrize("whose", OTHER_KEYS)
def test_a_key_must_be_that_of_the_certificate(good: Files, files: Mapping[str, Files], whose: str) -> None:
    error = refusal(replace(good, key=files[whose].key))
    assert error.code is ReturnCode.SSL_CTX_USE_PRIVATEKEY_FILE_ERROR
    assert str(error).startswith(f"tls-private-key: '{files[whose].key}' ")
    assert "the key of the certificate" in str(error)


def test_a_key_must_not_have_a_passphrase(files: Mapping[str, Files]) -> None:
    locked = files["locked"]
    error = refusal(locked)
    assert error.code is ReturnCode.SSL_CTX_USE_PRIVATEKEY_FILE_ERROR
    assert str(error).startswith(f"tls-private-key: '{locked.key}' cannot be used: ")
    assert "it has a passphrase" in str(error)


def test_certificate_and_key_may_share_a_file_with_other_text(good: Files, path: Path) -> None:
    path.write_text("Certificate:\n" + Path(good.certificate).read_text() + "Key:\n" + Path(good.key).read_text())
    assert replace(good, certificate=str(path), key=str(path)).tls().own_name == unique_id()


NAMES = {
    "good": unique_id(),
    "from a branch": unique_id(),
    "somebody's": SOMEBODY,
    "somebody's at first": unique_id(),
    "somebody's in the end": SOMEBODY,
    "nameless": None,
}


@pytest.mark.parametrize(("kind", "name"), NAMES.items(), ids=NAMES)
def test_our_name_is_the_last_common_name_of_the_first_certificate(
    files: Mapping[str, Files], kind: str, name: str | None
) -> None:
    assert files[kind].tls().own_name == name
