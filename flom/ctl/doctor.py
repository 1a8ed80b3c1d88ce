"""
C{flomctl doctor}: why a daemon is not found, or the daemons of a multicast group, by real datagrams, and what is wrong
with a quorum; each check has one finding.

What a daemon of the group would do is done here too, on its port, but under no name of a daemon. For the second or two
that this takes, a datagram that is sent to a daemon of this host alone may come here instead.
"""

from __future__ import annotations

import socket
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from flom.client.blocking.dial import connect_to_first
from flom.client.blocking.discovery import Asker
from flom.client.blocking.stream import NEVER
from flom.core.group.addresses import Group, Sender, is_loopback
from flom.core.group.discovery import FoundDaemon, Search
from flom.core.protocol.decode import decode
from flom.core.protocol.framing import MAX_MESSAGE_SIZE
from flom.core.protocol.messages import Discover, Role
from flom.ctl.discover import group_of
from flom.ctl.finding import Finding, Verdict
from flom.ctl.output import FAILED, print_json
from flom.ctl.place import place_of
from flom.ctl.quorum import ask
from flom.errors import DaemonUnreachable, RemoteProtocolError
from flom.net.multicast import (
    GroupSocket,
    NetworkInterface,
    NoMulticast,
    list_interfaces,
    local_addresses,
    make_group,
    open_group_socket,
    why_not_sent,
)
from flom.text import one_line

_LISTEN: Final = 1.5
"""Seconds to listen for announcements; a leader makes several in the meantime."""

_ATTEMPTS: Final = 3


class _Listener:
    """Receives the datagrams of the group, as a daemon would."""

    def __init__(self, member: GroupSocket) -> None:
        self._member = member
        self.questions: list[tuple[Sender, str]] = []  # and the names of the interfaces that they came by
        self.leaders: dict[str, Sender] = {}

    def hear(self) -> None:
        """Receive all datagrams that have arrived."""
        while True:
            try:
                arrived = self._member.receive(MAX_MESSAGE_SIZE)
            except OSError:
                return  # there are no more
            if arrived is not None:
                with suppress(RemoteProtocolError):
                    self._note(decode(arrived[0]), arrived[1])

    def _note(self, message: object, sender: Sender) -> None:
        if isinstance(message, Discover):
            if message.standing is None:
                self.questions.append((sender, self._member.came_by))
            elif message.standing.role is Role.LEADER:
                self.leaders[message.standing.node] = sender


def doctor(arguments: Namespace) -> int:
    """Print what is right and wrong with a daemon, a group or a quorum, and return the status to exit with."""
    findings = []
    for finding in _examine_all(arguments):
        findings.append(finding)
        if not arguments.json:
            print(one_line(f"{finding.verdict.value:<8} {finding.check}: {finding.detail}"), flush=True)
    is_well = all(finding.verdict is not Verdict.FAILED for finding in findings)
    if arguments.json:
        listed = [{**finding._asdict(), "verdict": finding.verdict.value} for finding in findings]
        print_json({"well": is_well, "findings": listed})
    return 0 if is_well else FAILED


def _examine_all(arguments: Namespace) -> Iterator[Finding]:
    """Look at all that is named; at the place where C{flom-run} would look for a daemon if nothing is."""
    config = place_of(arguments)
    is_place_named = any(setting.field in ("socket_name", "unicast_address") for setting, _ in arguments.given)
    if arguments.group is not None:
        yield from examine(group_of(arguments))
    elif config.multicast_address and not is_place_named:
        yield from examine(
            make_group(
                config.multicast_address,
                config.multicast_port,
                config.network_interface,
                config.discovery_ttl,
                config.group_key,
            )
        )
    if config.quorum:
        from flom.ctl.quorum_doctor import examine_quorum

        config.check_quorum()
        yield from ask(config, examine_quorum)
    if is_place_named or not (arguments.group or config.multicast_address or config.quorum):
        from flom.ctl.place_doctor import examine_place

        yield from examine_place(config)


def examine(group: Group) -> Iterator[Finding]:
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
    routed = []
    for interface in usable:
        finding = _check_route(interface, group)
        yield finding
        if finding.verdict is Verdict.OK and (group.interface or not interface.is_loopback):
            routed.append(interface.name)
    ttl = "1: daemons behind routers are not found; --discovery-ttl changes that"
    if group.ttl > 1:
        ttl = f"{group.ttl}: up to {group.ttl - 1} routers, if they route multicast"
    yield Finding(Verdict.OK, "ttl", ttl)
    try:
        member = open_group_socket(group, is_member=True)
    except NoMulticast as e:
        detail = f"UDP port {group.port}: {e.__cause__}; another program does not share it"
        yield Finding(Verdict.FAILED, "port", detail)
        return
    try:
        try:
            yield Finding(Verdict.OK, "join", f"joined {group.address} on {', '.join(member.join())}")
        except NoMulticast as e:
            yield Finding(Verdict.FAILED, "join", str(e))
            return
        yield from _ask(group, _Listener(member), routed)
    finally:
        member.close()


def _ask(group: Group, listener: _Listener, interfaces: list[str]) -> Iterator[Finding]:
    """Ask the group by C{interfaces}, and compare what is answered with what is heard."""
    search = Search(group, everyone=True)
    with Asker(search, NEVER, lambda line: None) as asker:
        for _ in range(_ATTEMPTS):
            search.collect(_LISTEN / _ATTEMPTS)
            asker.finish()
            listener.hear()
        own = asker.socket.udp.getsockname()[1]
        came_by = {name for sender, name in listener.questions if sender[1] == own and not is_loopback(sender[0])}
        if asker.problem is not None:
            yield Finding(Verdict.FAILED, "send", str(asker.problem))
        else:
            yield Finding(Verdict.OK, "send", f"{_ATTEMPTS} questions to {group}")
        for name in interfaces:
            yield _check_loop(name, group, is_heard=name in came_by)
        yield from _check_answers(search, listener, bool(came_by), group)
        for daemon in search.leaders:
            yield _check_connection(daemon)


def _check_loop(interface: str, group: Group, *, is_heard: bool) -> Finding:
    """Return whether the questions that were sent by C{interface} came back by it."""
    what = f"loop by {interface}"
    if is_heard:
        return Finding(Verdict.OK, what, "they came back to this host")
    detail = f"they did not come back to this host: a firewall here drops what comes in on UDP port {group.port}"
    hint = "" if group.interface else f", unless -n chooses another interface than {interface}"
    return Finding(Verdict.FAILED, what, f"{detail}. A daemon here will not be elected{hint}")


def _check_interface(interface: NetworkInterface, group: Group) -> Finding | None:
    """Return whether C{interface} can be used; C{None} for one that is of no use to any group."""
    what = f"interface {interface.name}"
    grave = Verdict.FAILED if group.interface else Verdict.WARNING  # the user has named it, or it is one of many
    if not interface.has_multicast:
        return Finding(grave, what, "cannot do multicast") if group.interface else None
    if not interface.is_up:
        return Finding(grave, what, f"is down: ip link set {interface.name} up")
    if group.is_ipv6 and _has_no_ipv6(interface.name):
        return Finding(grave, what, f"IPv6 is disabled: sysctl net.ipv6.conf.{interface.name}.disable_ipv6=0")
    if not interface.has_carrier:
        return Finding(Verdict.WARNING, what, "is up, but has no carrier: is the cable plugged in?")
    version = 6 if group.is_ipv6 else 4
    if all(address.version != version for address in local_addresses().get(interface.name, [])):
        return Finding(grave, what, f"has no IPv{version} address: nothing is sent by it")
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
    return Finding(Verdict.OK, what, f"{group.address} is sent to from {source}")


def _check_answers(search: Search, listener: _Listener, looped: bool, group: Group) -> Iterator[Finding]:
    """Compare the daemons that have answered with those that were heard."""
    found, leaders = search.found, search.leaders
    for daemon in found:
        role = daemon.standing.role
        yield Finding(Verdict.OK, "answer", f"{role.value} {daemon.peer} {daemon.reply.host}".rstrip())
        if role is Role.LEADER and daemon.reply.standing and looped and daemon.standing.node not in listener.leaders:
            yield Finding(
                Verdict.WARNING,
                "announcements",
                f"{daemon.peer} answers, but what it says to the group does not arrive: multicast is dropped on "
                "the way, by a firewall or a switch (IGMP or MLD snooping without a querier)",
            )
    answered = {daemon.standing.node for daemon in found}
    for node, sender in listener.leaders.items():
        if node not in answered:
            yield Finding(
                Verdict.FAILED,
                "answer",
                f"a leader at {sender[0]} is heard, but does not answer: a firewall drops our questions there (UDP "
                f"to port {group.port}) or its answers here (UDP from port {group.port}); or the "
                "leader may no longer hear the group, as its log says then",
            )
    if len(leaders) > 1:
        yield Finding(Verdict.FAILED, "leaders", f"{len(leaders)} daemons lead {group}; one should")
    if not found and not listener.leaders:
        yield Finding(
            Verdict.FAILED,
            "answer",
            "no daemon answered. Either there is none, or a firewall drops the questions (UDP to port "
            f"{group.port}, on the hosts of the daemons) or the answers (UDP from port {group.port}, on this host)",
        )


def _check_connection(daemon: FoundDaemon) -> Finding:
    """Check that clients could lock anything, which takes more than datagrams."""
    try:
        connected, _ = connect_to_first([daemon], NEVER, lambda line: None)
    except DaemonUnreachable as e:
        why = f"{e}: does a firewall drop TCP? -a and -p give the daemon a port that can be let in"
        return Finding(Verdict.FAILED, "connection", why)
    connected.close()
    return Finding(Verdict.OK, "connection", f"{daemon.peer} takes connections")
