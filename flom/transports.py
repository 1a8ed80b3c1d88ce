"""What connections of ours have in common, whether TLS lies between us and the socket or not."""

from __future__ import annotations

from typing import Any

from twisted.protocols.policies import ProtocolWrapper


def underlying(transport: Any) -> Any:
    """Give what C{transport} sends its bytes by: under TLS, the transport below that; otherwise itself."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport


def close_our_side(transport: Any) -> None:
    """
    Tell the other end that nothing more comes, while it may go on sending.

    TLS has no such thing; there, the connection ends when the other end has agreed.
    """
    if isinstance(transport, ProtocolWrapper):
        transport.loseConnection()
    else:
        transport.loseWriteConnection()
