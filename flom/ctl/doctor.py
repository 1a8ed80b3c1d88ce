"""
Why discovery does not work: real datagrams, sent and received, one finding a check.

What a daemon of the group would do is done here too, on its port, but under no name of a daemon. For the second or two
that this takes, a datagram that is sent to a daemon of this host alone may come here instead.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from flom.client.deferred.discovery import Answer, Asker, connect_to_first
from flom.core.group.addresses import Group, Sender, is_loopback
from flom.core.protocol.messages import Discover, Role, Standing
from flom.core.protocol.wire import decode
from flom.errors import DaemonUnreachable, RemoteProtocolError
from flom.net.multicast import NetworkInterface, NoMulticast, list_interfaces, why_not_sent
from flom.reactor.multicast_port import GroupPort
from flom.text import reason

_LISTEN: Final = 1.5
"""Seconds to listen for announcements; a leader makes several in the meantime."""

_ATTEMPTS: Final = 3


class Verdict(Enum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    verdict: Verdict
    check: str
    detail: str


class _Listener(DatagramProtocol):
    """Hears what is said in the group, as a daemon would."""

    def __init__(self) -> None:
        self.questions: list[Sender] = []
        self.leaders: dict[str, Sender] = {}

    def datagramReceived(self, datagram: bytes, addr: Sender) -> None:
        try:
            message = decode(datagram)
        except RemoteProtocolError:
            return
        match message:
            case Discover(standing=Standing(node, Role.LEADER)):
                self.leaders[node] = addr
            case Discover(standing=None):
                self.questions.append(addr)


async def examine(reactor: Any, group: Group) -> AsyncGenerator[Finding, None]:
    """Look at everything that discovery in C{group} needs."""
    usable = []
    for interface in list_interfaces(group.interface):
        finding = _check_interface(interface, group)
        if finding is not None:
            yield finding
            if finding.verdict is Verdict.OK:
                usable.append(interface)
    if not usable:
        yield Finding(Verdict.FAILED, "interfaces", f"none can be used for {group.address}")
        return
    for interface in usable:
        yield _check_route(interface, group)
    yield _check_ttl(group)

    listener = _Listener()
    port = GroupPort(group, listener, reactor, is_member=True)
    try:
        port.startListening()
    except CannotListenError as e:
        yield Finding(
            Verdict.FAILED, "port", f"UDP port {group.port}: {reason(e.socketError)}; another program does not share it"
        )
        return
    try:
        try:
            yield Finding(Verdict.OK, "join", f"joined {group.address} on {', '.join(port.join())}")
        except NoMulticast as e:
            yield Finding(Verdict.FAILED, "join", str(e))
            return
        with Asker(group, reactor, everyone=True) as asker:
            for _ in range(_ATTEMPTS):
                await asker.collect(_LISTEN / _ATTEMPTS)
            own = asker.port_number
            looped = any(sender[1] == own for sender in listener.questions if not is_loopback(sender[0]))
            yield _check_send(asker, group)
            yield _check_loop(looped, group)
            for finding in _check_answers(asker, listener, looped, group):
                yield finding
            for answer in asker.leaders:
                yield await _check_connection(reactor, answer)
    finally:
        await port.stopListening()


def _check_interface(interface: NetworkInterface, group: Group) -> Finding | None:
    """Tell whether C{interface} can be used; C{None} if nobody would expect it to."""
    what = f"interface {interface.name}"
    if not interface.has_multicast:
        if not group.interface:
            return None
        return Finding(Verdict.FAILED, what, "cannot do multicast")
    if not interface.is_up:
        return Finding(
            Verdict.FAILED if group.interface else Verdict.WARNING, what, f"is down: ip link set {interface.name} up"
        )
    if group.is_ipv6 and _has_no_ipv6(interface.name):
        detail = f"IPv6 is disabled: sysctl net.ipv6.conf.{interface.name}.disable_ipv6=0"
        return Finding(Verdict.FAILED if group.interface else Verdict.WARNING, what, detail)
    if not interface.has_carrier:
        return Finding(Verdict.WARNING, what, "is up, but has no carrier: is the cable plugged in?")
    return Finding(Verdict.OK, what, "is up and can do multicast")


def _has_no_ipv6(name: str) -> bool:
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").read_text().strip() == "1"
    except OSError:
        return True  # the kernel was started without IPv6


def _check_route(interface: NetworkInterface, group: Group) -> Finding:
    what = f"route by {interface.name}"
    family = socket.AF_INET6 if group.is_ipv6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            interface.use_for(probe)
            probe.connect((group.address, group.port))
        except OSError as e:
            return Finding(Verdict.FAILED, what, f"{group.address} cannot be reached: {why_not_sent(e, group)}")
        source = probe.getsockname()[0]
    if source in ("0.0.0.0", "::"):
        return Finding(Verdict.FAILED, what, "there is no address to send from")
    return Finding(Verdict.OK, what, f"{group.address} is sent to from {source}")


def _check_ttl(group: Group) -> Finding:
    if group.ttl == 1:
        return Finding(Verdict.OK, "ttl", "1: daemons behind routers are not found; --discovery-ttl changes that")
    return Finding(Verdict.OK, "ttl", f"{group.ttl}: up to {group.ttl - 1} routers, if they route multicast")


def _check_send(asker: Asker, group: Group) -> Finding:
    if asker.problem is not None:
        return Finding(Verdict.FAILED, "send", str(asker.problem))
    return Finding(Verdict.OK, "send", f"{_ATTEMPTS} questions to {group}")


def _check_loop(looped: bool, group: Group) -> Finding:
    if looped:
        return Finding(Verdict.OK, "loop", "they came back to this host")
    return Finding(
        Verdict.FAILED,
        "loop",
        f"they did not come back to this host: a firewall here drops what comes in on UDP port {group.port}. A daemon "
        "here will not be elected",
    )


def _check_answers(asker: Asker, listener: _Listener, looped: bool, group: Group) -> list[Finding]:
    """Compare who has answered with who was heard."""
    findings = []
    answers, leaders = asker.answers, asker.leaders
    for answer in answers:
        heard = answer.standing.node in listener.leaders
        role = answer.standing.role
        findings.append(Finding(Verdict.OK, "answer", f"{role.value} {answer.peer} {answer.reply.host}".rstrip()))
        if role is Role.LEADER and answer.reply.standing and looped and not heard:
            findings.append(
                Finding(
                    Verdict.WARNING,
                    "announcements",
                    f"{answer.peer} answers, but what it says to the group does not arrive: multicast is dropped on "
                    "the way, by a firewall or a switch (IGMP or MLD snooping without a querier)",
                )
            )
    answered = {answer.standing.node for answer in answers}
    for node, sender in listener.leaders.items():
        if node not in answered:
            findings.append(
                Finding(
                    Verdict.FAILED,
                    "answer",
                    f"a leader at {sender[0]} is heard, but does not answer: a firewall drops our questions there (UDP "
                    f"to port {group.port}) or its answers here (UDP from port {group.port})",
                )
            )
    if len(leaders) > 1:
        findings.append(Finding(Verdict.FAILED, "leaders", f"{len(leaders)} daemons lead {group}; one should"))
    if not answers and not listener.leaders:
        findings.append(
            Finding(
                Verdict.WARNING,
                "answer",
                "nobody answered. Either there is no daemon, or a firewall drops the questions (UDP to port "
                f"{group.port}, on the hosts of the daemons) or the answers (UDP from port {group.port}, on this host)",
            )
        )
    return findings


async def _check_connection(reactor: Any, answer: Answer) -> Finding:
    """See whether clients could lock anything: that takes more than datagrams."""
    try:
        protocol: Any = await connect_to_first(reactor, [answer], Factory.forProtocol(Protocol), lambda text: None)
    except DaemonUnreachable as e:
        why = f"{e}: does a firewall drop TCP? -a and -p give the daemon a port that can be let in"
        return Finding(Verdict.FAILED, "connection", why)
    protocol.transport.loseConnection()
    return Finding(Verdict.OK, "connection", f"{answer.peer} takes connections")
