"""Endpoints of hosts whose address may have a zone."""

from __future__ import annotations

from typing import Final

import pytest
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint

from flom.core.group.addresses import Group
from flom.reactor.endpoints import stream_endpoint
from tests.fakes.reactors import MemoryReactor

_IP_RECVTTL: Final = 12  # ip(7); missing in Python's socket module

PATIENCE = 5.0  # seconds until a datagram that does not come fails the test

GROUP4, GROUP6 = Group("239.1.1.1", 28015), Group("ff02::1", 28015)


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("fe80::1%eth0", TCP6ClientEndpoint),
        ("::1", TCP6ClientEndpoint),
        ("127.0.0.1", TCP4ClientEndpoint),
        ("db.example.org", HostnameEndpoint),
    ],
)
@pytest.mark.filterwarnings("ignore:Passing HostnameEndpoint")
def test_an_address_keeps_its_interface_and_is_not_looked_up(host: str, kind: type) -> None:
    """A holder that looks for its daemon must learn of each refusal at once, not after 0.3 s."""
    assert type(stream_endpoint(MemoryReactor(), host, 28015)) is kind
