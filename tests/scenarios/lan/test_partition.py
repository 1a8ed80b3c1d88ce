"""A network falls into two parts, each with a leader, and heals: one of them yields, and no holder is disturbed."""

from __future__ import annotations

import signal
import socket
from dataclasses import dataclass

import pytest

from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import PATIENCE, eventually
from tests.scenarios.lan.flom_peers import FlomClient
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, Member, await_leader, leaders_in

pytestmark = needs_network_namespaces


@dataclass
class Parted:
    """
    A network in two parts.

    @ivar first: leads one part; it has done so before there were two.
    @ivar second: leads the other part.
    @ivar third: another daemon there, which stands by.
    @ivar nodes: of the two leaders.
    @ivar is_noticed: whether the first host knows that there is no network.
    """

    lan: Lan
    first: Member
    second: Member
    third: Member
    nodes: list[str]
    is_noticed: bool

    @property
    def members(self) -> list[Member]:
        return [self.first, self.second, self.third]

    def heal(self) -> None:
        """Make one network of the two parts."""
        if self.is_noticed:
            self.lan.put_back(self.first.host)
        else:
            self.lan.let_through(self.first.host)


@pytest.fixture(params=[True, False], ids=["cable pulled", "cut off"])
def parted(request: pytest.FixtureRequest, lan: Lan) -> Parted:
    members = [host.join_group() for host in lan.add_hosts(3)]
    first = await_leader(members)
    if request.param:
        lan.pull(first.host)
    else:
        lan.cut_off(first.host)
    rest = [member for member in members if member is not first]
    second = await_leader(rest)
    [third] = [member for member in rest if member is not second]
    assert first.leads
    (one, node), (other, other_node) = first.host.ask(), second.host.ask()
    assert [one, other] == [first.host.name, second.host.name]  # each part grants for itself
    return Parted(lan, first, second, third, [node, other_node], request.param)


def test_two_leaders_say_so_and_the_one_that_led_for_longer_goes_on(parted: Parted) -> None:
    parted.heal()
    assert await_leader(parted.members, 5) is parted.first
    for member, what in [(parted.first, "has to yield to this one"), (parted.second, "this one, ")]:
        line = member.await_log("two leaders", 5)
        assert "#error]" in line
        assert what in line
        for node in parted.nodes:
            assert node in line
    assert {member.host.ask() for member in parted.members} == {(parted.first.host.name, parted.nodes[0])}


@pytest.mark.parametrize("parted", [False], ids=["cut off"], indirect=True)
def test_a_leader_says_that_it_is_alone_unless_it_hears_the_other(parted: Parted) -> None:
    """Clients take the first answer only then; with two leaders in reach, all choose the same one."""
    host = parted.first.host
    assert [is_alone(host), is_alone(parted.second.host)] == [True, True]
    holder = parted.third.host.hold("R")  # the second leader has to wait for it before it stands by
    parted.heal()
    parted.first.await_log("two leaders", 5)
    assert not is_alone(host)
    assert holder.finish().returncode == 0
    assert await_leader(parted.members, 5) is parted.first
    eventually(lambda: is_alone(host), "the only leader again")


def is_alone(host: LanHost) -> bool:
    """Return whether the daemon of C{host}, which leads, says that it knows of no other leader."""
    with host.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker:
        asker.settimeout(PATIENCE)
        asker.sendto(encode(Discover(GROUP)), ("::1", PORT))
        answer = decode(asker.recv(65536))
    assert isinstance(answer, Discovered)
    return answer.alone


@pytest.mark.parametrize("parted", [False], ids=["cut off"], indirect=True)
def test_holders_are_left_alone_and_waiters_move(parted: Parted) -> None:
    first, second, third = parted.members
    holder_there, holder = first.host.hold("A"), third.host.hold("R")
    waiter = third.host.wait_for("R", second)

    parted.heal()
    assert await_leader(parted.members, 5) is first
    with FlomClient(third.host, second.address_for(third.host)) as client:
        assert client.lock("B") == ""  # nothing is granted there any more, although R is still held
    assert "nobody holds" not in second.log

    for one in (holder_there, holder):
        finished = one.finish()
        assert (finished.returncode, finished.stderr) == (0, "")
    second.await_log("the last lock of this daemon is released")
    waited = waiter.finish()
    assert (waited.returncode, waited.stdout.splitlines()[-1]) == (0, "held")
    assert leaders_in(waited.stdout) == [
        (second.host.name, parted.nodes[1]),
        (first.host.name, parted.nodes[0]),
    ]

    first.signal(signal.SIGKILL)
    third.signal(signal.SIGKILL)
    assert await_leader([second], 3) is second  # a leader that stepped down leads again when it is its turn
    assert third.host.ask()[0] == second.host.name
