"""Daemons that are found in a multicast group, on hosts of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

import flom
from tests.fakes.daemon import BIN
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.programs import PATIENCE

pytestmark = needs_network_namespaces

PROGRAM = """
import sys
from flom import *
handle = flom_handle_new()
flom_handle_set_multicast_address(handle, sys.argv[1])
flom_handle_set_discovery_attempts(handle, int(sys.argv[2]))
flom_handle_set_discovery_timeout(handle, 100)
flom_handle_set_resource_name(handle, "east.west")
print(flom_handle_lock(handle), flom_handle_get_locked_element(handle), flom_handle_unlock(handle))
"""


def lock(host: Host, group: str, attempts: int = 1) -> list[str]:
    """Lock a set and unlock it on C{host}; give both codes, and the element in between."""
    return host.run(sys.executable, "-c", PROGRAM, group, str(attempts), check=True).stdout.split()


@pytest.mark.parametrize("group", ["239.1.1.1", "ff02::1"])
def test_the_daemon_of_a_group(group: str) -> None:
    with Host("flomlib") as host:
        host.add_interface("192.0.2.10/24", "fd00:77::10/64")
        words = host.words(str(BIN / "twistd"), "-n", "--pidfile=", "flom", "--group", group, "--election-time", "100")
        daemon = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            code, element, unlocked = lock(host, group, attempts=int(PATIENCE * 10))
            assert (code, unlocked) == (str(flom.FLOM_RC_OK), str(flom.FLOM_RC_OK))
            assert element in ("east", "west")
        finally:
            daemon.terminate()
            daemon.wait(PATIENCE)


def test_a_group_without_a_daemon() -> None:
    with Host("flomlib") as host:
        host.add_interface("192.0.2.10/24")
        code, *_ = lock(host, "239.1.1.1")
        assert code == str(flom.FLOM_RC_CONNECT_ERROR)


def test_a_host_without_a_network() -> None:
    with Host("flomlib") as host:
        code, *_ = lock(host, "239.1.1.1")
        assert code == str(flom.FLOM_RC_SENDTO_ERROR)
