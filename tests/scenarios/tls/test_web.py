"""The web page over TLS."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from flom.tls.authority import issue, make_authority
from tests.fakes.authority import Files
from tests.fakes.daemon import Daemon
from tests.fakes.programs import free_port


def context_for(authority: str) -> ssl.SSLContext:
    """Trust C{authority}, whatever the name of who shows its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority)
    return context


def is_healthy(socket: Path, certificate: str, key: str, context: ssl.SSLContext) -> bool:
    """Return whether a daemon with these files says that it is healthy."""
    port = free_port()
    endpoint = f"ssl:{port}:interface=127.0.0.1:certKey={certificate}:privateKey={key}"
    with Daemon("-s", str(socket), "--http", endpoint, ready="showing what is locked"):
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
        connection.request("GET", "/healthz")
        answer = connection.getresponse().read()
        connection.close()
    return answer == b"ok\n"


@pytest.mark.parametrize(
    "offered", [[], ["http/1.1"], ["h2", "http/1.1"]], ids=["nothing", "http/1.1", "as browsers do"]
)
def test_a_client_is_answered_whatever_protocols_it_offers(offered: Sequence[str], good: Files, tmp_path: Path) -> None:
    context = context_for(good.authority)
    if offered:
        context.set_alpn_protocols(offered)
    assert is_healthy(tmp_path / "sock", good.certificate, good.key, context)


def test_the_strictest_trust_certificates_of_ours(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "ca", days=1)
    ours = issue(tmp_path / "ca", "somebody", days=1)
    context = context_for(str(authority.certificate))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # which Python does by itself since 3.13
    assert is_healthy(tmp_path / "sock", str(ours.certificate), str(ours.key), context)
