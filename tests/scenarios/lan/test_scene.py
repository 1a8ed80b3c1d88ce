"""The scene of the mission: all that a host needs to know is a multicast group."""

from __future__ import annotations

from tests.fakes.netns import needs_network_namespaces, needs_pgrep
from tests.fakes.programs import eventually
from tests.scenarios.lan.network import GROUP, Lan, LanHost, leaders_in

pytestmark = needs_network_namespaces


def pgrep(host: LanHost) -> list[int]:
    """Run C{pgrep flom} on C{host}; it sees the processes of all hosts of this machine, of which we want its own."""
    found = host.run("pgrep", "flom").stdout.split()
    return [int(pid) for pid in found if int(pid) in host.pids()]


@needs_pgrep
def test_the_first_command_starts_a_daemon_that_all_hosts_use(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    assert pgrep(one) == []

    assert one.flom("-A", GROUP, "-d", "-1", "--", "true").returncode == 0
    [daemon] = pgrep(one)

    for host in (one, two):
        listed = host.flom("-A", GROUP, "-d", "0", "--", "ls")
        assert (listed.returncode, listed.stdout, listed.stderr) == (0, host.run("ls").stdout, "")
    assert pgrep(one) == [daemon]
    assert pgrep(two) == []


def test_hosts_exclude_each_other(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    assert one.flom("-A", GROUP, "-d", "-1", "--", "true").returncode == 0
    holder = one.hold("R")
    refused = two.run_job("-A", GROUP, "-d", "0", "-r", "R", "-o", "0")
    assert (refused.returncode, refused.stdout) == (98, "")
    assert holder.finish().returncode == 0
    assert two.run_job("-A", GROUP, "-d", "0", "-r", "R", "-o", "0").stdout == "held\n"


def test_a_cold_start_elects_and_a_warm_run_asks(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    cold = one.flom("-V", "-A", GROUP, "-d", "-1", "--", "echo", "ran")
    warm = two.flom("-V", "-A", GROUP, "-d", "-1", "--", "echo", "ran")
    assert [cold.returncode, warm.returncode] == [0, 0]
    assert f"no reply from {GROUP}/28015\n" in cold.stdout
    assert "standing for election" in cold.stdout
    assert "elected: this host leads" in cold.stdout
    assert "elect" not in warm.stdout
    assert leaders_in(warm.stdout) == leaders_in(cold.stdout)
    assert [host for host, _ in leaders_in(warm.stdout)] == [one.name]
    assert cold.stdout.endswith("\nran\n")
    assert warm.stdout.endswith("\nran\n")


def test_a_daemon_with_a_lifespan_ends_when_nobody_needs_it(lan: Lan) -> None:
    one = lan.add_host()
    for _ in range(2):
        assert one.flom("-A", GROUP, "-d", "100", "-i", "1", "--", "true").returncode == 0
        eventually(lambda: not lan.processes(), "its end")
