"""Locks in tasks of asyncio, whose daemon is elected for them; test_reclaim.py has what is held when a leader goes."""

from __future__ import annotations

import sys

from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, eventually
from tests.scenarios.lan.network import GROUP, Lan, LanHost

pytestmark = needs_network_namespaces

SCRIPT = """\
import asyncio, sys
import flom.aio
from flom.config import Config
from flom.errors import FlomError

async def main():
    try:
        async with flom.aio.lock("R", {arguments}):
            child = await asyncio.create_subprocess_exec(*sys.argv[1:])
            await child.wait()
    except FlomError as e:
        print(type(e).__name__, e)
asyncio.run(main())
"""


def start(host: LanHost, arguments: str) -> Running:
    """Start a program on C{host} that holds the lock C{R} until its stdin is closed."""
    return host.start(sys.executable, "-c", SCRIPT.format(arguments=arguments), *host.marks.command("-r", "R"))


def test_a_daemon_is_elected_if_there_is_none(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    first = start(one, f"group='{GROUP}', config=Config(lifespan_ms=300), timeout=0.2")
    assert first.line() == "held"
    refused = start(two, f"group='{GROUP}', wait=False").finish()
    assert refused.stdout.startswith("LockBusy R at [fe80::")
    assert first.finish().stderr == ""
    eventually(lambda: not lan.processes(), "the end of the daemon")
