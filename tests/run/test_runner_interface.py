"""
C{-n} leads to link-local IPv6 addresses, whatever other addresses the interface has
(docs/compatibility.md, "The scope of an interface may be that of no link").
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.netns import Host, needs_network_namespaces

SHORT_LIVED = ["-i", "1", "-d", "1000"]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host with a link-local address, which comes after a global one."""
    with Host("flomlocal") as host:
        host.add_interface("fd00:1::10/64", "fe80::10/64")
        yield host


@needs_network_namespaces
@pytest.mark.parametrize("address", [["-a", "fe80::10", "-n", "eth0"], ["-a", "fe80::10%eth0"]], ids=" ".join)
def test_a_daemon_on_a_link_local_address_is_started_and_reached(host: Host, address: list[str]) -> None:
    first = host.run(FLOM_RUN, *address, "-r", "_s_a[1]", *SHORT_LIVED, "--", "echo", "ran")
    second = host.run(FLOM_RUN, *address, "-r", "_s_a[1]", "-d", "0", "--", "echo", "ran")
    assert [first.stdout[:4], second.stdout[:4]] == ["ran ", "ran "]
    assert int(second.stdout[4:]) == int(first.stdout[4:]) + 1


@needs_network_namespaces
def test_with_an_interface_only_ipv6_is_used(host: Host) -> None:
    refused = host.run(
        FLOM_RUN, "-a", "127.0.0.1", "-n", "eth0", "-d", "0", "--", "echo", "ran", stderr=subprocess.STDOUT
    )
    assert refused.returncode == 99
    assert refused.stdout == "flom-run: 127.0.0.1: no such host\n"
