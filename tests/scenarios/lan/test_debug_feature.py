"""
C{flom-run --debug-feature}: one datagram from host to host and back, without a lock
(docs/compatibility.md, "Debug features").
"""

from __future__ import annotations

import pytest

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import eventually
from tests.scenarios.lan.network import Lan, LanHost

pytestmark = needs_network_namespaces

SERVER, CLIENT = "--debug-feature=ipv6.multicast.server", "--debug-feature=IPv6.Multicast.Client"


def is_member(host: LanHost, group: str) -> bool:
    """Return whether a process on C{host} has joined C{group}."""
    return f" {group}\n" in host.run("ip", "maddr", "show", "dev", "eth0").stdout


@pytest.mark.parametrize("group", ["ff02::f10", "239.1.1.1"])
def test_a_datagram_comes_and_an_answer_goes_back(group: str, lan: Lan) -> None:
    there, here = lan.add_hosts(2)
    server = there.start_flom(SERVER, "-A", group)
    eventually(lambda: is_member(there, group), f"a member of {group}")
    client = here.flom(CLIENT, "-A", group)
    assert (client.returncode, client.stderr) == (0, "")
    assert client.stdout.splitlines() == ["Sent datagram is 'HELLO'", "Arrived datagram is 'WELCOME'"]
    served = server.finish()
    assert (served.returncode, served.stderr) == (0, "")
    assert served.stdout.splitlines() == ["Arrived datagram is 'HELLO'", "Sent datagram is 'WELCOME'"]


@pytest.mark.parametrize("group", ["ff02::f10", "239.1.1.1"])
def test_the_other_half_may_be_started_at_the_same_moment(group: str, lan: Lan) -> None:
    host = lan.add_host()
    client = host.start_flom(CLIENT, "-A", group)
    assert client.line() == "Sent datagram is 'HELLO'"
    server = host.start_flom(SERVER, "-A", group)
    assert client.line() == "Arrived datagram is 'WELCOME'"
    assert (client.finish().returncode, server.finish().returncode) == (0, 0)


def test_nobody_answers(lan: Lan) -> None:
    client = lan.add_host().flom(CLIENT, "-A", "ff02::f10", "-D", "1", "-I", "100")
    assert (client.returncode, client.stdout) == (1, "Sent datagram is 'HELLO'\n")
    [complaint] = client.stderr.splitlines()
    assert complaint.endswith(": the other end says nothing")


def test_there_is_no_way_to_the_group(lan: Lan) -> None:
    host = lan.add_host()
    host.ip("link", "set", "eth0", "down")
    for feature in (SERVER, CLIENT):
        tried = host.flom(feature, "-A", "ff02::f10")
        assert (tried.returncode, tried.stdout) == (1, "")
        [complaint] = tried.stderr.splitlines()
        assert "no network interface is up" in complaint
