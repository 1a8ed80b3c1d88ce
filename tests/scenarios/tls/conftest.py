"""What the tests of TLS share."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from flom.client.blocking.tls import TlsEnd
from flom.net.machine_id import unique_id
from tests.fakes.authority import EXPIRED, NOT_YET_VALID, Authority, Files
from tests.fakes.tls_network import MemoryNetwork
from tests.server.conftest import log as log

SOMEBODY = "0123456789abcdef0123456789abcdef"
"""The unique id of another host."""


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that those who are good trust."""
    return Authority(tmp_path_factory.mktemp("authority") / "ca", "Test authority")


@pytest.fixture(scope="session")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Files]:
    """Files for TLS, by what their certificate is; it has the unique id of this host, unless that says otherwise."""
    directory = tmp_path_factory.mktemp("others")
    stranger = Authority(directory / "stranger", "Another authority")
    twin = Authority(directory / "twin", "Test authority")
    branch = Authority(directory / "branch", "Branch of the test authority", issuer=authority)
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    rsa_key = rsa.generate_private_key(65537, 2048)
    good = authority.issue("good")
    return {
        "good": good,
        "from another authority": stranger.issue("stranger", trusts=authority),
        "from another authority of the same name": twin.issue("twin", trusts=authority),
        "from a branch": branch.issue("branch", trusts=authority),
        "from a branch that is not sent": branch.issue("lonely", sends_chain=False, trusts=authority),
        "expired": authority.issue("expired", days=EXPIRED),
        "not yet valid": authority.issue("early", days=NOT_YET_VALID),
        "for servers only": authority.issue("server", usage=server),
        "for clients only": authority.issue("client", usage=client),
        "for an RSA key": authority.issue("rsa", key=rsa_key),
        "for another key": replace(good, key=stranger.issue("key").key),
        "trusting another authority": replace(good, authority=stranger.path),
        "locked": authority.issue("locked", passphrase=b"secret"),
        "somebody's": authority.issue("somebody", [SOMEBODY]),
        "somebody's at first": authority.issue("both", [SOMEBODY, unique_id()]),
        "somebody's in the end": authority.issue("htob", [unique_id(), SOMEBODY]),
        "in capitals": authority.issue("capitals", [unique_id().upper()]),
        "nameless": authority.issue("nameless", []),
    }


@pytest.fixture
def good(files: Mapping[str, Files]) -> Files:
    """Files that nothing is wrong with."""
    return files["good"]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> MemoryNetwork:
    """A network without hosts."""
    network = MemoryNetwork()
    monkeypatch.setattr("twisted.protocols.tls._get_default_clock", lambda: network.clock)
    return network


@pytest.fixture(params=[SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["TLS 1.2", "TLS 1.3"])
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The newest version of TLS that the test's ends speak, by OpenSSL's number."""
    newest: int = request.param
    make, make_end = SSL.Context.__init__, TlsEnd.__init__

    def make_limited(context: SSL.Context, *arguments: Any) -> None:
        make(context, *arguments)
        context.set_max_proto_version(newest)

    def make_limited_end(end: TlsEnd, *arguments: Any, **more: Any) -> None:
        make_end(end, *arguments, **more)
        end._context.maximum_version = ssl.TLSVersion(newest)

    monkeypatch.setattr(SSL.Context, "__init__", make_limited)
    monkeypatch.setattr(TlsEnd, "__init__", make_limited_end)
    return newest
