"""Locks for plain scripts, whose daemon is that of a multicast group."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, eventually
from tests.scenarios.lan import flom_daemon
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, await_leader

pytestmark = needs_network_namespaces

SCRIPT = """\
import subprocess, sys
from flom import lock
from flom.config import Config
from flom.errors import FlomError
try:
    with lock("R", {arguments}):
        subprocess.run(sys.argv[1:], check=True)
except FlomError as e:
    print(type(e).__name__, e)
"""


def start(host: LanHost, arguments: str = f"group='{GROUP}', start=False") -> Running:
    """Start a script on C{host} that holds the lock C{R} until its stdin is closed."""
    command = host.marks.command("-r", "R", "-l", "PR" if "mode='PR'" in arguments else "EX")
    return host.start(sys.executable, "-c", SCRIPT.format(arguments=arguments), *command)


def hold(host: LanHost, arguments: str = f"group='{GROUP}', start=False") -> Running:
    """L{start} it; give it when it has the lock."""
    running = start(host, arguments)
    assert running.line() == "held"
    return running


def run(host: LanHost, arguments: str) -> subprocess.CompletedProcess[str]:
    """L{start} it, with nothing on its stdin."""
    return start(host, arguments).finish()


def test_hosts_exclude_each_other(lan: Lan) -> None:
    one, two, three = lan.add_hosts(3)
    await_leader([one.join_group()])
    holder = hold(two)
    for host in (one, two, three):
        refused = run(host, f"group='{GROUP}', wait=False")
        assert refused.stdout.startswith("LockBusy R at [fe80::")
        assert refused.stderr == ""
    holder.finish()
    assert run(three, f"group='{GROUP}', wait=False").stdout == "held\n"


def test_a_daemon_is_elected_if_there_is_none(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    first = hold(one, f"group='{GROUP}', config=Config(lifespan_ms=300), timeout=0.2")
    assert run(two, f"group='{GROUP}', wait=False").stdout.startswith("LockBusy R at [fe80::")
    assert first.finish().stderr == ""
    eventually(lambda: not lan.processes(), "the end of the daemon")


def test_of_many_that_start_together_one_daemon_comes(lan: Lan) -> None:
    hosts = lan.add_hosts(3)
    scripts = [start(host, f"group='{GROUP}', config=Config(lifespan_ms=-1), mode='PR'") for host in hosts * 2]
    for script in scripts:
        assert script.line() == "held"
    eventually(lambda: len(lan.processes()) == 2 * len(scripts) + 1, "the end of those who were not elected")
    for script in scripts:
        assert script.finish().stderr == ""


def test_none_is_started_if_that_is_not_wanted(lan: Lan) -> None:
    one = lan.add_host()
    refused = run(one, f"group='{GROUP}', start=False, config=Config(discovery_timeout_ms=50)")
    assert refused.stdout == f"NoDaemon R: no daemon answers in [{GROUP}]:{PORT}\n"
    late = run(one, f"group='{GROUP}', start=False, timeout=0.05")
    assert late.stdout == f"LockTimeout R at the daemon of [{GROUP}]:{PORT}: not granted within 0.05 s\n"
    assert not lan.processes()


def test_a_group_that_nothing_can_be_sent_to(lan: Lan) -> None:
    one = lan.add_host()
    one.ip("link", "set", "eth0", "down")
    refused = run(one, f"group='{GROUP}', config=Config(network_interface='eth0'), start=False")
    assert refused.stdout == f"NoMulticast R: {GROUP}: network-interface: 'eth0' is not up and able to do multicast\n"


def test_whoever_waits_goes_on_waiting_at_the_next_leader(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(3)]
    leader = await_leader(members)
    others = [member for member in members if member is not leader]
    holder = others[0].host.hold("R")
    waiter = start(others[1].host)
    eventually(lambda: others[1].host.has_heard(waiter, leader), "a waiter")

    leader.signal(signal.SIGKILL)
    await_leader(others)

    holder.finish()
    assert waiter.line() == "held"
    waiter.finish()


def test_the_holder_is_told_that_its_leader_has_gone(lan: Lan) -> None:
    leader = await_leader([lan.add_host().join_group()])
    holder = hold(lan.add_host())
    leader.stop()
    assert "DaemonLost R: [fe80::" in holder.finish().stdout


def test_those_who_stand_by_will_have_a_leader_soon(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(2)]
    leader = await_leader(members)
    leader.signal(signal.SIGKILL)
    quick = f"group='{GROUP}', start=False, config=Config(discovery_attempts=2, discovery_timeout_ms=100)"
    assert run(lan.add_host(), quick).stdout == "held\n"


def test_a_daemon_of_flom_is_used(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    daemon = one.start(sys.executable, "-I", flom_daemon.__file__, GROUP, str(PORT))
    assert daemon.line().startswith("ready ")
    assert run(two, f"group='{GROUP}', config=Config(lifespan_ms=-1)").stdout == "held\n"
    assert daemon.line() == "granted R"
    assert list(lan.processes()) == [daemon.pid]


def test_where_two_lead_one_is_warned(lan: Lan) -> None:
    one, two, three = lan.add_hosts(3)
    for host in (one, two):
        daemon = host.start(sys.executable, "-I", flom_daemon.__file__, GROUP, str(PORT))
        assert daemon.line().startswith("ready ")
    warned = run(three, f"group='{GROUP}', start=False")
    assert warned.stdout == "held\n"
    assert f"2 daemons lead [{GROUP}]:{PORT}: " in warned.stderr


def test_the_unicast_address_is_tried_before_the_group(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    member = await_leader([one.join_group()])
    there = f"address='{one.link_local()}', config=Config(network_interface='eth0')"
    assert run(two, f"{there}, port={member.port}, start=False").stdout == "held\n"
    assert run(two, f"{there}, port=1, group='{GROUP}'").stdout == "held\n"
    refused = run(two, f"{there}, port=1, group='{GROUP}', start=False").stdout
    assert "%eth0]:1 by eth0: no daemon is listening: connection refused" in refused


def test_over_tls(lan: Lan, tls: list[str]) -> None:
    one, two = lan.add_hosts(2)
    await_leader([one.join_group(*tls)])
    certificate, key, authority = tls[1], tls[3], tls[5]
    files = f"tls_certificate={certificate!r}, tls_private_key={key!r}, tls_ca_certificate={authority!r}"
    assert run(two, f"group='{GROUP}', start=False, config=Config({files}, tls_check_peer_id=True)").stdout == "held\n"
    stranger = run(two, f"group='{GROUP}', start=False, config=Config()").stdout
    assert "TLS" in stranger


IMPORTS = f"""\
import sys
from flom import lock
with lock("R", group="{GROUP}", start=False):
    print(sorted({{name.partition(".")[0] for name in sys.modules}} & {{"twisted", "zope", "OpenSSL", "cryptography"}}))
"""


def test_twisted_is_not_imported_for_a_group(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    await_leader([one.join_group()])
    run = two.start(sys.executable, "-c", IMPORTS).finish()
    assert (run.stdout, run.stderr) == ("[]\n", "")
