"""C{flom-run -x} and C{-X}: the daemon of a group is told to end (docs/compatibility.md, "Shutdown")."""

from __future__ import annotations

import pytest

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import eventually, is_alive
from tests.scenarios.lan.network import GROUP, Lan, LanHost, Member, await_leader

pytestmark = needs_network_namespaces


@pytest.fixture
def leader(lan: Lan) -> Member:
    """A daemon on the first of two hosts."""
    here, _ = lan.add_hosts(2)
    return await_leader([here.join_group("--allow-local-shutdown")])


def order(host: LanHost, *options: str) -> tuple[int, list[str], list[str]]:
    """Return the status of such an order, its stdout and its stderr."""
    ordered = host.flom("-A", GROUP, *options)
    return ordered.returncode, ordered.stdout.splitlines(), ordered.stderr.splitlines()


def test_immediately(leader: Member) -> None:
    holder = leader.host.start_job("-A", GROUP, "-d", "0", "-r", "R")
    assert holder.line() == "held"
    assert order(leader.host, "-X") == (0, ["Starting FLoM daemon immediate shutdown..."], [])
    eventually(lambda: not is_alive(leader.pid), "the end of the daemon")
    ended = holder.finish()  # the lock is gone: no daemon takes over
    assert ended.returncode == 95
    assert "was not reclaimed" in ended.stderr


def test_when_nobody_needs_it_any_more(leader: Member) -> None:
    holder = leader.host.hold("R")
    assert order(leader.host, "-x") == (0, ["Starting FLoM daemon quiesce shutdown..."], [])
    assert is_alive(leader.pid)
    assert holder.finish().returncode == 0
    eventually(lambda: not is_alive(leader.pid), "the end of the daemon")


@pytest.mark.parametrize("option", ["-x", "-X"])
def test_not_from_another_host(option: str, lan: Lan, leader: Member) -> None:
    status, _, [complaint] = order(lan.hosts[1], option)
    assert status == 99
    assert "refuses to end" in complaint
    assert leader.await_log("shutdown refused to [fe80::")
    assert lan.hosts[1].ask()[0] == leader.host.name


@pytest.mark.parametrize("option", ["-x", "-X"])
def test_there_is_none_and_none_is_started(option: str, lan: Lan) -> None:
    status, _, [complaint] = order(lan.add_host(), "-d", "-1", "-D", "1", "-I", "100", option)
    assert status == 99
    assert "no daemon answers in [ff02::1]:28015" in complaint
    assert lan.processes() == {}


def test_another_daemon_takes_over(lan: Lan, leader: Member) -> None:
    successor = lan.hosts[1].join_group()
    eventually(lambda: successor.stands_by, "a standby")
    assert order(leader.host, "-X")[0] == 0
    await_leader([successor], 1.5)
