"""Nested and crossed locks in a group whose leader changes: what is known of nesting goes on with the locks."""

from __future__ import annotations

import signal

from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, eventually
from tests.scenarios.lan.network import GROUP, Lan, LanHost, Member, await_leader, in_group
from tests.scenarios.lan.test_handover import TRUSTING, hand_over

pytestmark = needs_network_namespaces

WAIT_FOR = [str(BIN / "flomctl"), "wait-for", "-A", GROUP, "B"]

SCRIPT = 'echo held; while read -r line; do eval "$line"; echo status $?; done'


def hold(host: LanHost, name: str) -> Running:
    """A command under the lock C{name}, which runs each line that it is told, and says its status."""
    running = host.start(FLOM_RUN, *in_group(GROUP, "-r", name), "--", "sh", "-c", SCRIPT)
    assert running.line() == "held"
    return running


def asks(name: str, *options: str, command: str = "true") -> str:
    return " ".join([FLOM_RUN, *in_group(GROUP, "-r", name), *options, "--", command])


def replace(leader: Member, members: list[Member], number: int) -> Member:
    """Return another daemon that leads: the first time in good order, then because the leader is killed."""
    if number:
        leader.signal(signal.SIGKILL)
        leader.wait()
        return await_leader([member for member in members if member is not leader])
    assert hand_over(leader).returncode == 0
    return await_leader(members)


def test_circles_over_hosts_are_found_by_each_leader(lan: Lan) -> None:
    members = [host.join_group(*TRUSTING) for host in lan.add_hosts(3)]
    leader = await_leader(members)
    one, other = (hold(host, name) for host, name in zip(lan.add_hosts(2), "AB", strict=True))
    sharing = hold(lan.add_host(), "X")
    sharing.say(asks("X", "-l", "PR", "--nested=share", command="sh -c 'echo shared; sleep 60' &"))
    assert {sharing.line(), sharing.line()} == {"status 0", "shared"}
    for number in range(2):
        leader = replace(leader, members, number)
        one.say(asks("A"))
        assert one.line() == "status 93"
        one.say(asks("B"))
        eventually(lambda: " waits for B" in leader.host.start(*WAIT_FOR).finish().stdout, "the wait")  # noqa: B023
        other.say(asks("A"))
        assert other.line() == "status 93"
        other.say("exit")
        other.finish()
        assert one.line() == "status 0"
        host = lan.add_host()
        other = hold(host, "B")
        assert host.flom(*in_group(GROUP, "-r", "X", "-o", "0"), "--", "true").returncode == 98
