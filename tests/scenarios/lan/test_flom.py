"""Clients and daemons of FLoM 1.7.2 in the same network (docs/compatibility.md, "Discovery")."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered, Role
from tests.fakes.exclusion import Marks
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import PATIENCE, Running, complaints, eventually
from tests.scenarios.lan import flom_daemon
from tests.scenarios.lan.flom_peers import QUESTION, FlomClient, port_in
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, await_leader

pytestmark = needs_network_namespaces


def start_flom_daemon(host: LanHost) -> Running:
    """Start a daemon as FLoM's is one; give it when it is ready."""
    daemon = host.start(sys.executable, "-I", flom_daemon.__file__, GROUP, str(PORT))
    assert daemon.line().startswith("ready ")
    return daemon


def is_unharmed(daemon: Running) -> bool:
    """Return whether FLoM's daemon was sent nothing that would have ended it."""
    return daemon.process.poll() is None


def test_its_daemon_is_used_and_none_is_started(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    daemon = start_flom_daemon(one)
    for host in (one, two):
        ran = host.flom("-V", "-A", GROUP, "-d", "-1", "-r", "R", "--", "echo", "ran")
        assert (ran.returncode, complaints(ran), ran.stdout.splitlines()[-1]) == (0, "", "ran")
        assert "(FLoM)" in ran.stdout
        assert daemon.line() == "granted R"
    assert list(lan.processes()) == [daemon.pid]


def test_of_many_starts_none_starts_a_daemon_beside_it(lan: Lan, tmp_path: Path) -> None:
    """Besides, this shows that the check for two holders at once is no empty one: that daemon grants everything."""
    hosts = lan.add_hosts(3)
    daemon = start_flom_daemon(hosts[0])
    loose = Marks(tmp_path / "loose")
    runners = [host.start_job("-A", GROUP, "-d", "-1", seconds=1, marks=loose) for host in hosts for _ in range(2)]
    assert [runner.finish().returncode for runner in runners] == [0] * len(runners)
    assert list(lan.processes()) == [daemon.pid]
    assert loose.violations()


def test_when_its_daemon_has_gone_ours_is_elected(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    daemon = start_flom_daemon(one)
    assert two.flom("-A", GROUP, "-d", "-1", "--", "true").returncode == 0
    daemon.signal(signal.SIGKILL)
    assert daemon.wait() == -signal.SIGKILL
    assert two.flom("-A", GROUP, "-d", "-1", "--", "true").returncode == 0
    assert one.ask()[0] == two.name


def test_ours_stand_by_for_it_and_lead_when_it_has_gone(lan: Lan) -> None:
    hosts = lan.add_hosts(3)
    daemon = start_flom_daemon(hosts[0])
    members = [host.join_group() for host in hosts[1:]]
    for member in members:
        member.await_log("standing by: FLoM at ")
        assert member.stands_by
    assert hosts[2].flom("-A", GROUP, "-d", "0", "-r", "R", "--", "true").returncode == 0
    assert daemon.line() == "granted R"
    assert is_unharmed(daemon)

    daemon.signal(signal.SIGKILL)
    leader = await_leader(members, 3)
    assert hosts[0].ask()[0] == leader.host.name


def test_ours_yields_to_one_that_appears(lan: Lan) -> None:
    one, two, three = lan.add_hosts(3)
    members = [host.join_group() for host in (one, two)]
    leader = await_leader(members)
    holder = three.hold("held")

    daemon = start_flom_daemon(three)
    assert "yields to FLoM at " in leader.await_log("two leaders", 5)
    eventually(lambda: all(member.stands_by for member in members), "both standing by")
    assert two.flom("-A", GROUP, "-d", "0", "-r", "R", "--", "true").returncode == 0
    assert daemon.line() == "granted R"
    finished = holder.finish()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert is_unharmed(daemon)

    daemon.signal(signal.SIGKILL)
    leader = await_leader(members, 3)
    assert one.ask()[0] == leader.host.name


def test_one_that_flom_run_has_started_yields_and_ends(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    assert one.flom("-A", GROUP, "-d", "-1", "--", "true").returncode == 0
    daemon = start_flom_daemon(two)
    eventually(lambda: list(lan.processes()) == [daemon.pid], "only FLoM's daemon is left")
    assert is_unharmed(daemon)


def test_its_client_gets_one_answer_from_the_leader_and_none_from_others(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(3)]
    leader = await_leader(members)
    lan.add_host()
    for client in lan.hosts:
        plain: list[tuple[bytes, tuple[str, int, int, int]]] = []
        full: list[Role] = []
        with client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker:
            asker.settimeout(PATIENCE)
            asker.sendto(QUESTION, (GROUP, PORT))
            asker.sendto(encode(Discover(GROUP, everyone=True)), (GROUP, PORT))  # who answers this has had the other
            while len(full) < len(members):
                datagram, sender = asker.recvfrom(65536)
                reply = decode(datagram)
                assert isinstance(reply, Discovered)
                if reply.standing is None:
                    plain.append((datagram, sender))
                else:
                    full.append(reply.standing.role)
        assert sorted(full) == [Role.LEADER, Role.STANDBY, Role.STANDBY]
        [(datagram, sender)] = plain
        assert port_in(datagram) == leader.port
        with FlomClient(client, (sender[0], leader.port, 0, sender[3])) as connection:
            assert connection.lock("R") == "0"


def test_its_clients_and_ours_exclude_each_other(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    leader = one.join_group()
    await_leader([leader])
    with FlomClient(two, leader.address_for(two)) as client:
        assert client.lock("R") == "0"
        assert two.run_job("-A", GROUP, "-d", "0", "-r", "R", "-o", "0").returncode == 98
        client.unlock("R")
        holder = two.hold("R")
        assert client.lock("R", wait=False) == "4"
        assert holder.finish().returncode == 0
