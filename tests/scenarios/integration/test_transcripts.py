"""Our daemon does what a real FLoM daemon was recorded to do; where that is a quirk, what is better."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_twisted
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from flom.net.claim import claim_unix
from flom.net.clock import system_instant
from flom.reactor.ports import ClaimedEndpoint
from flom.server.arbiter import DeferredArbiter
from flom.server.service import build_daemon
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.replay import TRANSCRIPTS, Transcript, replay_unix


def _answer(code: int, step: int = 16) -> str:
    session = '<session peerid="{PEERID}"/>' if step == 16 else ""
    return f'<msg level="3" verb="1" step="{step}">{session}<answer rc="{code}"/></msg>'


loop: Any = reactor

_BETTER: Final[dict[str, dict[int, Any]]] = {
    # a lock of another resource on the same connection ends it, instead of locking what was not named
    "quirk-lock-other-resource-on-same-connection": {
        3: {"conn": "a", "closed": True},
        7: {"conn": "c", "recv": _answer(0)},
    },
    # "%%S" is no conversion that changes
    "ts-literal-percent-percent": {1: {"conn": "a", "closed": True}},
    # who waits is refused by step 32, which FLoM's clients understand; step 24 they take for a grant
    "nocreate-numeric-impossible": {4: {"conn": "a", "recv": _answer(6, step=32)}},
    # a name has no control characters
    "quirk-name-line-break-first-line": {1: {"conn": "a", "recv": _answer(-14)}},
    "quirk-name-line-break-second-line": {1: {"conn": "a", "recv": _answer(-14)}},
    # a mode that is no number is no mode
    "quirk-mode-text": {3: {"conn": "b", "closed": True}},
}


def expected(name: str) -> Transcript:
    """Return the recording C{name} as we want it."""
    transcript = deepcopy(TRANSCRIPTS[name])
    for number, step in _BETTER.get(name, {}).items():
        transcript["steps"][number] = step
    return transcript


def names(transport: str) -> list[str]:
    return [name for name, transcript in TRANSCRIPTS.items() if transcript["transport"] == transport]


def test_only_quirks_are_bettered() -> None:
    assert all(TRANSCRIPTS[name]["quirk"] for name in _BETTER)


@pytest.mark.parametrize("name", names("unix"))
@pytest_twisted.ensureDeferred
async def test_unix(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "flom.sock")
    daemon: MultiService = build_daemon(
        loop,
        DeferredArbiter(loop, system_instant),
        [ClaimedEndpoint(loop, claim_unix(path, 0o600))],
        end=lambda: daemon.stopService(),
    )
    daemon.privilegedStartService()
    daemon.startService()
    if name.startswith("ts-"):
        await deferToThread(_await_early_in_a_second)
    await deferToThread(replay_unix, expected(name), path)
    if daemon.running:
        await daemon.stopService()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host that owns the addresses that the recordings name."""
    with Host("flomudp") as host:
        host.add_interface("192.0.2.10/24", "fd00:1::10/64")
        host.ip("route", "add", "224.0.0.0/4", "dev", "eth0")
        yield host


@needs_network_namespaces
@pytest.mark.parametrize("name", names("udp"))
def test_udp(name: str, host: Host) -> None:
    result = host.run(sys.executable, "-m", "tests.fakes.replay", name, stderr=subprocess.STDOUT)
    assert result.returncode == 0, result.stdout


def _await_early_in_a_second() -> None:
    """Come back 0.1 to 0.2 s after a full second, as these recordings want it, and not close to a full minute."""
    while True:
        now = time.time()
        if now % 60 < 50 and 0.1 <= now % 1 < 0.2:
            return
        time.sleep(0.02)
