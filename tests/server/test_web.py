"""What the daemon shows over HTTP: paths, headers, metrics, health; what it costs, and what it does to nobody."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from flom.core.locks.statistics import BOUNDS, MEMORY
from flom.core.protocol.messages import Role
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.snapshot import take_status
from flom.server.web import serving, snapshots, web_service
from flom.server.web.answers import Answers
from flom.server.web.serving import IDLE_TIME, MAX_CONNECTIONS, WebFactory
from flom.server.web.snapshots import LIFETIME, SHARE, Snapshots
from flom.status.json import from_json
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.programs import free_port

PATHS = {
    "/": "text/html",
    "/page.js": "text/javascript",
    "/page.css": "text/css",
    "/icon.svg": "image/svg+xml",
    "/status.json": "application/json",
    "/page.json": "application/json",
    "/metrics": "text/plain",
    "/healthz": "text/plain",
}


class Transport(StringTransport):
    """A transport whose connection may be thrown away."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


@dataclass
class Reply:
    """An answer as it came over the connection."""

    code: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Web:
    """
    All of it without a network.

    @ivar clock: what time it is, for everything.
    """

    clock: Clock = field(default_factory=Clock)
    counters: Counters = field(default_factory=lambda: Counters(started=1000.5))

    def __post_init__(self) -> None:
        self.arbiter = DeferredArbiter(self.clock)
        self.snapshots = Snapshots(self.clock, self.arbiter, self.counters)
        self.factory = WebFactory(self.clock, Answers(self.arbiter, self.counters, self.snapshots))

    def connect(self, address: Any = None) -> tuple[Any, Transport]:
        """Give a connection to C{address} of ours, and what is written to it."""
        transport = Transport(address or IPv4Address("TCP", "127.0.0.1", 9180), IPv4Address("TCP", "127.0.0.1", 40000))
        channel = self.factory.buildProtocol(None)
        assert channel is not None
        channel.makeConnection(transport)
        return channel, transport

    def ask(self, path: str, method: str = "GET", host: str | None = "localhost:9180", address: Any = None) -> Reply:
        """Send a request of its own connection."""
        channel, transport = self.connect(address)
        named = "" if host is None else f"Host: {host}\r\n"
        channel.dataReceived(f"{method} {path} HTTP/1.1\r\n{named}\r\n".encode())
        self.settle()
        reply = read(transport.value())
        channel.connectionLost()
        return reply

    def settle(self) -> None:
        """Have everything done that is to be done at once."""
        for _ in range(100):
            self.clock.advance(0)

    def metrics(self) -> dict[str, float]:
        """Give each metric, as Prometheus would read them."""
        families = text_string_to_metric_families(self.ask("/metrics").body.decode())
        samples = [sample for family in families for sample in family.samples]
        found = {sample.name + spell(sample.labels): sample.value for sample in samples}
        assert len(found) == len(samples)
        return found


def spell(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{name}={value}" for name, value in labels.items()) + "}" if labels else ""


def read(data: bytes) -> Reply:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    _, code, phrase = first.split(" ", 2)
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Reply(int(code), phrase, headers, body)


@pytest.fixture
def web() -> Web:
    return Web()


def noting(name: str, write: Callable[..., Any], noted: list[str]) -> Callable[..., Any]:
    """Give C{write}, which notes its name every time."""

    def write_and_note(*arguments: Any) -> Any:
        noted.append(name)
        return write(*arguments)

    return write_and_note


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was made so far."""
    found: list[str] = []
    for name in ("write_status", "write_metrics"):
        monkeypatch.setattr(snapshots, name, noting(name, getattr(snapshots, name), found))
    return found


def lock_some(web: Web) -> None:
    """Have locks held, waited for, refused and given back."""
    backup = web.arbiter.acquire("backup")
    for _ in range(3):
        web.arbiter.acquire("backup")
    web.arbiter.acquire("seats[5]", quantity=2)
    web.arbiter.acquire("later", create=False)
    web.arbiter.acquire("seats[5]", quantity=9, wait=False).addErrback(lambda _: None)
    web.arbiter.acquire("backup", wait=False).addErrback(lambda _: None)
    web.clock.advance(0.7)
    backup.addCallback(lambda held: held.release())
    web.clock.advance(3)


# paths, methods, headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_each_path_answers(web: Web, path: str, method: str) -> None:
    reply = web.ask(path, method)
    assert (reply.code, reply.phrase) == (200, "OK")
    assert reply.headers["content-type"].split(";")[0] == PATHS[path]
    assert bool(reply.body) is (method == "GET")
    assert reply.headers["content-length"] == str(len(web.ask(path).body))


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


@pytest.mark.parametrize("path", ["/nowhere", "/status", "/status.json/", "//", "/../page.js", "/%2e%2e/page.js", "*"])
def test_other_paths_are_not_found(web: Web, path: str) -> None:
    reply = web.ask(path)
    assert (reply.code, reply.phrase, reply.body) == (404, "Not Found", b"not found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "X"])
@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics"])
def test_other_methods_are_not_allowed(web: Web, path: str, method: str) -> None:
    reply = web.ask(path, method)
    assert (reply.code, reply.phrase, reply.body) == (405, "Method Not Allowed", b"method not allowed\n")
    assert reply.headers["allow"] == "get, head"


def test_a_query_is_passed_over(web: Web) -> None:
    assert web.ask("/healthz?x=1&y").code == 200


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
    assert read(transport.value()).code == 405


def test_a_fault_of_ours_is_logged_and_told_in_two_words(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    class Log:
        failures: list[Failure] = []

        def failure(self, format: str, failure: Failure, **fields: Any) -> None:
            self.failures.append(failure)

    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(serving._Request, "_log", Log())
    monkeypatch.setattr(web.snapshots, "metrics", fail)
    reply = web.ask("/metrics")
    assert (reply.code, reply.phrase, reply.body) == (500, "Internal Server Error", b"internal error\n")
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


# the status


def test_the_status_is_what_everybody_is_told(web: Web) -> None:
    lock_some(web)
    reply = web.ask("/status.json")
    assert from_json(reply.body) == take_status(web.arbiter, web.counters)


def test_names_travel_as_they_are(web: Web) -> None:
    web.arbiter.acquire("/<script>alert(1)</script>")
    [resource] = json.loads(web.ask("/status.json").body)["resources"]
    assert resource["name"] == "/<script>alert(1)</script>"


def test_the_page_is_told_the_past_second_by_second(web: Web) -> None:
    web.clock.advance(1000)
    first = web.arbiter.acquire("backup")
    web.arbiter.acquire("backup")
    web.clock.advance(2)
    first.addCallback(lambda held: held.release())
    web.clock.advance(10)
    found = json.loads(web.ask("/page.json").body)
    assert len(found["granted"]) == len(found["waited"]) == MEMORY - 1
    assert found["granted"][-12] == 1
    assert (found["granted"][-10], found["waited"][-10]) == (1, 2.0)
    assert sum(found["granted"]) == 2
    web.clock.advance(MEMORY)
    assert sum(json.loads(web.ask("/page.json").body)["granted"]) == 0


def test_the_page_is_told_the_rule_of_the_locks(web: Web) -> None:
    compatible = json.loads(web.ask("/page.json").body)["compatible"]
    assert compatible["EX"] == ["NL"]
    assert set(compatible["PR"]) == {"NL", "CR", "PR"}


@pytest.mark.parametrize(("path", "maker"), [("/status.json", "write_status"), ("/metrics", "write_metrics")])
def test_many_looks_cost_one(web: Web, made: list[str], path: str, maker: str) -> None:
    bodies = {web.ask(path).body for _ in range(20)}
    assert (made, len(bodies)) == ([maker], 1)
    web.arbiter.acquire("backup")
    web.clock.advance(LIFETIME)
    assert web.ask(path).body not in bodies
    assert made == [maker] * 2


def test_who_asks_while_it_is_being_made_gets_the_same(web: Web, made: list[str]) -> None:
    bodies: list[bytes] = []
    for _ in range(3):
        web.snapshots.as_json().addCallback(bodies.append)
    assert bodies == []  # it is made bit by bit, so that grants may come between
    web.settle()
    assert len(bodies) == 3
    assert made == ["write_status"]


def test_what_took_long_is_shown_for_longer(web: Web, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: Any) -> bytes:
        made.append("slow")
        web.clock.advance(0.5)
        return b""

    monkeypatch.setattr(snapshots, "write_metrics", write)
    web.snapshots.metrics()
    web.clock.advance(SHARE * 0.5 - 0.1)
    web.snapshots.metrics()
    assert made == ["slow"]
    web.clock.advance(0.2)
    web.snapshots.metrics()
    assert made == ["slow"] * 2


def test_a_fault_while_it_is_made_is_told_to_all_and_the_next_try_may_go_well(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: Deferred[bytes] = Deferred()
    tries = [first, succeed(b"{}")]
    monkeypatch.setattr(snapshots, "write_status", lambda *_: tries.pop(0))
    told: list[Any] = []
    for _ in range(2):
        web.snapshots.as_json().addErrback(lambda failure: told.append(failure.type))
    first.errback(ZeroDivisionError())
    assert told == [ZeroDivisionError] * 2
    web.snapshots.as_json().addCallback(told.append)
    assert told[2:] == [b"{}"]


def test_who_has_left_before_the_answer_is_no_trouble(web: Web) -> None:
    channel, transport = web.connect()
    channel.dataReceived(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    channel.connectionLost()
    web.clock.advance(1)
    assert transport.value() == b""


# metrics


def test_metrics_tell_what_the_snapshot_tells(web: Web) -> None:
    lock_some(web)
    web.counters.connections, web.counters.protocol_errors, web.counters.discoveries = 12, 3, 4
    status, metrics = take_status(web.arbiter, web.counters), web.metrics()
    counts = status.daemon.counts
    assert metrics[f"flom_info{{version={status.daemon.version}}}"] == 1
    assert metrics["flom_start_time_seconds"] == 1000.5
    assert metrics["flom_resources"] == len(status.resources) == 2
    assert metrics["flom_holders"] == sum(len(resource.holders) for resource in status.resources) == 2
    assert metrics["flom_waiters"] == sum(len(resource.waiters) for resource in status.resources) == 2
    assert metrics["flom_incubated"] == len(status.incubator) == 1
    assert metrics["flom_connections"] == status.daemon.connected == 5
    assert metrics["flom_connections_total"] == 12
    assert metrics["flom_protocol_errors_total"] == 3
    assert metrics["flom_discovery_requests_total"] == 4
    assert metrics["flom_grants_total"] == counts.granted == 3
    assert metrics["flom_refusals_total{reason=busy}"] == counts.refused["busy"] == 1
    assert metrics["flom_refusals_total{reason=impossible}"] == counts.refused["impossible"] == 1
    assert metrics["flom_refusals_total{reason=cannot_wait}"] == 0
    assert metrics["flom_wait_seconds_count"] == 3
    assert metrics["flom_wait_seconds_sum"] == counts.waited_seconds == 0.7
    assert metrics["flom_hold_seconds_count"] == 1
    assert metrics["flom_hold_seconds_sum"] == counts.held_seconds == 0.7


def test_buckets_count_those_below_them_too(web: Web) -> None:
    lock_some(web)
    metrics = web.metrics()
    waits = {bound: metrics[f"flom_wait_seconds_bucket{{le={bound}}}"] for bound in (*BOUNDS, "+Inf")}
    assert list(waits.values()) == [2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]


def test_no_name_of_a_resource_is_a_label(web: Web) -> None:
    web.arbiter.acquire("secret")
    assert b"secret" not in web.ask("/metrics").body


@pytest.mark.parametrize("role", ["", *(role.value for role in Role)])
def test_one_role_is_the_present_one(web: Web, role: str) -> None:
    web.counters.role = role
    present = {name: value for name, value in web.metrics().items() if name.startswith("flom_role")}
    assert len(present) == 1 + len(Role)
    assert [name for name, value in present.items() if value] == [f"flom_role{{role={role or 'none'}}}"]


def test_two_daemons_in_one_process_do_not_mix(web: Web) -> None:
    other = Web()
    other.arbiter.acquire("backup")
    assert (web.metrics()["flom_holders"], other.metrics()["flom_holders"]) == (0, 1)


def test_without_http_nobody_waits_for_the_libraries() -> None:
    libraries = "{'prometheus_client', 'twisted.web', 'flom.server.web'}"
    code = f"import sys, flom.tap; sys.exit(bool({libraries} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# health


@pytest.mark.parametrize(
    ("group", "role", "code", "word"),
    [
        ("", "", 200, "ok"),
        ("239.255.42.42:28015", "leader", 200, "ok"),
        ("239.255.42.42:28015", "standby", 503, "standby"),
        ("239.255.42.42:28015", "candidate", 503, "candidate"),
        ("239.255.42.42:28015", "leaving", 503, "leaving"),
        ("239.255.42.42:28015", "", 503, "candidate"),
    ],
)
def test_healthy_is_where_locks_are_granted(web: Web, group: str, role: str, code: int, word: str) -> None:
    web.counters.group, web.counters.role = group, role
    reply = web.ask("/healthz")
    assert (reply.code, reply.body) == (code, f"{word}\n".encode())


def test_a_daemon_that_ends_is_not_healthy(web: Web) -> None:
    web.arbiter.close()
    reply = web.ask("/healthz")
    assert (reply.code, reply.phrase, reply.body) == (503, "Service Unavailable", b"closed\n")


# connections


def test_there_are_only_so_many_connections(web: Web) -> None:
    connections = [web.connect()[0] for _ in range(MAX_CONNECTIONS)]
    assert web.factory.buildProtocol(None) is None
    connections[0].connectionLost()
    assert web.factory.buildProtocol(None) is not None


def test_they_never_take_more_than_half_of_the_descriptors_that_are_kept(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flom.server.web.serving.reserve", lambda: 10)
    connections = [web.connect()[0] for _ in range(5)]
    assert web.factory.buildProtocol(None) is None
    assert len(connections) == 5


def test_a_connection_may_be_used_again(web: Web) -> None:
    channel, transport = web.connect()
    for _ in range(3):
        transport.clear()
        channel.dataReceived(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        web.settle()
        assert read(transport.value()).code == 200
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


def test_who_does_not_read_the_last_answer_is_sent_away_too(web: Web) -> None:
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


def test_a_service_that_stops_sends_everybody_away(web: Web) -> None:
    reactor = MemoryReactorClock()
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
    class Busy(MemoryReactorClock):
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
    with Daemon("-s", str(tmp_path / "sock"), "--http", f"tcp:{port}:interface=127.0.0.1", ready="WebFactory starting"):

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
