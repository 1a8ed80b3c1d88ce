"""An unlock that is not confirmed is a loss, which every client tells: a reset and silence confirm nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from flom.codes import ExitStatus
from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import Running, complaints, eventually
from tests.scenarios.lan import flom_daemon
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, await_leader

pytestmark = [needs_network_namespaces, needs_nft]

WITH = """
import sys
from flom import lock
from flom.errors import DaemonLost
try:
    with lock(sys.argv[1], start=False) as held:
        print("held", flush=True)
        sys.stdin.readline()
except DaemonLost as e:
    print(e, file=sys.stderr)
    sys.exit(99 if held.is_lost else 1)
"""

LIBRARY = """
import sys
from flom.libflom import *
handle = flom_handle_new()
flom_handle_set_resource_name(handle, sys.argv[1])
assert flom_handle_lock(handle) == 0
print("held", flush=True)
sys.stdin.readline()
code = flom_handle_unlock(handle)
if code:
    print(flom_strerror(code), "not confirmed", file=sys.stderr)
    sys.exit(99)
"""

CLIENTS = {
    "flom-run": [FLOM_RUN, "-r", "NAME", "--", "sh", "-c", "echo held; read go"],
    "flom": [str(BIN / "flom"), "-r", "NAME", "--", "sh", "-c", "echo held; read go"],
    "Twisted": [sys.executable, "-m", "flom.client.deferred", "-r", "NAME", "--", "sh", "-c", "echo held; read go"],
    "flom.lock": [sys.executable, "-c", WITH, "NAME"],
    "libflom": [sys.executable, "-c", LIBRARY, "NAME"],
}
"""Programs that hold a lock of the daemon that C{~/.flom} names until they read a line."""

LOSSES = {
    "reset": "input priority 0; meta l4proto tcp reject with tcp reset",
    "silence": "input priority 0; meta l4proto tcp drop",
    "host unreachable": "input priority 0; meta l4proto tcp reject with icmpx type host-unreachable",
    "prohibited": "input priority 0; meta l4proto tcp reject with icmpx type admin-prohibited",
}
"""What the daemon's host does with what comes from clients once they hold their locks."""

NO_END = "output priority 0; tcp flags & fin == fin drop"
"""The end of what the daemon sends is all that does not reach its clients."""


KEEPALIVE = ["--tcp-keepalive-time", "1", "--tcp-keepalive-intvl", "1", "--tcp-keepalive-probes", "2"]

TOLD = re.compile("has not confirmed the unlock|not confirmed$|closed the connection|is broken|was not reclaimed")
"""
What a line about a loss says; a reset may come before the unlock, as the answer to an acknowledgement or, on a busy
machine, to a keepalive probe.
"""

STATUSES = {0: "ok", ExitStatus.ERROR: "lost", ExitStatus.LOST: "lost"}
"""What the statuses of L{CLIENTS} mean."""

LOST = ("lost", ["loss"])
RELEASED: tuple[str, list[str]] = ("ok", [])


class Holders:
    """
    Every client of L{CLIENTS}, each with a lock over TCP, over TCP by IPv6, and over TLS.

    @ivar server: where the daemons are.
    """

    def __init__(self, lan: Lan, tmp_path: Path, tls: list[str]) -> None:
        self.server, self._client = lan.add_hosts(2)
        self._tls = [tls[1], tls[3], tls[5]]
        self._folder = tmp_path
        self._running: dict[str, Running] = {}

    def hold_at_ours(self, *options: str) -> None:
        """Acquire the locks at daemons of ours, which are started with C{options} more."""
        certificate, key, authority = self._tls
        files = ["--tls-certificate", certificate, "--tls-private-key", key, "--tls-ca-certificate", authority]
        listening = [*KEEPALIVE, *options, "-a", "0.0.0.0", "-a", "::", "--unicast-port"]
        plain = self.server.start_daemon(*listening, str(PORT))
        secured = self.server.start_daemon(*listening, str(PORT + 1), *files)
        for daemon in (plain, secured):
            daemon.await_log("FLM003N")
        self._hold(PORT, PORT + 1)

    def hold_at_flom_s(self) -> None:
        """Acquire the locks at daemons of FLoM's kind, which do not answer unlocks."""
        words = [sys.executable, "-I", flom_daemon.__file__, GROUP, str(PORT)]
        daemons = [self.server.start(*words), self.server.start(*words, *self._tls)]
        plain, secured = (int(daemon.line().removeprefix("ready ")) for daemon in daemons)
        self._hold(plain, secured)

    def cut(self, rule: str) -> None:
        """Put a rule of C{nft} into force at the daemons."""
        script = f"table inet t {{ chain c {{ type filter hook {rule}; }}; }}"
        assert self.server.run("nft", script).returncode == 0

    def heal(self) -> None:
        """Undo L{cut}."""
        assert self.server.run("nft", "flush ruleset").returncode == 0

    def await_breaks(self) -> None:
        """Wait until the daemons have noticed that all connections are broken."""
        daemons, noticed = self.server.members, "is broken: its locks are kept"
        eventually(lambda: sum(one.log.count(noticed) for one in daemons) == len(self._running), "all are broken")

    def await_return(self) -> None:
        """Wait until all of them are connected."""
        listed = ["ss", "-OtnH", "state", "established", f"( sport = :{PORT} or sport = :{PORT + 1} )"]
        eventually(lambda: self.server.run(*listed).stdout.count("\n") == len(self._running), "all are back")

    def end(self, meanwhile: Callable[[], None] = lambda: None) -> dict[str, tuple[str, list[str]]]:
        """
        End all of them, which releases their locks; return what the status of each means, and what of L{TOLD} its lines
        say.

        @param meanwhile: called when all of them are about it.
        """
        for running in self._running.values():
            running.say("")
        meanwhile()
        ended = {name: running.finish() for name, running in self._running.items()}
        return {
            name: (
                STATUSES[one.returncode],
                ["loss" if TOLD.search(line) else line for line in complaints(one).splitlines()],
            )
            for name, one in ended.items()
        }

    def _hold(self, plain: int, secured: int) -> None:
        ways = {
            "TCP": self._configure("TCP", address_of(self.server), plain),
            "IPv6": self._configure("IPv6", f"{self.server.link_local()}%eth0", plain),
            "TLS": self._configure("TLS", address_of(self.server), secured, *self._tls),
        }
        for way, home in ways.items():
            for client, words in CLIENTS.items():
                named = [f"R{len(self._running)}" if word == "NAME" else word for word in words]
                self._running[f"{client}, {way}"] = self._client.start(*named, environment={"HOME": str(home)})
        assert [running.line() for running in self._running.values()] == ["held"] * len(self._running)

    def _configure(self, way: str, address: str, port: int, *files: str) -> Path:
        """Return a home whose configuration names a daemon."""
        home = self._folder / way
        home.mkdir()
        text = f"[Daemon]\nUnicastAddress={address}\nUnicastPort={port}\nLifespan=0\n"
        text += "[Network]\nTcpKeepaliveTime=1\nTcpKeepaliveIntvl=1\nTcpKeepaliveProbes=2\n"
        keys = ("TlsCertificate", "TlsPrivateKey", "TlsCaCertificate")
        text += "[TLS]\n" + "".join(f"{key}={file}\n" for key, file in zip(keys, files, strict=False))
        (home / ".flom").write_text(text)
        return home


@pytest.fixture
def holders(lan: Lan, tmp_path: Path, tls: list[str]) -> Holders:
    return Holders(lan, tmp_path, tls)


def address_of(host: LanHost) -> str:
    return next(str(entry["local"]) for entry in host.interface()["addr_info"] if entry["family"] == "inet")


def exceptions(
    ended: dict[str, tuple[str, list[str]]], rule: tuple[str, list[str]]
) -> dict[str, tuple[str, list[str]]]:
    """Return those that have ended in another way than C{rule}."""
    return {name: end for name, end in ended.items() if end != rule}


@pytest.mark.parametrize("rule", LOSSES.values(), ids=LOSSES)
def test_an_unlock_that_ours_never_answers_is_a_loss(rule: str, holders: Holders) -> None:
    holders.hold_at_ours("--session-timeout", "5s")
    holders.cut(rule)
    assert exceptions(holders.end(), LOST) == {}


def test_a_connection_that_breaks_and_comes_back_is_no_loss(holders: Holders) -> None:
    holders.hold_at_ours()
    holders.cut(LOSSES["silence"])
    holders.await_breaks()
    holders.heal()
    holders.await_return()
    assert exceptions(holders.end(), RELEASED) == {}


@pytest.mark.parametrize(("what", "seconds"), [("reset", 1.0), ("host unreachable", 6.0)])
def test_an_unlock_that_was_not_answered_is_made_again(what: str, seconds: float, holders: Holders) -> None:
    """The daemon's host is there again after a while, before the locks end: no client has lost anything."""

    def wait_and_heal() -> None:
        sleep(seconds)  # for the answer to an unlock, of which there is no other sign
        holders.heal()

    holders.hold_at_ours()
    holders.cut(LOSSES[what])
    assert exceptions(holders.end(wait_and_heal), RELEASED) == {}


@pytest.mark.parametrize("rule", [*LOSSES.values(), NO_END], ids=[*LOSSES, "no end"])
def test_an_unlock_that_flom_s_does_not_end_by_is_a_loss(rule: str, holders: Holders) -> None:
    holders.hold_at_flom_s()
    holders.cut(rule)
    assert exceptions(holders.end(), LOST) == {}


def test_an_unlock_that_ours_answers_needs_no_end(holders: Holders) -> None:
    holders.hold_at_ours()
    holders.cut(NO_END)
    assert exceptions(holders.end(), RELEASED) == {}


def test_an_orderly_end_of_flom_s_is_an_unlock(holders: Holders) -> None:
    holders.hold_at_flom_s()
    assert exceptions(holders.end(), RELEASED) == {}


def test_a_holder_whose_leader_was_cut_off_reclaims_within_seconds(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(2)]
    leader = await_leader(members)
    client = lan.add_host()
    holder = client.hold("R", "-V")
    lan.crash(leader.host)
    crashed = monotonic()
    while "reclaimed" not in holder.line():
        pass
    assert monotonic() - crashed < 6.0
    ended = holder.finish()
    assert ended.returncode == 0
