"""A real daemon on real sockets: where it listens, what its sockets are like, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from flom.tap import Options, daemon_from
from tests.fakes.connections import lock, unlock, xml
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.pipes import read_all
from tests.fakes.programs import PATIENCE, eventually, free_port
from tests.fakes.reactors import MemoryReactor

TWISTD = [str(BIN / "twistd"), "-n", "--pidfile="]


def connect(address: str | tuple[str, int]) -> socket.socket:
    """Connect to a path or to a host and port."""
    if isinstance(address, tuple):
        return socket.create_connection(address, timeout=10)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(address)
    return connection


def ask(connection: socket.socket, message: bytes) -> bytes:
    """Send C{message} and give the code of the answer."""
    connection.sendall(message)
    return code(connection)


def code(connection: socket.socket) -> bytes:
    """Return the code of the next answer; nothing if there is none any more."""
    data = b""
    while b"</msg>" not in data:
        try:
            more = connection.recv(1)
        except ConnectionResetError:
            more = b""
        if not more:
            return b""
        data += more
    return data.partition(b'rc="')[2].partition(b'"')[0]


def test_all_listeners_share_one_arbiter(tmp_path: Path) -> None:
    port, path, other_path = free_port(), str(tmp_path / "a"), str(tmp_path / "b")
    arguments = ["--socket-name", path, "--unicast-address", "127.0.0.1", "--unicast-address", "::1"]
    arguments += ["--unicast-port", str(port), "--listen", f"unix:{other_path}"]
    with Daemon(*arguments, ready=f"on {other_path}"):
        addresses: list[str | tuple[str, int]] = [path, ("127.0.0.1", port), ("::1", port), other_path]
        holder = connect(path)
        assert ask(holder, lock()) == b"0"
        waiters = [connect(address) for address in addresses]
        assert [ask(waiter, lock()) for waiter in waiters] == [b"1"] * 4
        for previous, waiter in zip([holder, *waiters], waiters, strict=False):
            previous.sendall(unlock())
            assert code(waiter) == b"0"


@pytest.mark.parametrize(
    "breach", [b"hello</msg>", xml(3, 8), unlock(), b"\0" * 600, lock(mode=99), xml(2, 16), lock()[:40]]
)
def test_whoever_breaks_the_protocol_harms_nobody_else(breach: bytes, daemon: Daemon) -> None:
    holder, waiter = connect(daemon.socket), connect(daemon.socket)
    assert ask(holder, lock()) == b"0"
    assert ask(waiter, lock()) == b"1"
    offender = connect(daemon.socket)
    offender.sendall(breach)
    offender.shutdown(socket.SHUT_WR)
    assert code(offender) == b""
    holder.close()
    assert code(waiter) == b"0"


def test_a_peer_that_sends_no_end_is_cut_off(daemon: Daemon) -> None:
    offender = connect(daemon.socket)
    offender.sendall(b"<" * 512)
    assert code(offender) == b""


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "flom.sock")
    with Daemon("--socket-name", path) as killed:
        killed.process.kill()
        killed.process.wait(PATIENCE)
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    with Daemon("--socket-name", path):
        assert ask(connect(path), lock()) == b"0"


def test_a_taken_path_ends_the_second_daemon_with_one_line(daemon: Daemon) -> None:
    second = subprocess.run(
        [*TWISTD, "flom", "--socket-name", daemon.socket], capture_output=True, text=True, timeout=60
    )
    assert second.returncode != 0
    assert second.stderr == f"twistd flom: {daemon.socket}: another daemon is listening there\n"
    assert ask(connect(daemon.socket), lock()) == b"0"


@pytest.mark.parametrize("option", ["--unicast-address", "--listen"])
def test_a_taken_port_ends_the_daemon_with_one_line(option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        where = ["127.0.0.1", "--unicast-port", port]
        if option == "--listen":
            where = [f"tcp:{port}:interface=127.0.0.1"]
        second = subprocess.run([*TWISTD, "flom", option, *where], capture_output=True, text=True, timeout=60)
    assert second.returncode != 0
    assert second.stderr.count("\n") == 1
    assert port in second.stderr
    assert "in use" in second.stderr.lower()


def test_a_port_that_is_none_ends_the_daemon_with_one_line() -> None:
    refused = subprocess.run([*TWISTD, "flom", "--listen", "tcp:99999999"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "65535" in refused.stderr


def test_in_the_background_too_a_failed_start_is_explained(tmp_path: Path) -> None:
    """A daemon that goes to the background says first, to the terminal, why it cannot start."""
    background = [str(BIN / "twistd"), f"--pidfile={tmp_path / 'pid'}", f"--logfile={tmp_path / 'log'}"]
    where = f"unix:{tmp_path / 'nowhere' / 'flom.sock'}"
    refused = subprocess.run([*background, "flom", "--listen", where], capture_output=True, text=True, timeout=30)
    assert refused.returncode == 1
    assert "No such file or directory" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_of_daemons_that_start_at_once_one_wins_and_the_others_say_so(tmp_path: Path) -> None:
    path = str(tmp_path / "flom.sock")
    starters = [
        subprocess.Popen(
            [*TWISTD, "flom", "--socket-name", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        starting, losers = [*starters], list[int]()
        while len(losers) < 3:
            eventually(lambda: any(starter.poll() is not None for starter in starting), "the end of one")
            [loser, *_] = [starter for starter in starting if starter.returncode is not None]
            starting.remove(loser)
            losers.append(loser.returncode)
            assert read_all(loser.stderr) == f"twistd flom: {path}: another daemon is listening there\n".encode()
        assert losers == [1, 1, 1]
        assert ask(connect(path), lock()) == b"0"
    finally:
        for starter in starters:
            if starter.returncode is None:
                starter.kill()
            starter.communicate(timeout=PATIENCE)


def test_a_socket_whose_path_was_named_is_open_to_all(daemon: Daemon) -> None:
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o777


def test_the_default_socket_is_its_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "flom-somebody")
    monkeypatch.setattr("flom.tap.private_sockets", lambda: [f"\0{path}", path])
    options = Options()
    options.parseOptions([])
    daemon_from(options, MemoryReactor())
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_sigterm_ends_it_in_good_order(daemon: Daemon) -> None:
    holder, waiter = connect(daemon.socket), connect(daemon.socket)
    assert ask(holder, lock()) == b"0"
    assert ask(waiter, lock()) == b"1"
    assert daemon.stop() == -signal.SIGTERM  # when all is done, twistd lets the signal have its way
    assert code(waiter) == b""  # it is not granted what the holder's command still uses
    assert code(holder) == b""
    assert not os.path.exists(daemon.socket)


def test_an_immediate_shutdown_is_like_sigterm(daemon: Daemon) -> None:
    holder = connect(daemon.socket)
    assert ask(holder, lock()) == b"0"
    connect(daemon.socket).sendall(xml(5, 8, '<shutdown immediate="1"/>'))
    assert daemon.process.wait(30) == 0
    assert code(holder) == b""
    assert not os.path.exists(daemon.socket)


def test_it_ends_after_its_lifespan(tmp_path: Path) -> None:
    path = str(tmp_path / "flom.sock")
    with Daemon("--socket-name", path, "--daemon-lifespan", "100") as daemon:
        client = connect(path)
        assert ask(client, lock()) == b"0"
        client.close()
        assert daemon.process.wait(30) == 0
    assert not os.path.exists(path)


def test_it_is_found_under_its_name(daemon: Daemon) -> None:
    assert Path(f"/proc/{daemon.process.pid}/comm").read_text() == "flom\n"


@pytest.mark.parametrize(
    ("names", "description"),
    [
        ("LISTEN_FDNAMES='flom'", "systemd:domain=UNIX:index=0"),
        ("LISTEN_FDNAMES='flom'", "systemd:domain=INET:name=flom"),
        ("FLOM_X=''", "systemd:domain=UNIX:index=0"),
        ("FLOM_X=''", "systemd:index=0"),
    ],
    ids=["", "another domain", "no names", "no domain"],
)
def test_systemd_may_open_its_socket_which_stays_as_it_is(tmp_path: Path, names: str, description: str) -> None:
    path = str(tmp_path / "flom.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        os.chmod(path, 0o600)
        activate = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            f"os.environ.update(LISTEN_FDS='1', {names}, LISTEN_PID=str(os.getpid()));"
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        daemon = subprocess.Popen(
            [sys.executable, "-c", activate, str(listening.fileno()), *TWISTD, "flom"] + ["--listen", description],
            pass_fds=[listening.fileno()],
            stdout=subprocess.DEVNULL,
        )
    try:
        assert ask(connect(path), lock()) == b"0"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    finally:
        daemon.terminate()
        daemon.wait(30)
    assert os.path.exists(path)  # systemd goes on listening


@pytest.mark.parametrize("option", ["--listen", "--http"])
@pytest.mark.parametrize(
    ("description", "why"),
    [
        ("ssl:0:privateKey=/no/such", "/no/such: no such file or directory"),
        ("ssl:0:privateKey=/dev/null", "its key or certificate cannot be used: "),
        ("stdio:", "clients cannot connect to it"),
        ("haproxy:stdio:", "clients cannot connect to it"),
        ("systemd:index=0", "this process was passed no sockets (LISTEN_FDS and LISTEN_PID say which)"),
        ("tcp:", ""),
        ("nothing:1", "Unknown endpoint type: 'nothing'"),
        ("9180", "Unknown endpoint type: '9180'; tcp:9180 is one\n"),
        ("127.0.0.1:9180", "Unknown endpoint type: '127.0.0.1'; tcp:9180:interface=127.0.0.1 is one\n"),
    ],
)
def test_an_endpoint_that_is_none_is_an_error_in_one_line(option: str, description: str, why: str) -> None:
    done = subprocess.run([*TWISTD, "flom", option, description], capture_output=True, text=True, timeout=30)
    prefix = f"twistd flom: {option[2:]}: '{description}' is no endpoint: {why}"
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith(prefix)


def test_a_hangup_does_not_end_it(daemon: Daemon) -> None:
    holder = connect(daemon.socket)
    assert ask(holder, lock()) == b"0"
    daemon.process.send_signal(signal.SIGHUP)
    assert ask(connect(daemon.socket), lock(wait=0)) == b"4"


def test_every_address_of_both_families_may_be_listened_on(tmp_path: Path) -> None:
    port = free_port()
    words = ["--unicast-address", "0.0.0.0", "--unicast-address", "::", "--unicast-port", str(port)]
    with Daemon(*words, "--state", str(tmp_path / "state")):
        holder = connect(("127.0.0.1", port))
        assert ask(holder, lock()) == b"0"
        assert ask(connect(("::1", port)), lock(wait=0)) == b"4"
