"""
What C{flom-run -V} tells somebody who waits: for what, and because of whom.

It is asked of the daemon over a connection of its own, in a thread of its own, so that the lock is neither delayed nor
lost by it. Whatever is wrong, if the daemon is one of FLoM's for example, or does not tell us: then nothing is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from flom.config import Config
from flom.run.output import can_show, hide, show, tell
from flom.status.model import LockStatus, ResourceStatus, Status
from flom.status.wording import spell_client, spell_seconds

_PATIENCE: Final = 0.3  # seconds from the request until it is told of: most locks are there by then
_PERIOD: Final = 1.0  # seconds

_IsOwn = Callable[[LockStatus], bool]


class WaitReport:
    """Tells what is waited for, about once a second on a terminal, otherwise once."""

    def __init__(self, reactor: Any, config: Config) -> None:
        self._reactor = reactor
        self._config = config
        self._is_over = False
        self._timer: IDelayedCall | None = None
        self._given_up = Event()  # of the thread that is at work

    def watch(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """Give an endpoint that leads where C{endpoint} does; the lock is to be asked for there."""
        return _Watched(endpoint, self._note_connection)

    def stop(self) -> None:
        """Tell no more, and leave the terminal's line empty."""
        self._is_over = True
        self._give_up()
        hide()

    def _note_connection(self, transport: Any) -> None:
        """Take note that the lock is being asked for over C{transport}."""
        if not self._is_over:
            self._give_up()
            self._timer = self._reactor.callLater(_PATIENCE, self._begin, transport)

    def _give_up(self) -> None:
        self._given_up.set()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _begin(self, transport: Any) -> None:
        from flom.client.blocking.dial import prepare  # those who get their lock at once need not wait for this

        self._given_up = Event()
        with suppress(Exception):
            config, is_own = _place_of(transport, self._config)
            prepare(config)
            # a daemon thread, for which nobody waits when we exit; what it has imported by now it need not later
            Thread(target=self._ask, args=(config, is_own, self._given_up), name="waiting", daemon=True).start()

    def _ask(self, config: Config, is_own: _IsOwn, given_up: Event) -> None:
        """Ask the daemon again and again, in a thread of its own."""
        from flom.client.blocking.status import open_status

        with suppress(Exception):
            try:
                with open_status(config, _say_nothing) as reader:
                    while not given_up.is_set():
                        text = describe_wait(reader.read(config.resource_name), is_own)
                        if text is not None:
                            self._reactor.callFromThread(self._tell, text, given_up)
                        given_up.wait(_PERIOD)
            finally:
                self._reactor.callFromThread(self._fall_silent, given_up)

    def _tell(self, text: str, given_up: Event) -> None:
        if given_up.is_set():
            return
        if can_show():
            show(text)
        else:
            tell(text)
            given_up.set()

    def _fall_silent(self, given_up: Event) -> None:
        """See that what was told does not stand there for good, if it cannot be brought up to date any more."""
        if not given_up.is_set():
            hide()


def describe_wait(status: Status, is_own: _IsOwn) -> str | None:
    """
    Tell in one line what is waited for; C{None} if nothing is.

    @param is_own: tells whether somebody is the one who is told.
    """
    for party in filter(is_own, status.incubator):
        return f"waiting for {party.name}: nobody has made it yet"
    for resource in status.resources:
        for party in filter(is_own, resource.waiters):
            return _describe(resource, party)
    return None


def _describe(resource: ResourceStatus, own: LockStatus) -> str:
    what = own.mode if own.quantity is None else str(own.quantity)
    ahead = len(resource.ahead_of(own))
    text = f"waiting for {own.name}{f' ({what})' if what else ''}: {f'{ahead} ahead' if ahead else 'next in line'}"
    if holders := resource.blockers(own):
        text += f", held by {spell_client(holders[0])} for {spell_seconds(holders[0].seconds)}"
    if others := len(holders) - 1 if holders else 0:
        text += f" and {others} {'other' if others == 1 else 'others'}"
    return text


def _place_of(transport: Any, config: Config) -> tuple[Config, _IsOwn]:
    """Tell where the daemon at the other end of C{transport} is, and how it sees who is at our end."""
    here, there = transport.getHost(), transport.getPeer()
    if not isinstance(here, IPv4Address | IPv6Address):
        pid = os.getpid()
        return config, lambda party: party.pid == pid and party.name == config.resource_name
    address = _spell(f"{here.host}/{here.port}")
    host = there.host
    if isinstance(there, IPv6Address) and there.scopeID and "%" not in host:
        host += f"%{there.scopeID}"
    direct = config.replace(
        socket_name="",
        multicast_address="",
        network_interface="",
        unicast_address=host,
        unicast_port=there.port,
    )
    return direct, lambda party: _spell(party.address) == address and party.name == config.resource_name


def _spell(address: str) -> str:
    """Write C{ADDRESS/PORT} as it is at both ends: without an interface, and without that it is IPv4 within IPv6."""
    host, _, port = address.rpartition("/")
    return f"{host.partition('%')[0].removeprefix('::ffff:')}/{port}"


def _say_nothing(text: str) -> None:
    """Let pass what the runner itself has been told."""


@implementer(IStreamClientEndpoint)
class _Watched:
    """An endpoint that tells of its connections."""

    def __init__(self, endpoint: IStreamClientEndpoint, connected: Callable[[Any], None]) -> None:
        self._endpoint = endpoint
        self._connected = connected

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See L{IStreamClientEndpoint.connect}."""

        def note(protocol: Any) -> IProtocol:
            self._connected(protocol.transport)
            return protocol  # type: ignore[no-any-return]

        return self._endpoint.connect(protocolFactory).addCallback(note)
