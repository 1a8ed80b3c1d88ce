"""What a connection is sent by, and how one side of it is closed, with TLS in between and without."""

from __future__ import annotations

from flom.transports import close_our_side, underlying
from tests.server.connections import Transport, wrap


def test_below_tls_is_the_transport_that_sends_the_bytes() -> None:
    transport = Transport()
    assert underlying(transport) is transport
    assert underlying(wrap(transport)) is transport
    assert underlying(wrap(wrap(transport))) is transport


def test_in_plain_text_our_side_alone_is_closed() -> None:
    transport = Transport()
    close_our_side(transport)
    assert (transport.half_closed, transport.disconnecting) == (True, False)


def test_under_tls_which_has_no_sides_the_connection_is_closed() -> None:
    transport = Transport()
    close_our_side(wrap(transport))
    assert (transport.half_closed, transport.disconnecting) == (False, True)
