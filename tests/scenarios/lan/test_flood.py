"""A flood of datagrams to the daemons of a group does not keep clients from locking."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass

import pytest

from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running
from tests.scenarios.lan import flood
from tests.scenarios.lan.flom_peers import QUESTION, FlomClient
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, Member, await_leader

pytestmark = needs_network_namespaces


@dataclass
class Flooded:
    """
    Two daemons, and a host that floods one or both.

    @ivar client: a host with nothing to do.
    """

    leader: Member
    bystander: Member
    client: LanHost
    flooding: Running


@pytest.fixture(params=["leader", "group"])
def flooded(request: pytest.FixtureRequest, lan: Lan) -> Flooded:
    one, two, three, four = lan.add_hosts(4)
    members = [one.join_group(), two.join_group()]
    leader = await_leader(members)
    [bystander] = [member for member in members if member is not leader]
    address = leader.host.link_local() if request.param == "leader" else GROUP
    questions = [QUESTION.decode(), encode(Discover(GROUP, everyone=True)).decode()]
    flooding = three.start(sys.executable, "-I", flood.__file__, f"{address}%eth0", str(PORT), *questions)
    assert flooding.line() == "sent"
    return Flooded(leader, bystander, four, flooding)


def test_locks_are_granted_all_the_same(flooded: Flooded) -> None:
    client = flooded.client
    for _ in range(20):
        with FlomClient(client, flooded.leader.address_for(client)) as connection:
            assert connection.lock("R") == "0"
    for _ in range(2):  # many a question gets lost in the flood, so it is asked more often than a client would
        command = client.start_flom("-A", GROUP, "-d", "0", "-D", "400", "-I", "100", "--", "true")
        assert command.finish(60).returncode == 0


def test_the_leader_goes_on_leading(flooded: Flooded) -> None:
    for _ in range(10):
        assert flooded.flooding.line() == "sent"
    flooded.flooding.signal(signal.SIGKILL)
    assert await_leader([flooded.leader, flooded.bystander]) is flooded.leader
    assert flooded.client.ask()[0] == flooded.leader.host.name
    for member in (flooded.leader, flooded.bystander):
        assert "two leaders" not in member.log


@pytest.mark.parametrize("flooded", ["leader"], indirect=True)
def test_there_is_no_line_in_the_log_for_every_datagram(flooded: Flooded) -> None:
    assert flooded.flooding.line() == "sent"
    lines = flooded.leader.log.count("\n")
    assert lines < 100
