"""
The ways to a daemon, without a reactor (docs/compatibility.md, "Ways to the daemon", "TCP connections").
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from flom.client.blocking.connection import connect
from flom.client.blocking.dial import NoDaemon, connect_to_first, is_listening
from flom.client.blocking.stream import NEVER
from flom.codes import ReturnCode
from flom.config import Config
from flom.core.group.discovery import FoundDaemon
from flom.core.protocol.messages import Discovered
from flom.errors import ConfigError, DaemonUnreachable, LockTimeout
from tests.fakes.daemon import Daemon
from tests.fakes.programs import free_port


@pytest.mark.parametrize("make", [lambda path: None, Path.touch], ids=["nothing", "a file"])
def test_no_daemon_is_there(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "flom.sock"
    make(path)
    with pytest.raises(NoDaemon, match=f"^{path}: no daemon is listening$") as caught:
        connect(Config(socket_name=str(path)))
    assert caught.value.code is ReturnCode.CONNECT_ERROR


def test_there_cannot_be_a_daemon(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DaemonUnreachable, match=r"file/flom.sock: not a directory") as caught:
        connect(Config(socket_name=str(tmp_path / "file" / "flom.sock")))
    assert not isinstance(caught.value, NoDaemon)


def test_the_default_socket_must_be_our_own(tmp_path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "flom-other"
    monkeypatch.setattr("flom.config.settings.default_socket", lambda: str(link))
    monkeypatch.setattr("flom.client.blocking.dial.private_sockets", lambda: [f"\0{link}", str(link)])
    link.symlink_to(daemon.socket)
    with pytest.raises(DaemonUnreachable, match="it belongs to uid"):
        connect(Config())
    connect(Config(socket_name=str(link))).close()  # a user who names it knows what it is


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[socket.socket]:
    """A UNIX socket that takes no more connections."""
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as first:
        listening.bind(str(tmp_path / "flom.sock"))
        listening.listen(0)
        first.connect(listening.getsockname())
        yield listening


def test_a_crowd_is_waited_for(crowded: socket.socket) -> None:
    config = Config(socket_name=crowded.getsockname())
    with pytest.raises(LockTimeout, match="not connected in time"):
        connect(config, deadline=monotonic() + 0.05)
    assert is_listening(socket.AF_UNIX, crowded.getsockname())
    with ThreadPoolExecutor() as threads:
        connecting = threads.submit(connect, config)
        crowded.accept()[0].close()
        connecting.result().close()


def test_a_crowd_at_one_address_of_a_user_is_passed_by_or_waited_for(
    crowded: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "other.sock")
    monkeypatch.setattr("flom.config.settings.default_socket", lambda: path)
    monkeypatch.setattr("flom.client.blocking.dial.private_sockets", lambda: [crowded.getsockname(), path])
    with Daemon("--socket-name", path):
        connect(Config()).close()
    with pytest.raises(LockTimeout):
        connect(Config(), deadline=monotonic() + 0.05)


def test_over_tcp_a_dead_daemon_is_noticed_and_nothing_is_delayed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        config = Config(unicast_address="127.0.0.1", unicast_port=port, keepalive_time=7)
        conversation = connect(config)
        assert conversation.peer == f"127.0.0.1:{port}"
        with socket.socket(fileno=os.dup(conversation.fileno())) as connected:
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
        conversation.close()


def test_all_addresses_of_a_host_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr("_socket.getaddrinfo", lambda *_: found)
        connect(Config(unicast_address="somewhere", unicast_port=port)).close()


def test_no_daemon_is_there_over_tcp() -> None:
    port = free_port()
    with pytest.raises(NoDaemon, match=f"127.0.0.1:{port}: no daemon is listening: connection refused"):
        connect(Config(unicast_address="127.0.0.1", unicast_port=port))


def test_there_is_no_such_host() -> None:
    with pytest.raises(DaemonUnreachable, match="no such host") as caught:
        connect(Config(unicast_address="x" * 64))
    assert caught.value.code is ReturnCode.GETADDRINFO_ERROR
    assert not isinstance(caught.value, NoDaemon)


def test_there_is_no_such_interface() -> None:
    with pytest.raises(ConfigError, match="nosuch0"):
        connect(Config(unicast_address="127.0.0.1", network_interface="nosuch0"))


def test_by_an_interface_only_ipv6_is_spoken() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        port = listening.getsockname()[1]
        config = Config(unicast_address="::1", unicast_port=port, network_interface="lo")
        connect(config).close()
        with pytest.raises(DaemonUnreachable, match="no such host"):
            connect(Config(unicast_address="127.0.0.1", unicast_port=port, network_interface="lo"))


def test_of_several_leaders_the_first_that_takes_connections_is_taken() -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        gone, there = (
            FoundDaemon("127.0.0.1", port, Discovered("", port), ("127.0.0.1", 28015))
            for port in (free_port(), listening.getsockname()[1])
        )
        connected, peer = connect_to_first([gone, there], NEVER, said.append)
        connected.close()
    assert peer == there.peer
    assert said == [f"{gone.peer} answers, but cannot be connected to: connection refused"]
    with pytest.raises(DaemonUnreachable, match=gone.peer):
        connect_to_first([gone], NEVER, said.append)
    assert not is_listening(socket.AF_INET, ("127.0.0.1", gone.port))
