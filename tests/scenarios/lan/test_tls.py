"""
A group whose daemon speaks TLS: it is elected and found as ever, and serves those whom it trusts
(docs/compatibility.md, "When TLS is used").
"""

from __future__ import annotations

from tests.fakes.netns import needs_network_namespaces
from tests.scenarios.lan.network import GROUP, Lan

pytestmark = needs_network_namespaces


def test_hosts_with_certificates_elect_a_daemon_and_share_its_locks(lan: Lan, tls: list[str]) -> None:
    one, two = lan.add_hosts(2)
    assert one.flom("-A", GROUP, "-d", "-1", *tls, "--", "true").returncode == 0
    holder = two.hold("R", *tls)
    assert one.run_job("-A", GROUP, "-d", "-1", "-r", "R", "-o", "0", *tls).returncode == 98
    assert one.ask(*tls) == two.ask(*tls)

    stranger = two.flom("-A", GROUP, "-d", "-1", "-r", "S", "--", "echo", "ran")
    assert (stranger.returncode, stranger.stdout) == (99, "")
    assert "it may want TLS" in stranger.stderr
    assert holder.finish().returncode == 0
