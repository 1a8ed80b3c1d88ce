"""The web page over TLS."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.run.programs import free_port
from tests.tls.authority import Files


@pytest.mark.parametrize(
    "offered", [[], ["http/1.1"], ["h2", "http/1.1"]], ids=["nothing", "http/1.1", "as browsers do"]
)
def test_a_client_is_answered_whatever_protocols_it_offers(offered: Sequence[str], good: Files, tmp_path: Path) -> None:
    port = free_port()
    endpoint = f"ssl:{port}:interface=127.0.0.1:certKey={good.certificate}:privateKey={good.key}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(good.authority)
    if offered:
        context.set_alpn_protocols(offered)
    with Daemon("-s", str(tmp_path / "sock"), "--http", endpoint, ready="showing what is locked"):
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        connection.close()
