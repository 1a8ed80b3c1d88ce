"""
Hosts that are frozen and woken, and leaders that go, under a command that writes to a store all the time: the store
takes nothing from a holder whose lock another one has had since, and the command is ended.

With C{FLOM_LAN_ROUNDS}, a host is frozen by control groups too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, eventually
from tests.fakes.store import Store
from tests.scenarios.lan.flom_peers import FlomClient
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, Member, await_leader, in_group

pytestmark = needs_network_namespaces

FREEZER: Final = Path("/sys/fs/cgroup/freezer")
"""Where there is the freezer of the first kind of control groups."""


def stop_all(host: LanHost) -> Callable[[], None]:
    """Stop all processes of C{host}; return what wakes them, C{flom-run} last: the worst order."""
    pids = host.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def wake() -> None:
        for pid in sorted(pids, reverse=True):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    return wake


def freeze_all(host: LanHost) -> Callable[[], None]:
    """Freeze all processes of C{host} as one, as a hypervisor does; return what wakes them."""
    group = FREEZER / host.name
    group.mkdir()
    for pid in host.pids():
        (group / "cgroup.procs").write_text(str(pid))
    (group / "freezer.state").write_text("FROZEN")
    eventually(lambda: (group / "freezer.state").read_text() == "FROZEN\n", "all frozen")

    def wake() -> None:
        (group / "freezer.state").write_text("THAWED")
        eventually(is_removed, "the end of the control group")

    def is_removed() -> bool:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (FREEZER / "cgroup.procs").write_text(pid)
        try:
            group.rmdir()
        except OSError:
            return False  # one has forked, or is ending
        return True

    return wake


IS_LONG: Final = bool(os.environ.get("FLOM_LAN_ROUNDS"))
WAYS: Final = {"stopped": stop_all} | ({"frozen": freeze_all} if IS_LONG and os.access(FREEZER, os.W_OK) else {})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as store:
        yield store


def line_with(running: Running, text: str) -> str:
    """Read lines until one has C{text}; return it."""
    while text not in (line := running.line()):
        pass
    return line


@pytest.mark.parametrize("freeze", WAYS.values(), ids=WAYS)
def test_a_host_that_was_frozen_for_too_long_writes_nothing_late(
    freeze: Callable[[LanHost], Callable[[], None]], lan: Lan, store: Store
) -> None:
    """A client of FLoM waits for the lock, and gets it; then another command of ours does."""
    server, ours, other = lan.add_hosts(3)
    keepalive = ["--tcp-keepalive-time", "1", "--tcp-keepalive-intvl", "1", "--tcp-keepalive-probes", "1"]
    kept = ["--session-timeout", "2600"]
    daemon = server.start_daemon("-a", "::", "--unicast-port", str(PORT), *keepalive, *kept)
    daemon.await_log("FLM003N")
    words = ["-a", server.ipv4(), "-p", str(PORT), "-d", "0", *keepalive, *kept, "-r", "R"]
    frozen = ours.start_flom(*words, "--on-lost", "terminate", "--kill-after", "0.1", "--", *store.words("frozen"))
    line_with(frozen, "writing")
    lan.cut_off(ours)
    wake = freeze(ours)
    with FlomClient(other, daemon.address_for(other)) as client:
        client.lock_patiently("R")
        client.unlock("R")
    successor = other.start_flom(*words, "--", *store.words("successor"))
    line_with(successor, "writing")
    eventually(lambda: store.taken[-1] == "successor", "a write")
    lan.let_through(ours)
    wake()
    assert frozen.finish().returncode == 95  # its command would go on otherwise
    assert store.taken == ["frozen", "successor"]
    assert store.refused in ([], ["frozen"])
    successor.signal(signal.SIGTERM)
    successor.finish()


@pytest.mark.parametrize("way", ["killed", "cut off"])
def test_who_holds_goes_on_writing_when_its_leader_goes(way: str, lan: Lan, store: Store) -> None:
    """Other clients, ours and FLoM's, get the lock after it."""
    leader, successor, client = three_hosts(lan)
    holder = client.start_flom("-V", *in_group(GROUP, "-r", "R"), "--", *store.words("holder"))
    line_with(holder, "writing")
    if way == "killed":
        leader.signal(signal.SIGKILL)
    else:
        lan.cut_off(leader.host)
    line_with(holder, "R reclaimed")
    other = successor.host
    with FlomClient(other, successor.address_for(other)) as flom:
        assert flom.lock("R", wait=False) == "4"
        end_command(holder)
        assert "lost" not in holder.finish().stderr
        flom.lock_patiently("R")
        flom.unlock("R")
    next_one = other.start_flom(*in_group(GROUP, "-r", "R"), "--", *store.words("next"))
    line_with(next_one, "writing")
    eventually(lambda: store.taken[-1] == "next", "a write")
    end_command(next_one)
    assert "lost" not in next_one.finish().stderr
    assert (store.taken, store.refused) == (["holder", "next"], [])


def test_a_leader_that_wakes_when_another_rules_lets_nothing_late_through(lan: Lan, store: Store) -> None:
    """Its holder, which still has its connection, may be unaware until then: the store refuses what it writes."""
    leader, successor, client = three_hosts(lan)
    holder = client.start_flom(*in_group(GROUP, "-r", "R", "--on-lost", "kill"), "--", *store.words("holder"))
    line_with(holder, "writing")
    leader.signal(signal.SIGSTOP)
    await_leader([successor])
    other = successor.host
    with FlomClient(other, successor.address_for(other)) as flom:
        flom.lock_patiently("R")
        flom.unlock("R")
    next_one = other.start_flom(*in_group(GROUP, "-r", "R"), "--", *store.words("next"))
    line_with(next_one, "writing")
    eventually(lambda: store.taken[-1] == "next", "a write")
    leader.signal(signal.SIGCONT)
    assert holder.finish().returncode == 95  # its command would go on otherwise
    assert store.taken == ["holder", "next"]
    assert store.refused in ([], ["holder"])
    end_command(next_one)
    next_one.finish()


def three_hosts(lan: Lan) -> tuple[Member, Member, LanHost]:
    """Return the leader of a group, the daemon that stands by, and the host of their clients."""
    members = [host.join_group() for host in lan.add_hosts(2)]
    leader = await_leader(members)
    [successor] = [member for member in members if member is not leader]
    return leader, successor, lan.add_host()


def end_command(runner: Running) -> None:
    """End the command of C{runner}, a C{flom-run}."""
    runner.signal(signal.SIGTERM)
