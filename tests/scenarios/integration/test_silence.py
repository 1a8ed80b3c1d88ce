"""Daemons, and what is taken for one, that say nothing: a request that is not to wait ends after some seconds."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from tests.fakes.authority import Authority
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.programs import Programs, assert_refused, free_port

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


@pytest.fixture
def no_names(tmp_path: Path) -> Iterator[list[str]]:
    """The words that run a command on a host whose name server says nothing."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    with Host("flomnames") as host:
        host.add_interface("192.0.2.10/24")
        with host.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 53))
            mounted = f'mount --bind {resolv_conf} /etc/resolv.conf && exec "$@"'
            yield host.words("unshare", "--mount", "sh", "-c", mounted, "sh")


@needs_network_namespaces
@pytest.mark.parametrize("place", ["-a", "-A"])
def test_a_timeout_ends_the_wait_for_a_name_server(programs: Programs, no_names: list[str], place: str) -> None:
    words = [*no_names, FLOM_RUN, place, "lockhost.example", "-o", "1000", "--", "echo", "ran"]
    started = monotonic()
    done = programs.start_program(*words).finish()
    assert (done.returncode, done.stdout) == (98, "")
    assert monotonic() - started < 4  # the C library gives up after 10 s


@needs_network_namespaces
def test_a_request_that_is_not_to_wait_ends_at_a_silent_name_server(programs: Programs, no_names: list[str]) -> None:
    words = [*no_names, FLOM_RUN, "-a", "lockhost.example", "-o", "0", "--", "echo", "ran"]
    started = monotonic()
    done = programs.start_program(*words).finish()
    assert_refused(done, 99, "lockhost.example: no name server has answered in time")
    assert monotonic() - started < 8
