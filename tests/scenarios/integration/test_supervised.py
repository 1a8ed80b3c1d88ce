"""Daemons under a supervisor such as systemd: what they tell it, and sockets that it has opened for them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.authority import Authority, Files
from tests.fakes.connections import lock
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.programs import PATIENCE, Programs, eventually, free_port
from tests.fakes.supervisor import Supervisor, needs_systemd
from tests.scenarios.integration.test_daemon import ask, connect


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(str(tmp_path / "notify")) as supervisor:
        yield supervisor


def test_a_daemon_is_ready_when_clients_are_served_and_says_its_end(tmp_path: Path, supervisor: Supervisor) -> None:
    path = str(tmp_path / "sock")
    with Daemon("--socket-name", path, ready="", environment=supervisor.environment) as daemon:
        supervisor.wait_for("READY=1")
        with connect(path) as client:
            assert ask(client, lock()) == b"0"
        assert daemon.stop() == -signal.SIGTERM
    assert supervisor.hear() == ["STOPPING=1", "STATUS=ending"]
    assert supervisor.is_told_nothing()


def test_a_group_s_daemon_is_ready_when_it_has_a_role(tmp_path: Path) -> None:
    """The second daemon of a host stands by for the seat of the first one."""
    first, second = (Supervisor(str(tmp_path / name)) for name in ("first", "second"))
    words = ["--group", "239.255.42.77", "--port", str(free_port()), "--interface", "lo"]
    with first, second, Daemon(*words, ready="", environment=first.environment) as leader:
        assert first.wait_for("READY=1")[1].startswith("STATUS=leading 239.255.42.77")
        with Daemon(*words, ready="", environment=second.environment):
            assert second.wait_for("READY=1")[1].startswith("STATUS=standing by in 239.255.42.77")
            leader.stop()
            second.wait_for_status("leading 239.255.42.77")


def test_the_watchdog_hears_of_it_in_time_while_the_loop_turns(tmp_path: Path) -> None:
    with (
        Supervisor(str(tmp_path / "notify"), watchdog=0.5) as supervisor,
        Daemon("--socket-name", str(tmp_path / "sock"), ready="", environment=supervisor.environment),
    ):
        supervisor.wait_for("READY=1")
        for _ in range(3):
            before = time.monotonic()
            supervisor.wait_for("WATCHDOG=1")
            assert time.monotonic() - before < 0.5


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca", "Test authority")


def serial_of(port: int, files: Files) -> str:
    """Return the serial number of the certificate that is shown at C{port}."""
    context = ssl.create_default_context(cafile=files.authority)
    context.check_hostname = False
    context.load_cert_chain(files.certificate, files.key)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain) as secured,
    ):
        shown = secured.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"])


def test_sighup_has_new_connections_use_the_new_certificate(
    tmp_path: Path, programs: Programs, supervisor: Supervisor, authority: Authority
) -> None:
    files, renewed, port = authority.issue("server"), authority.issue("renewed"), free_port()
    where = ["-a", "127.0.0.1", "-p", str(port)]
    words = [*where, "--state", str(tmp_path / "state"), *files.options()]
    with Daemon(*words, ready="", environment=supervisor.environment) as daemon:
        supervisor.wait_for("READY=1")
        before = serial_of(port, renewed)
        holder = programs.start(*where, *files.options("-d", "0", "--", "sh", "-c", "echo in; read x"))
        assert holder.line() == "in"

        shutil.copy(renewed.certificate, files.certificate)
        daemon.process.send_signal(signal.SIGHUP)  # the key is not the certificate's yet
        assert supervisor.wait_for("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
        assert supervisor.hear() == ["READY=1"]
        assert serial_of(port, renewed) == before

        shutil.copy(renewed.key, files.key)
        daemon.process.send_signal(signal.SIGHUP)
        supervisor.wait_for("RELOADING=1")
        assert supervisor.hear() == ["READY=1"]
        assert serial_of(port, renewed) != before
        holder.say("")
        assert holder.wait() == 0  # its connection is the one of before
        daemon.stop()
    assert "not reloaded, the files of before stay in use: tls-private-key: " in daemon.log
    assert "reloaded: new connections use the TLS files as they are now" in daemon.log


def test_a_daemon_of_a_command_does_not_speak_for_the_unit(
    tmp_path: Path, programs: Programs, supervisor: Supervisor
) -> None:
    """The command itself may: its environment is that of C{flom-run}."""
    environment = supervisor.environment | {"WATCHDOG_USEC": "100000"}
    words = ["-s", str(tmp_path / "sock"), "--", "sh", "-c", 'echo "$NOTIFY_SOCKET"']
    done = programs.run(*words, environment=environment)
    assert done.stdout == f"{environment['NOTIFY_SOCKET']}\n"
    [pid] = programs.daemons()
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert not [each for each in variables if each.startswith((b"NOTIFY_SOCKET=", b"WATCHDOG_"))]
    assert supervisor.is_told_nothing()


@needs_systemd
def test_systemd_s_own_activation_hands_over_sockets_of_all_kinds(tmp_path: Path, programs: Programs) -> None:
    """A UNIX socket, IPv4 and IPv6 under one name, as units with several ListenStream= have them."""
    path, port = str(tmp_path / "flom.sock"), free_port()
    places = [path, f"127.0.0.1:{port}", f"[::1]:{port}"]
    words = ["systemd-socket-activate", *(f"--listen={place}" for place in places), "--fdname=flom:flom:flom"]
    words += [str(BIN / "twistd"), "-n", "--pidfile=", "flom", "--listen", "systemd:name=flom"]
    words += ["--state", str(tmp_path / "state")]
    running = programs.start_program(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: os.path.exists(path), "a socket")
    with connect(path) as holder:  # which starts the daemon
        assert ask(holder, lock()) == b"0"
        for address in (("127.0.0.1", port), ("::1", port)):
            with connect(address) as other:
                assert ask(other, lock(wait=0)) == b"4"  # one daemon, one lock table
        command = [FLOM_RUN, "-s", path, "-d", "0", "-o", "0", "--", "true"]
        assert subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode == 0
    running.signal(signal.SIGTERM)
    running.wait()
    assert os.path.exists(path)
