"""A real daemon whose limits are exceeded, and one that runs out of descriptors."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.fakes.connections import lock, unlock
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.programs import free_port
from tests.scenarios.integration.test_daemon import ask, code, connect


def is_cut_off(connection: socket.socket) -> bool:
    """Return whether the daemon has closed C{connection}; wait for that for a while."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


class Wary(Daemon):
    """A daemon with short timeouts, on a UNIX socket and TCP, and a holder of R1."""

    def __init__(self, folder: Path, *limits: str, descriptors: int = 1024) -> None:
        self.port = free_port()
        where = ["--socket-name", str(folder / "flom.sock"), "--unicast-address", "127.0.0.1"]
        super().__init__(*where, "--unicast-port", str(self.port), *limits, ready="FLM003N", descriptors=descriptors)

    def __enter__(self) -> Wary:
        super().__enter__()
        self.holder = connect(self.socket)
        assert ask(self.holder, lock()) == b"0"
        return self

    def serves(self) -> bool:
        """Return whether a new client is granted what the holder releases, and the holder of another lock goes on."""
        with closing(connect(self.socket)) as waiter:
            assert ask(waiter, lock()) == b"1"
            self.holder.sendall(unlock())
            assert code(waiter) == b"0"
            assert ask(self.holder, lock()) == b"1"
            waiter.sendall(unlock())
            return code(self.holder) == b"0"


@pytest.fixture
def wary(tmp_path: Path) -> Iterator[Wary]:
    limits = ["--message-timeout", "300", "--unread-timeout", "300", "--max-connections-per-peer", "4"]
    limits += ["--max-waiters", "1", "--max-resources", "2"]
    with Wary(tmp_path, *limits) as wary:
        yield wary


@pytest.mark.parametrize("over", ["UNIX", "TCP"])
def test_who_takes_a_connection_too_many_and_who_is_silent_are_cut_off(over: str, wary: Wary) -> None:
    address = wary.socket if over == "UNIX" else ("127.0.0.1", wary.port)
    crowd = [connect(address) for _ in range(4)]
    with suppress(ConnectionResetError):  # it may be closed as early as that
        crowd.append(connect(address))
    wary.wait_for_log("max-connections-per-peer: closing")
    wary.wait_for_log("message-timeout: closing")
    assert all(is_cut_off(connection) for connection in crowd)
    assert wary.serves()


def test_a_byte_now_and_then_is_not_enough(wary: Wary) -> None:
    with closing(connect(wary.socket)) as slow:
        slow.settimeout(0.05)
        for byte in lock():
            try:
                slow.sendall(bytes([byte]))
                assert slow.recv(1) == b""
                break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("the whole message could be sent")
    assert wary.serves()


@pytest.mark.parametrize("over", ["UNIX", "TCP"])
def test_who_never_reads_is_cut_off(over: str, wary: Wary) -> None:
    with closing(connect(wary.socket if over == "UNIX" else ("127.0.0.1", wary.port))) as deaf:
        deaf.settimeout(0.05)
        try:
            for _ in range(100_000):
                deaf.sendall(lock("R2", mode=1))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass
        wary.wait_for_log("unread-timeout: closing")
    assert wary.serves()


def test_who_may_not_wait_or_create_is_told_that_it_is_locked(wary: Wary) -> None:
    with closing(connect(wary.socket)) as waiter, closing(connect(wary.socket)) as other:
        assert ask(waiter, lock()) == b"1"
        assert ask(other, lock("R2")) == b"0"
        for name in ("R1", "R3"):
            command = [FLOM_RUN, "-s", wary.socket, "-r", name, "--", "true"]
            assert subprocess.run(command, capture_output=True, timeout=60).returncode == 98
    wary.wait_for_log("max-resources: R3 (EX) refused to")
    assert "max-waiters: R1 (EX) refused to" in wary.log


def test_when_descriptors_run_out_only_new_clients_wait(tmp_path: Path) -> None:
    """Holders and waiters go on as before; a new client waits until there is a descriptor."""
    with Wary(tmp_path, descriptors=60) as daemon:
        waiter = connect(daemon.socket)
        assert ask(waiter, lock()) == b"1"
        crowd = [connect(daemon.socket) for _ in range(50)] + [connect(("127.0.0.1", daemon.port)) for _ in range(50)]
        daemon.wait_for_log("descriptors have run out")
        daemon.holder.sendall(unlock())
        assert code(waiter) == b"0"
        for connection in crowd:
            connection.sendall(lock("R2", mode=1))
        for connection in crowd:  # as each goes, there is room for another
            assert code(connection) == b"0"
            connection.close()
        daemon.wait_for_log("connections are accepted again")
        assert daemon.log.count("descriptors have run out") == 1
        assert "EMFILE" not in daemon.log


def test_a_storm_of_waiters_that_vanish_leaves_the_others_in_order(daemon: Daemon) -> None:
    holder = connect(daemon.socket)
    assert ask(holder, lock()) == b"0"
    crowd = [connect(daemon.socket) for _ in range(500)]
    for waiter in crowd:
        waiter.sendall(lock())
    for waiter in crowd:
        waiter.close()
    late = [connect(daemon.socket) for _ in range(100)]
    for waiter in late:
        assert ask(waiter, lock()) == b"1"
    holder.sendall(unlock())
    for waiter in late:
        assert code(waiter) == b"0"
        waiter.close()
    holder.close()
    with closing(connect(daemon.socket)) as last:
        assert ask(last, lock(create=0, wait=0)) == b"0"
