"""Daemons, and what is taken for one, that say nothing: a request that is not to wait ends after some seconds."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.programs import Programs, free_port

LOCK = """
import sys
from flom import lock
from flom.config import load, override
from flom.errors import DaemonUnreachable
from flom.job.command_line import parse

config = override(load(None, {}, print), parse(sys.argv[1:]).options, print)
try:
    lock("R1", config=config, wait=False).acquire()
except DaemonUnreachable as e:
    sys.exit(f"{e}")
"""

LIBRARY = """
import sys
from flom import *
from flom.config import load, override
from flom.job.command_line import parse

handle = flom_handle_new()
handle.config = override(load(None, {}, print), parse(sys.argv[1:]).options, print)
flom_handle_set_resource_timeout(handle, 0)
sys.exit(f"no answer within 5 s, {flom_handle_lock(handle)}")
"""

CLIENTS = {
    "flom-run": [FLOM_RUN, "-o", "0"],
    "spawn": [sys.executable, "-m", "flom.client.deferred", "-o", "0"],
    "lock": [sys.executable, "-c", LOCK],
    "library": [sys.executable, "-c", LIBRARY],
}


@pytest.fixture(params=["UNIX", "TCP", "TLS", "a stranger"])
def silent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The options that lead to a daemon that was stopped, or to another program that says nothing."""
    port = str(free_port())
    options = ["-a", "127.0.0.1", "-p", port]
    if request.param == "a stranger":
        with socket.create_server(("127.0.0.1", int(port))):
            yield options
        return
    words, ready = ["--unicast-address", "127.0.0.1", "--unicast-port", port], "FLM003N ready"
    if request.param == "UNIX":
        options = words = ["--socket-name", str(tmp_path / "socket")]
    elif request.param == "TLS":
        files = Authority(tmp_path / "ca", "ca").issue("host").options()
        options, words, ready = [*options, *files], [*words, *files], "LockFactory (TLS) starting on"
    with Daemon(*words, ready=ready) as daemon:
        daemon.process.send_signal(signal.SIGSTOP)
        yield options


def test_a_request_that_is_not_to_wait_ends_without_an_answer(programs: Programs, silent: list[str]) -> None:
    started = {
        name: programs.start_program(*words, *silent, "-r", "R1", "--", "echo", "ran")
        for name, words in CLIENTS.items()
    }
    for name, running in started.items():
        done = running.finish()
        assert "no answer within 5 s" in done.stderr, name
        assert done.stderr.count("\n") == 1, done.stderr
        assert (done.returncode, done.stdout) == (1 if name in ("lock", "library") else 99, "")


def test_a_timeout_ends_the_wait_for_an_answer(programs: Programs, silent: list[str]) -> None:
    done = programs.run(*silent, "-o", "200", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (98, "")
