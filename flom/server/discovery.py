"""Answering those who look for a daemon in a multicast group (spec 6.3)."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.messages import Discover, Discovered
from flom.core.wire import MAX_MESSAGE_SIZE, decode, encode
from flom.errors import RemoteProtocolError


class DiscoveryProtocol(DatagramProtocol):
    """
    Tells every asker, and nobody else, where this daemon listens.

    It only answers: that there is one daemon in a group is not its business. What is no discover message is ignored,
    whoever sent it (D-24).
    """

    _log = Logger()

    transport: Any  # IMulticastTransport, which the base class cannot say

    def __init__(self, group: str, address: str, port: int) -> None:
        """
        @param group: the multicast group to join.
        @param address: where the daemon listens, or the empty string for where the answer comes from.
        """
        self._group = group
        self._reply = encode(Discovered(address, port))

    def startProtocol(self) -> None:
        self.transport.joinGroup(self._group).addCallbacks(self._joined, self._not_joined)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if len(datagram) > MAX_MESSAGE_SIZE:
            return
        try:
            message = decode(datagram)
        except RemoteProtocolError as e:
            self._log.debug("ignoring a datagram of {asker}: {why}", asker=addr, why=str(e))
            return
        if isinstance(message, Discover):
            self.transport.write(self._reply, addr)

    def _joined(self, _: object) -> None:
        self._log.info("joined {group}", group=self._group)

    def _not_joined(self, failure: Failure) -> None:
        self._log.error("cannot join {group}: {why}", group=self._group, why=failure.getErrorMessage())
