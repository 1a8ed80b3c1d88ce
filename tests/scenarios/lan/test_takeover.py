"""Three daemons of a group: when the leader goes, whichever way, another one leads, and those who wait move there."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.fakes.daemon import BIN
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import complaints, eventually
from tests.scenarios.lan.network import GROUP, Lan, Member, await_leader, in_group, leaders_in

pytestmark = needs_network_namespaces

IMPATIENT = ["--tcp-keepalive-time", "1", "--tcp-keepalive-intvl", "1", "--tcp-keepalive-probes", "1"]
"""Options of a holder that is to notice soon that the leader has fallen silent; who waits does so by itself."""


def stop(lan: Lan, leader: Member) -> None:
    leader.signal(signal.SIGTERM)


def kill(lan: Lan, leader: Member) -> None:
    leader.signal(signal.SIGKILL)


def crash(lan: Lan, leader: Member) -> None:
    lan.crash(leader.host)


def cut_off(lan: Lan, leader: Member) -> None:
    lan.cut_off(leader.host)


def test_a_leader_that_drains_leaves_when_nothing_is_held(lan: Lan) -> None:
    """Its holders are not disturbed: they reclaim nothing, and no other daemon grants what they hold."""
    members = [host.join_group("--allow-local-shutdown", "--status-for", "all") for host in lan.add_hosts(2)]
    leader = await_leader(members)
    [other] = [member for member in members if member is not leader]
    holder = other.host.hold("R", "-V")
    waiter = other.host.wait_for("R", leader)
    draining = leader.host.start(str(BIN / "flomctl"), "drain", "-A", GROUP)
    leader.await_log("drain shutdown ordered by")
    free = other.host.start_job(*in_group(GROUP, "-r", "free", "-V"), seconds=0)
    eventually(lambda: "draining" in free.line(), "the wait for what is free")
    assert leader.leads
    ended = holder.finish()
    assert (ended.returncode, complaints(ended)) == (0, "")
    assert "reclaimed" not in ended.stdout
    assert draining.finish().returncode == 0
    assert leader.wait() == 0
    assert await_leader([other], 5) is other
    assert [waiting.finish().returncode for waiting in (waiter, free)] == [0, 0]


@pytest.mark.parametrize(
    ("remove", "seconds"),
    [(stop, 1.5), (kill, 3), (crash, 3), (cut_off, 3)],
    ids=["stopped", "killed", "crashed", "cut off"],
)
def test_another_one_leads_and_whoever_waits_moves_there(
    remove: Callable[[Lan, Member], None], seconds: float, lan: Lan
) -> None:
    members = [host.join_group() for host in lan.add_hosts(3)]
    leader = await_leader(members)
    others = [member for member in members if member is not leader]
    assert leader.host.ask()[0] == leader.host.name
    holder = others[0].host.hold("R", *IMPATIENT)
    waiter = others[1].host.wait_for("R", leader)

    remove(lan, leader)
    successor = await_leader(others, seconds)

    for member in others:
        assert member.host.ask()[0] == successor.host.name
    holder.finish()
    waited = waiter.finish()
    assert (waited.returncode, waited.stdout.splitlines()[-1]) == (0, "held")
    assert [host for host, _ in leaders_in(waited.stdout)] == [leader.host.name, successor.host.name]


def test_holders_have_the_time_to_notice_that_a_host_has_died(lan: Lan) -> None:
    """TCP does not tell them; another client asks the successor first, and has to wait."""
    members = [host.join_group() for host in lan.add_hosts(2)]
    ours, other = lan.add_hosts(2)
    leader = await_leader(members)
    holder = ours.hold("R", "-V")
    lan.crash(leader.host)
    await_leader([member for member in members if member is not leader])
    waiter = other.start_job(*in_group(GROUP, "-r", "R", "-V"), seconds=0)
    while "reclaimed" not in holder.line():
        pass
    ended = holder.finish()
    assert (ended.returncode, complaints(ended)) == (0, "")
    assert waiter.finish().returncode == 0


def test_one_after_the_other_leads_until_nobody_is_left(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(3)]
    client = lan.add_host()
    while members:
        leader = await_leader(members)
        assert client.ask()[0] == leader.host.name
        assert leader.stop() == -signal.SIGTERM
        members.remove(leader)
    assert client.flom("-A", GROUP, "-d", "0", "--", "true").returncode == 99


def test_of_the_daemons_of_one_host_one_takes_part(lan: Lan) -> None:
    one = lan.add_host()
    first = one.join_group()
    await_leader([first])
    second = one.join_group()
    second.await_log("waiting: ")
    assert not second.leads
    first.signal(signal.SIGKILL)
    await_leader([second])
    assert one.ask()[0] == one.name
