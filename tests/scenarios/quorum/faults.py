"""
What goes wrong: each fault is a function that does it and returns what undoes it.

Networks are cut by rules of nftables on the host that is meant, or at the switch; there need be no netem.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from time import monotonic_ns
from typing import Final

from tests.fakes.netns import Host
from tests.scenarios.lan.network import PORT
from tests.scenarios.quorum.members import GATEWAY, PEERS, EtcdMember, Node, Quorum

Heal = Callable[[], None]
"""Undoes a fault; called once."""

_NUMBERS: Final = count()
"""For the names of tables: faults can lie over each other."""

CLIENTS: Final = f"{{ {PORT} }}"
"""Ports of the daemons, and of their group."""

ETCD: Final = f"{{ {GATEWAY}, {PEERS} }}"


def cut(host: Host, *rules: str) -> Heal:
    """
    Drop what any of C{rules} matches among the packets by which C{host} is joined to others.

    @param rules: each begins with C{input} or C{output}.
    """
    table = f"fault{next(_NUMBERS)}"
    lines = [f"add table inet {table}"]
    for way, name in (("input", "iifname"), ("output", "oifname")):
        lines.append(f"add chain inet {table} {way} {{ type filter hook {way} priority 0; }}")
        lines += [
            f'add rule inet {table} {way} {name} "eth0" {rule.removeprefix(way)} drop'
            for rule in rules
            if rule.startswith(way)
        ]
    host.run("nft", "\n".join(lines), check=True)

    def heal() -> None:
        host.run("nft", f"delete table inet {table}", check=True)

    return heal


def cut_from_clients(node: Node) -> Heal:
    """Cut the daemon of C{node} off from clients on other hosts, and from their group; etcd is not concerned."""
    return cut(
        node.host,
        *(f"{way} meta l4proto {kind} th {side} {CLIENTS}" for way, kind, side in _ends({"tcp", "udp"})),
    )


def cut_from_etcd(node: Node) -> Heal:
    """Cut C{node} off from the etcd members of other hosts, and its own from them; clients are not concerned."""
    return cut(node.host, *(f"{way} meta l4proto {kind} th {side} {ETCD}" for way, kind, side in _ends({"tcp"})))


def cut_off(node: Node) -> Heal:
    """Cut C{node} off from all; it does not notice."""
    return cut(node.host, "input", "output")


def lose_what_it_sends(node: Node) -> Heal:
    return cut(node.host, "output")


def lose_what_it_is_sent(node: Node) -> Heal:
    return cut(node.host, "input")


def lose_packets(quorum: Quorum, percent: int = 20) -> Heal:
    """Drop so many of all packets that hosts receive from others, at random."""
    return together(cut(node.host, f"input numgen random mod 100 < {percent}") for node in quorum.nodes)


def kill_daemon(quorum: Quorum, node: Node) -> Heal:
    """Kill the daemon of C{node}; it is started again when the fault is over."""
    assert node.daemon is not None
    node.daemon.signal(signal.SIGKILL)
    node.daemon.wait()

    def heal() -> None:
        quorum.start_daemon(node)

    return heal


def end_daemon(quorum: Quorum, node: Node) -> Heal:
    """End the daemon of C{node} in good order, which takes no longer than some seconds; start it again afterwards."""
    assert node.daemon is not None
    assert node.daemon.stop() in (0, -signal.SIGTERM), node.daemon.log

    def heal() -> None:
        quorum.start_daemon(node)

    return heal


def stop_daemon(node: Node) -> Heal:
    """Stop the daemon of C{node}, and nothing else."""
    assert node.daemon is not None
    return stop([node.daemon.pid])


def freeze(node: Node) -> Heal:
    """
    Stop all of C{node}: daemon, etcd, C{flom-run} and commands, and what would be started there meanwhile.

    They are woken in the worst order: C{flom-run} after its command.
    """
    node.is_awake.clear()
    stopped: set[int] = set()
    while new := set(node.host.pids()) - stopped:  # again, because they may be starting others
        _send(new, signal.SIGSTOP)
        stopped |= new
    began = monotonic_ns()

    def heal() -> None:
        node.frozen.append((began, monotonic_ns()))
        _send(sorted(stopped, reverse=True), signal.SIGCONT)
        node.is_awake.set()

    return heal


def stop(pids: Iterable[int]) -> Heal:
    """Stop processes; C{flom-run}, which is older than its command, is woken after it."""
    stopped = sorted(pids, reverse=True)
    _send(stopped, signal.SIGSTOP)
    return lambda: _send(stopped, signal.SIGCONT)


def kill_etcd(quorum: Quorum, members: Iterable[EtcdMember]) -> Heal:
    """Kill etcd C{members}, and start them again, with what they had stored, when the fault is over."""
    killed = list(members)
    for member in killed:
        member.kill()

    def heal() -> None:
        for member in killed:
            member.start(quorum.members)

    return heal


def stop_etcd(members: Iterable[EtcdMember]) -> Heal:
    return stop(member.pid for member in members)


def together(heals: Iterable[Heal]) -> Heal:
    """Return what undoes several faults, the last one first."""
    all_of_them = list(heals)

    def heal() -> None:
        for each in reversed(all_of_them):
            each()

    return heal


def _ends(kinds: set[str]) -> list[tuple[str, str, str]]:
    """Return ways, protocols and sides of a connection: a port may be at either end."""
    return [(way, kind, side) for way in ("input", "output") for kind in sorted(kinds) for side in ("sport", "dport")]


def _send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
