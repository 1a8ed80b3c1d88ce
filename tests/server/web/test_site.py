"""The site: headers, whose page it is, connections, and a real daemon that serves it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure

from flom.server.web import resources, site
from flom.server.web.site import IDLE_TIME, MAX_CONNECTIONS, web_service
from flom.status.json import from_json
from tests.fakes.connections import Transport
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.programs import free_port
from tests.fakes.reactors import MemoryReactor
from tests.fakes.web import Reply, Web, read_reply
from tests.server.web.test_resources import PATHS


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
def test_every_answer_has_the_same_strict_headers(web: Web, path: str) -> None:
    headers = web.ask(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "date" in headers
    assert "server" not in headers


def test_a_request_that_is_none_ends_the_connection(web: Web) -> None:
    channel, transport = web.connect()
    channel.dataReceived(b"\x16\x03\x01 hello\r\n")
    assert transport.value().startswith(b"HTTP/1.1 400 ")
    assert transport.disconnecting


def test_what_is_sent_along_is_not_kept(web: Web) -> None:
    channel, transport = web.connect()
    channel.dataReceived(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(10):
        [request] = channel.requests
        assert request.content.getvalue() == b""
        channel.dataReceived(b"x" * 100_000)
    assert read_reply(transport.value()).code == 405


def test_a_fault_of_ours_is_logged_and_told_in_two_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Log:
        failures: list[Failure] = []

        def failure(self, format: str, failure: Failure, **fields: Any) -> None:
            self.failures.append(failure)

    monkeypatch.setattr(site, "_log", Log())
    monkeypatch.setattr(resources, "take_metrics", lambda arbiter, counters, clock: 1 / 0)
    reply = Web().ask("/metrics")
    assert (reply.code, reply.phrase, reply.body) == (500, "Internal Server Error", b"internal error\n")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert [failure.type for failure in Log.failures] == [ZeroDivisionError]


# whose page it is


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:9180",
        "localhost.",
        "flom.localhost:1",
        "127.0.0.1:9180",
        "[::1]:9180",
        "[::1]",
        "10.0.0.1",
    ]
    + [socket.gethostname(), None],
)
def test_on_loopback_we_go_by_addresses_and_our_own_names(web: Web, host: str | None) -> None:
    assert web.ask("/status.json", host=host).code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9180", "localhost.evil.example", "[evil", "", "127.0.0.1.x"]
)
@pytest.mark.parametrize("path", ["/", "/status.json", "/nowhere"])
def test_a_strangers_name_for_loopback_is_refused(web: Web, path: str, host: str) -> None:
    reply = web.ask(path, host=host)
    assert (reply.code, reply.phrase, reply.body) == (421, "Misdirected Request", b"no such host here\n")


@pytest.mark.parametrize("address", [IPv4Address("TCP", "192.0.2.1", 9180), UNIXAddress(b"/run/flom-http")], ids=str)
def test_elsewhere_any_name_will_do(web: Web, address: Any) -> None:
    assert web.ask("/healthz", host="flom.example", address=address).code == 200


# connections


def test_there_are_only_so_many_connections(web: Web) -> None:
    connections = [web.connect()[0] for _ in range(MAX_CONNECTIONS)]
    assert web.site.buildProtocol(None) is None
    connections[0].connectionLost()
    assert web.site.buildProtocol(None) is not None


def test_they_never_take_more_than_half_of_the_descriptors_that_are_kept(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flom.server.web.site.reserve", lambda: 10)
    connections = [web.connect()[0] for _ in range(5)]
    assert web.site.buildProtocol(None) is None
    assert len(connections) == 5


def test_a_connection_may_be_used_again(web: Web) -> None:
    channel, transport = web.connect()
    for _ in range(3):
        transport.clear()
        channel.dataReceived(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        web.settle()
        assert read_reply(transport.value()).code == 200
    assert not transport.disconnecting


@pytest.mark.parametrize("request_line", [b"", b"GET / HTT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_connection_that_says_nothing_is_closed(web: Web, request_line: bytes) -> None:
    channel, transport = web.connect()
    channel.dataReceived(request_line)
    web.clock.advance(IDLE_TIME - 1)
    assert not transport.disconnecting
    web.clock.advance(2)
    assert transport.disconnecting
    web.clock.advance(30)
    assert transport.aborted


def test_a_client_that_does_not_read_the_last_answer_is_sent_away(web: Web) -> None:
    channel, transport = web.connect()
    channel.dataReceived(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert transport.disconnecting
    web.clock.advance(IDLE_TIME - 1)
    assert not transport.aborted
    web.clock.advance(2)
    assert transport.aborted


def test_a_client_that_does_not_read_is_not_read_either(web: Web) -> None:
    channel, transport = web.connect()
    channel.pauseProducing()  # its transport has more to write than it wants to
    for _ in range(100):
        channel.dataReceived(b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert transport.producerState == "paused"


def test_a_service_that_stops_closes_all_connections(web: Web) -> None:
    reactor = MemoryReactor()
    service = web_service(reactor, TCP4ServerEndpoint(reactor, 9180, interface="127.0.0.1"), web.arbiter, web.counters)
    service.privilegedStartService()
    service.startService()
    [(port, factory, _, interface)] = reactor.tcpServers
    assert (port, interface) == (9180, "127.0.0.1")
    channel = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 40000))
    assert channel is not None
    transport = Transport()
    channel.makeConnection(transport)
    service.stopService()
    assert transport.disconnecting


def test_a_start_fails_if_it_cannot_listen(web: Web) -> None:
    class Busy(MemoryReactor):
        def listenTCP(self, *arguments: Any, **named: Any) -> Any:
            raise CannotListenError("127.0.0.1", 9180, OSError("in use"))

    reactor = Busy()
    service = web_service(reactor, TCP4ServerEndpoint(reactor, 9180), web.arbiter, web.counters)
    with pytest.raises(CannotListenError):
        service.privilegedStartService()


# a real daemon


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Callable[[str], Reply]]:
    """Asks a daemon of its own for what is at a path."""
    port = free_port()
    with Daemon(
        "-s",
        str(tmp_path / "sock"),
        "--http",
        f"tcp:{port}:interface=127.0.0.1",
        ready=f"showing what is locked on 127.0.0.1:{port}",
    ):

        def ask(path: str) -> Reply:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", path)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            reply = Reply(answer.status, answer.reason, headers, answer.read())
            connection.close()
            return reply

        yield ask


@pytest.mark.parametrize("path", PATHS)
def test_a_real_daemon_answers(real: Callable[[str], Reply], path: str) -> None:
    reply = real(path)
    assert reply.code == 200
    assert "server" not in reply.headers
    if path == "/status.json":
        assert from_json(reply.body).daemon.role == ""


def test_a_port_that_is_taken_ends_the_daemon_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [str(BIN / "twistd"), "-n", "--pidfile=", f"--logfile={os.devnull}", "flom"]
            + ["-s", str(tmp_path / "sock"), "--http", f"tcp:{port}:interface=127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("twistd flom: ")
    assert str(port) in line


def test_without_prometheus_client_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text("raise ModuleNotFoundError(name='prometheus_client')\n")
    done = subprocess.run(
        [str(BIN / "twistd"), "-n", "--pidfile=", f"--logfile={os.devnull}", "flom"]
        + ["-s", str(tmp_path / "sock"), "--http", f"tcp:{free_port()}:interface=127.0.0.1"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr == "twistd flom: http needs prometheus_client: pip install 'txflom[web]'\n"
    assert not (tmp_path / "sock").exists()
