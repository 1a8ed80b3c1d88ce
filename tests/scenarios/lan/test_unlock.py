"""An unlock that is not confirmed is a loss, which every client tells: a reset and silence confirm nothing."""

from __future__ import annotations

import sys
from time import monotonic

import pytest

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, await_leader, in_group

pytestmark = [needs_network_namespaces, needs_nft]

WITH = """
import sys
from flom import lock
from flom.errors import DaemonLost
try:
    with lock("R", address=sys.argv[1], port=int(sys.argv[2]), start=False) as held:
        print("held", flush=True)
        sys.stdin.read()
except DaemonLost as e:
    print(e, file=sys.stderr)
    sys.exit(99 if held.is_lost else 1)
"""

LIBRARY = """
import sys
from flom.libflom import *
handle = flom_handle_new()
flom_handle_set_unicast_address(handle, sys.argv[1])
flom_handle_set_unicast_port(handle, int(sys.argv[2]))
flom_handle_set_resource_name(handle, "R")
assert flom_handle_lock(handle) == 0
print("held", flush=True)
sys.stdin.read()
code = flom_handle_unlock(handle)
print(flom_strerror(code), "not confirmed" if code else "", file=sys.stderr)
sys.exit(99 if code else 0)
"""

COMMAND = ["-r", "R", "-d", "0", "--", "sh", "-c", "echo held; cat"]

CLIENTS = {
    "flom-run": [FLOM_RUN, "-a", "HOST", "-p", str(PORT), *COMMAND],
    "Twisted": [sys.executable, "-m", "flom.client.deferred", "-a", "HOST", "-p", str(PORT), *COMMAND],
    "flom.lock": [sys.executable, "-c", WITH, "HOST", str(PORT)],
    "libflom": [sys.executable, "-c", LIBRARY, "HOST", str(PORT)],
}

RULES = {"reset": f"tcp dport {PORT} reject with tcp reset", "silence": f"tcp dport {PORT} drop"}
"""What the daemon's host does, in each case, with what comes from clients once they hold the lock."""


def address_of(host: LanHost) -> str:
    return next(str(entry["local"]) for entry in host.interface()["addr_info"] if entry["family"] == "inet")


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("words", CLIENTS.values(), ids=CLIENTS)
def test_an_unlock_that_is_not_confirmed_is_told(words: list[str], rule: str, lan: Lan) -> None:
    server, client = lan.add_hosts(2)
    server.start_daemon("-a", "0.0.0.0", "--unicast-port", str(PORT)).await_log("FLM003N")
    words = [address_of(server) if word == "HOST" else word for word in words]
    holder = client.start(*words)
    assert holder.line() == "held"
    table = f"table inet t {{\nchain i {{\ntype filter hook input priority 0\n{rule}\n}}\n}}"
    assert server.run("nft", table).returncode == 0
    ended = holder.finish()
    assert ended.returncode == 99
    assert ended.stderr.count("confirmed") == 1


def test_an_unlock_that_is_confirmed_is_silent(lan: Lan) -> None:
    server, client = lan.add_hosts(2)
    server.start_daemon("-a", "0.0.0.0", "--unicast-port", str(PORT)).await_log("FLM003N")
    for words in CLIENTS.values():
        words = [address_of(server) if word == "HOST" else word for word in words]
        holder = client.start(*words)
        assert holder.line() == "held"
        ended = holder.finish()
        assert (ended.returncode, ended.stderr.strip()) in ((0, ""), (0, "OK: no error"))


def test_a_holder_whose_leader_was_cut_off_reclaims_within_seconds(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(2)]
    leader = await_leader(members)
    client = lan.add_host()
    holder = client.start_flom("-V", *in_group(GROUP, "-r", "R"), "--", "sh", "-c", "echo held; cat")
    while holder.line() != "held":
        pass
    lan.crash(leader.host)
    crashed = monotonic()
    while "reclaimed" not in holder.line():
        pass
    assert monotonic() - crashed < 6.0
    ended = holder.finish()
    assert ended.returncode == 0
