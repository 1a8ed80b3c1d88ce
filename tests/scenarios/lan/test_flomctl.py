"""C{flomctl}: which daemons answer in a group, and why none does."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime

import pytest

from flom._version import __version__
from tests.fakes.daemon import BIN
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.scenarios.lan.network import GROUP, Lan, LanHost, await_leader

pytestmark = needs_network_namespaces

FLOMCTL = str(BIN / "flomctl")


def flomctl(host: LanHost, *words: str) -> subprocess.CompletedProcess[str]:
    return host.start(FLOMCTL, *words).finish()


def diagnose(host: LanHost, *words: str) -> tuple[int, dict[str, list[str]]]:
    """Run the doctor; give the status, and the checks of each verdict."""
    examined = flomctl(host, "doctor", "-A", *(words or [GROUP]))
    assert examined.stderr == ""
    verdicts: dict[str, list[str]] = {"ok": [], "warning": [], "failed": []}
    for line in examined.stdout.splitlines():
        verdict, finding = re.split(" +", line, maxsplit=1)
        verdicts[verdict].append(finding)
    return examined.returncode, verdicts


def block(host: LanHost, rule: str) -> None:
    """Drop what reaches C{host} and matches C{rule}, by its firewall."""
    script = f"""
        add table inet wall
        add chain inet wall input {{ type filter hook input priority 0; }}
        add rule inet wall input {rule} drop
    """
    host.run("nft", script, check=True)


class TestDiscover:
    """C{flomctl discover}"""

    def test_it_lists_every_daemon_the_leader_first(self, lan: Lan) -> None:
        members = [host.join_group() for host in lan.add_hosts(3)]
        leader = await_leader(members)
        listed = flomctl(lan.hosts[0], "discover", "--group", GROUP)
        assert (listed.returncode, listed.stderr) == (0, "")
        heading, *rows = [line.split(maxsplit=5) for line in listed.stdout.splitlines()]
        assert heading == ["ROLE", "ADDRESS", "PORT", "HOST", "VERSION", "SINCE"]
        assert [row[0] for row in rows] == ["leader", "standby", "standby"]
        assert rows[0][2:4] == [str(leader.port), leader.host.name]
        assert {row[3] for row in rows} == {member.host.name for member in members}
        for _, address, _, _, version, since in rows:
            assert address.startswith("fe80::")
            assert version == __version__
            assert datetime.strptime(since, "%Y-%m-%d %H:%M:%S") <= datetime.now()

    def test_there_is_no_daemon(self, lan: Lan) -> None:
        listed = flomctl(lan.add_host(), "discover", "-A", GROUP, "-w", "100")
        assert (listed.returncode, listed.stdout) == (1, "")
        assert listed.stderr.splitlines() == [
            "flomctl: no daemon answers in [ff02::1]:28015; flomctl doctor may tell why"
        ]

    @pytest.mark.parametrize(
        ("words", "named"),
        [
            (["-A", "192.0.2.1"], "'192.0.2.1' is not a multicast address"),
            (["-A", GROUP, "-n", "wlan7"], "'wlan7'"),
            (["-A", GROUP, "-P", "70000"], "70000"),
            (["-A", GROUP, "-P", "x"], "'x'"),
            (["-A", GROUP, "-w", "-1"], "-1"),
            ([], "the group (-A) or the quorum (--quorum, or -c FILE)"),
        ],
        ids=" ".join,
    )
    def test_a_mistake_is_told_in_one_line(self, words: list[str], named: str, lan: Lan) -> None:
        listed = flomctl(lan.add_host(), "discover", *words)
        assert (listed.returncode, listed.stdout) == (2, "")
        [line] = listed.stderr.splitlines()
        assert named in line

    def test_without_a_network_that_is_said(self, lan: Lan) -> None:
        host = lan.add_host()
        host.ip("link", "set", "eth0", "down")
        listed = flomctl(host, "discover", "-A", GROUP)
        assert listed.returncode == 1
        [line] = listed.stderr.splitlines()
        assert "no network interface is up" in line


class TestDoctor:
    """C{flomctl doctor}"""

    def test_everything_is_fine(self, lan: Lan) -> None:
        members = [host.join_group() for host in lan.add_hosts(2)]
        leader = await_leader(members)
        for host in lan.hosts:
            status, verdicts = diagnose(host)
            assert (status, verdicts["warning"], verdicts["failed"]) == (0, [], [])
            checks = [finding.partition(":")[0] for finding in verdicts["ok"]]
            assert checks == [
                *(
                    "interface eth0",
                    "route by eth0",
                    "ttl",
                    "join",
                    "send",
                    "loop by eth0",
                    "answer",
                    "answer",
                    "connection",
                )
            ]
            assert any(f"leader [{leader.host.link_local()}" in finding for finding in verdicts["ok"])

    def test_no_daemon_answers(self, lan: Lan) -> None:
        status, verdicts = diagnose(lan.add_host())
        assert (status, verdicts["warning"]) == (1, [])
        [failed] = verdicts["failed"]
        assert "Either there is none, or a firewall" in failed

    @needs_nft
    def test_a_firewall_here_drops_what_comes_to_the_group(self, lan: Lan) -> None:
        here = lan.add_host()
        block(here, "iifname eth0 udp dport 28015")
        status, verdicts = diagnose(here)
        assert status == 1
        failed, _ = verdicts["failed"]
        assert failed.startswith("loop by eth0: they did not come back")

    @needs_nft
    @pytest.mark.parametrize("group", [GROUP, "239.1.1.1"])
    def test_one_of_two_interfaces_is_deaf(self, group: str, lan: Lan) -> None:
        here = lan.add_host()
        here.add_bridge()
        here.deafen()
        status, verdicts = diagnose(here, group)
        assert status == 1
        failed, _ = verdicts["failed"]
        assert failed.startswith("loop by eth0: they did not come back to this host")
        assert "loop by docker0: they came back to this host" in verdicts["ok"]

    @needs_nft
    @pytest.mark.parametrize("group", [GROUP, "239.1.1.1"])
    def test_the_leader_does_not_hear_the_group(self, group: str, lan: Lan) -> None:
        there, here = lan.add_hosts(2)
        leader = there.join_group(group=group)
        await_leader([leader])
        there.deafen()
        status, verdicts = diagnose(here, group)
        assert leader.leads  # it has not noticed yet
        assert status == 1
        [failed] = verdicts["failed"]
        assert failed.startswith("answer: a leader at ")
        assert "the leader may no longer hear the group" in failed

    @needs_nft
    def test_a_firewall_there_drops_our_questions(self, lan: Lan) -> None:
        there, here = lan.add_hosts(2)
        await_leader([there.join_group()])
        block(there, f"ip6 saddr {here.link_local()} udp dport 28015")
        status, verdicts = diagnose(here)
        assert status == 1
        [failed] = verdicts["failed"]
        assert f"a leader at {there.link_local()}%eth0 is heard, but does not answer" in failed

    @needs_nft
    def test_something_between_drops_multicast(self, lan: Lan) -> None:
        there, here = lan.add_hosts(2)
        await_leader([there.join_group()])
        block(here, f"ip6 saddr {there.link_local()} ip6 daddr ff02::1")
        status, verdicts = diagnose(here)
        assert status == 0
        [warning] = verdicts["warning"]
        assert "what it says to the group does not arrive" in warning

    @needs_nft
    def test_a_firewall_there_drops_connections(self, lan: Lan) -> None:
        there, here = lan.add_hosts(2)
        await_leader([there.join_group()])
        block(there, "iifname eth0 meta l4proto tcp")
        status, verdicts = diagnose(here)
        assert status == 1
        [failed] = verdicts["failed"]
        assert "does a firewall drop TCP?" in failed

    def test_an_interface_is_down(self, lan: Lan) -> None:
        host = lan.add_host()
        host.ip("link", "set", "eth0", "down")
        status, verdicts = diagnose(host)
        assert status == 1
        assert "is down" in verdicts["warning"][0]
        assert verdicts["failed"] == ["interfaces: none can be used for ff02::1"]

    def test_an_interface_has_no_address(self, lan: Lan) -> None:
        host = lan.add_host()
        host.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
        for name in ("veth0", "veth1"):
            host.ip("link", "set", name, "up")
        status, verdicts = diagnose(host, "239.1.1.1")
        assert (status, len(verdicts["warning"])) == (1, 2)
        assert "interface veth0: has no IPv4 address: nothing is sent by it" in verdicts["warning"]
        assert diagnose(host, "239.1.1.1", "-n", "veth0")[0] == 1

    def test_a_cable_is_pulled(self, lan: Lan) -> None:
        host = lan.add_host()
        lan.pull(host)
        status, verdicts = diagnose(host)
        assert status == 1
        assert "no carrier" in verdicts["warning"][0]

    def test_ipv6_is_disabled(self, lan: Lan) -> None:
        host = lan.add_host()
        host.run("sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1", check=True)
        status, verdicts = diagnose(host)
        assert status == 1
        assert "IPv6 is disabled" in verdicts["warning"][0]
        [failed] = diagnose(host, "239.1.1.1")[1]["failed"]
        assert "no daemon answered" in failed

    def test_the_interface_that_was_named_cannot_do_multicast(self, lan: Lan) -> None:
        status, verdicts = diagnose(lan.add_host(), GROUP, "-n", "lo")
        assert status == 1
        assert verdicts["failed"][0] == "interface lo: cannot do multicast"
