"""The files of TLS to etcd, and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from flom.errors import ConfigError
from flom.server.quorum.tls import QuorumTls
from flom.tls.authority import issue, make_authority


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority and the certificates of two hosts."""
    folder = tmp_path_factory.mktemp("certificates")
    make_authority(folder, 2)
    issue(folder, "h1", 1)
    issue(folder, "h2", 1)
    (folder / "empty").write_text("")
    return folder


def test_with_and_without_files(folder: Path) -> None:
    QuorumTls().creator("h1")
    QuorumTls(ca_certificate=str(folder / "ca.pem")).creator("127.0.0.1")
    QuorumTls(str(folder / "h1.pem"), str(folder / "h1.key"), str(folder / "ca.pem")).creator("fd00::1")


@pytest.mark.parametrize(
    ("certificate", "key", "authority", "why"),
    [
        ("h1.pem", "", "", "quorum-key: it is missing beside quorum-cert"),
        ("", "h1.key", "", "quorum-cert: it is missing beside quorum-key"),
        ("none", "h1.key", "", "quorum-cert: '{}/none' cannot be used: no such file or directory"),
        ("empty", "h1.key", "", "quorum-cert: '{}/empty' cannot be used: it has no certificate that can be read"),
        ("h1.pem", "h1.pem", "", "quorum-key: '{}/h1.pem' cannot be used: it is not the key of that certificate"),
        ("h1.pem", "h2.key", "", "quorum-key: '{}/h2.key' cannot be used: it is not the key of that certificate"),
        ("", "", "h1.key", "quorum-ca: '{}/h1.key' cannot be used: it has no certificate that can be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    folder: Path, certificate: str, key: str, authority: str, why: str
) -> None:
    files = [str(folder / name) if name else "" for name in (certificate, key, authority)]
    with pytest.raises(ConfigError) as e:
        QuorumTls(*files)
    assert str(e.value) == why.format(folder)
