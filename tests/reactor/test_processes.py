"""The end of a child process is noticed without SIGCHLD too, as long as Twisted has the names that this leans on."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from twisted.internet.process import Process
from twisted.internet.task import Clock

from flom.reactor.processes import ExitWatch

PROGRAM = """
import asyncio, sys
from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from flom.reactor.processes import ExitWatch

class Watched(ProcessProtocol):
    def processExited(self, reason):
        exited.callback(reason.value.exitCode)

async def main():
    global exited
    asyncioreactor.install(asyncio.get_running_loop())
    from twisted.internet import reactor
    reactor.startRunning(installSignalHandlers=False)
    exited = Deferred()
    process = reactor.spawnProcess(Watched(), "sh", ["sh", "-c", "sleep 0.2; exit 3"], childFDs={})
    if sys.argv[1] == "watched":
        ExitWatch(reactor, process)
    print(await asyncio.wait_for(exited.asFuture(asyncio.get_running_loop()), 3))

asyncio.run(main())
"""


@pytest.mark.parametrize(("how", "status"), [("watched", 0), ("left to Twisted", 1)])
def test_a_reactor_without_sigchld_sees_no_child_end_but_for_the_watch(how: str, status: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert ("TimeoutError" in done.stderr) == (status == 1)


def test_twisted_has_reap_process() -> None:
    assert callable(Process.reapProcess)


def test_a_reactor_without_descriptors_is_left_to_itself() -> None:
    reactor: Any = Clock()
    watch = ExitWatch(reactor, type("Process", (), {"pid": 1}))
    assert watch.fileno() == -1
    watch.stop()
