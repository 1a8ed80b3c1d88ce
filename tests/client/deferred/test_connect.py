"""Where a program may say that its daemon is, and what it is told if it is not there."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint

from flom.client import connect
from flom.codes import ReturnCode
from flom.config import Config
from flom.errors import ConfigError, DaemonUnreachable, FlomError, InvalidRequest, TlsError
from tests.fakes.daemon import Daemon

loop: Any = reactor


async def uses(where: Any, **more: Any) -> str:
    """Use a lock of the daemon that is C{where}; give how it names the daemon."""
    async with await connect(loop, where, **more) as locks, locks.acquire("R1"):
        with pytest.raises(FlomError) as busy:
            await locks.acquire("R1", wait=False)
    return str(busy.value).removeprefix("R1 at ").partition(": locked")[0]


@pytest_twisted.ensureDeferred
async def test_a_unix_socket(daemon: Daemon) -> None:
    path = daemon.socket
    assert await uses(f"unix:{path}") == f"unix:{path}"
    assert await uses(Config(socket_name=path)) == path
    await uses(UNIXClientEndpoint(loop, path))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_tcp_port(host: str) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
        port = free.getsockname()[1]
    with Daemon("--unicast-address", host, "--unicast-port", str(port)):
        await uses(Config(unicast_address=host, unicast_port=port))
        quoted = host.replace(":", r"\:")
        await uses(f"tcp:host={quoted}:port={port}")
        if host == "127.0.0.1":
            await uses(f"tcp:localhost:{port}")
            await uses(TCP4ClientEndpoint(loop, host, port))


@pytest_twisted.ensureDeferred
async def test_the_files_that_flom_run_reads(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / ".flom").write_text(f"[Daemon]\nSocketName={daemon.socket}\n")
    assert await uses(None) == daemon.socket


NOWHERE = "nowhere.invalid"


@pytest.mark.parametrize(
    ("where", "error", "text"),
    [
        ("no endpoint", ConfigError, "'no endpoint' is no client endpoint: "),
        ("tcp:", ConfigError, "'tcp:' is no client endpoint: "),
        ("/run/flom.sock", ConfigError, "'/run/flom.sock' is no client endpoint: "),
        (17, InvalidRequest, "17 is neither an endpoint nor a Config"),
        (Config(socket_name="/s", unicast_address="h"), ConfigError, "'/s' and unicast-address 'h' exclude each other"),
        (Config(multicast_address="192.0.2.1"), ConfigError, "'192.0.2.1' is not a multicast address"),
        (Config(tls_check_peer_id=True), ConfigError, "tls-check-peer-id needs"),
        ("unix:/nowhere/flom.sock", DaemonUnreachable, "unix:/nowhere/flom.sock: no daemon is listening"),
        (Config(socket_name="/nowhere/s"), DaemonUnreachable, "/nowhere/s: no daemon is listening"),
        ("tcp:127.0.0.1:1", DaemonUnreachable, "tcp:127.0.0.1:1: no daemon is listening"),
        (Config(unicast_address="127.0.0.1", unicast_port=1), DaemonUnreachable, "127.0.0.1:1: no daemon is listening"),
        (Config(unicast_address=NOWHERE), DaemonUnreachable, f"{NOWHERE}: no such host"),
        ("unix:/etc/passwd", DaemonUnreachable, "unix:/etc/passwd: no daemon is listening"),
        ("unix:/" + "x" * 107, ConfigError, "it has more than 107 bytes"),
        ("tcp:127.0.0.1:99999", ConfigError, "'tcp:127.0.0.1:99999' is no client endpoint: there is no such port"),
        ("tcp:a\nb:1", DaemonUnreachable, r"tcp:a\nb:1: no such host"),
    ],
    ids=str,
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_place_is_told_in_one_line(where: Any, error: type[FlomError], text: str) -> None:
    with pytest.raises(error) as told:
        await connect(loop, where)
    assert text in str(told.value)
    assert "\n" not in str(told.value)


@pytest_twisted.ensureDeferred
async def test_a_place_and_a_group_are_one_too_many() -> None:
    with pytest.raises(InvalidRequest, match="group '' is no address"):
        await connect(loop, group="")
    with pytest.raises(InvalidRequest, match="in one of them"):
        await connect(loop, "unix:/s", group="ff02::1")


@pytest_twisted.ensureDeferred
async def test_files_for_tls_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(TlsError, match=r"tls-certificate: '.*missing.pem' cannot be used"):
        await connect(loop, Config(tls_certificate=missing, tls_private_key=missing, tls_ca_certificate=missing))


@pytest_twisted.ensureDeferred
async def test_a_daemon_that_comes_back_is_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "flom.sock")
    with Daemon("--socket-name", path):
        locks = await connect(loop, f"unix:{path}")
        await (await locks.acquire("R1")).release()
    with pytest.raises(DaemonUnreachable) as gone:
        await locks.acquire("R1")
    assert str(gone.value) == f"R1: unix:{path}: no daemon is listening"
    assert gone.value.code is ReturnCode.CONNECT_ERROR
    with Daemon("--socket-name", path):
        await (await locks.acquire("R1")).release()
        await locks.close()
