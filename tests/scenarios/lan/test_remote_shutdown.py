"""C{flom-run -X} from another host: with a certificate, or if the daemon obeys every client."""

from __future__ import annotations

import pytest

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Programs, eventually, is_alive
from tests.scenarios.lan.network import Lan, LanHost, Member

pytestmark = needs_network_namespaces


@pytest.fixture
def hosts(lan: Lan) -> tuple[LanHost, LanHost]:
    """The host of the daemon, and another one."""
    there, here = lan.add_hosts(2)
    return there, here


def at(host: LanHost) -> list[str]:
    """Return the options that mean a daemon on C{host}."""
    return ["-a", f"{host.link_local()}%eth0"]


def serve(host: LanHost, *options: str) -> Member:
    """Start a daemon on C{host}, for all addresses; give it when it is ready."""
    daemon = host.start_daemon("--unicast-address", "::", *options)
    daemon.await_log("listening on")
    return daemon


def order(host: LanHost, *words: str) -> tuple[int, list[str]]:
    """Order from C{host} that a daemon end at once; give the status, and what was said on stderr."""
    ordered = host.flom(*words, "-X")
    return ordered.returncode, ordered.stderr.splitlines()


def test_in_plain_text_it_is_refused(hosts: tuple[LanHost, LanHost]) -> None:
    there, here = hosts
    daemon = serve(there)
    status, [complaint] = order(here, *at(there))
    assert status == 99
    assert "refuses to end" in complaint
    assert daemon.await_log(f"immediate shutdown refused to [{here.link_local()}")
    assert here.flom(*at(there), "-d", "0", "--", "true").returncode == 0


def test_a_daemon_that_was_told_to_allow_it_obeys(hosts: tuple[LanHost, LanHost], programs: Programs) -> None:
    there, here = hosts
    assert there.flom(*at(there), "-d", "-1", "--allow-remote-shutdown", "--", "true").returncode == 0
    [daemon] = programs.daemons()
    assert order(here, *at(there)) == (0, [])
    eventually(lambda: not is_alive(daemon), "the end of the daemon")


def test_who_has_a_certificate_may_order_it_too(hosts: tuple[LanHost, LanHost], tls: list[str]) -> None:
    there, here = hosts
    daemon = serve(there, *tls)
    status, [complaint] = order(here, *at(there))  # without it
    assert status == 99
    assert "it may want TLS" in complaint
    assert order(here, *at(there), *tls) == (0, [])
    eventually(lambda: not is_alive(daemon.pid), "the end of the daemon")
    assert f"immediate shutdown ordered by [{here.link_local()}" in daemon.log
