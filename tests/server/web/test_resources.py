"""What there is to see, by path."""

from __future__ import annotations

import json

import pytest

from flom.core.locks.statistics import MEMORY
from flom.core.modes import LockMode
from flom.server.snapshot import take_status
from flom.server.web.cache import LIFETIME
from flom.status.json import from_json
from flom.status.model import QuorumStatus
from tests.fakes.web import Web, lock_some

PATHS = {
    "/": "text/html",
    "/page.js": "text/javascript",
    "/page.css": "text/css",
    "/icon.svg": "image/svg+xml",
    "/status.json": "application/json",
    "/page.json": "application/json",
    "/metrics": "text/plain",
    "/healthz": "text/plain",
    "/livez": "text/plain",
    "/readyz": "text/plain",
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
def test_each_path_answers(web: Web, path: str, method: str) -> None:
    reply = web.ask(path, method)
    assert (reply.code, reply.phrase) == (200, "OK")
    assert reply.headers["content-type"].split(";")[0] == PATHS[path]
    assert bool(reply.body) is (method == "GET")
    assert reply.headers["content-length"] == str(len(web.ask(path).body))


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


# the status


def test_the_status_is_what_all_clients_are_told(web: Web) -> None:
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


def test_the_page_is_told_who_blocks_whom(web: Web) -> None:
    for name, mode in (("R1", LockMode.PR), ("R1", LockMode.PR), ("R1", LockMode.EX), ("free", LockMode.EX)):
        web.arbiter.acquire(name, mode)
    found = json.loads(web.ask("/page.json").body)
    assert found["status"] == json.loads(web.ask("/status.json").body)
    [blocked, _] = found["status"]["resources"]
    holders = [holder["number"] for holder in blocked["holders"]]
    assert found["blocking"] == {str(blocked["number"]): {"EX R1": holders}}


@pytest.mark.parametrize("path", ["/status.json", "/page.json", "/metrics"])
def test_many_looks_cost_one(web: Web, path: str) -> None:
    [body] = {web.ask(path).body for _ in range(20)}
    web.arbiter.acquire("backup")
    assert web.ask(path).body == body
    web.clock.advance(LIFETIME)
    assert web.ask(path).body != body


def test_a_client_that_has_left_before_the_answer_is_no_trouble(web: Web) -> None:
    channel, transport = web.connect()
    channel.dataReceived(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    channel.connectionLost()
    web.clock.advance(1)
    assert transport.value() == b""


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


@pytest.mark.parametrize(
    ("role", "problem", "code", "word"),
    [
        ("leader", "", 200, "ok"),
        ("standby", "", 503, "standby"),
        ("leader", "etcd has no majority", 503, "no quorum: etcd has no majority"),
        ("standby", "no daemon leads at this moment", 503, "no quorum: no daemon leads at this moment"),
    ],
)
def test_without_a_quorum_it_is_said_why_nothing_is_granted(
    web: Web, role: str, problem: str, code: int, word: str
) -> None:
    web.counters.role = role
    web.counters.quorum = lambda: QuorumStatus("host-a", None, 7, not problem, None, (), {}, problem)
    reply = web.ask("/healthz")
    assert (reply.code, reply.body) == (code, f"{word}\n".encode())


@pytest.mark.parametrize(
    ("group", "role", "code", "text"),
    [
        ("", "", 200, "serving"),
        ("239.255.42.42:28015", "leader", 200, "leading 239.255.42.42:28015"),
        ("239.255.42.42:28015", "standby", 200, "standing by in 239.255.42.42:28015"),
        ("239.255.42.42:28015", "candidate", 503, "candidate in 239.255.42.42:28015"),
    ],
)
def test_ready_is_who_grants_locks_or_stands_by(web: Web, group: str, role: str, code: int, text: str) -> None:
    """In a rolling update, the next daemon is replaced when this one stands by."""
    web.counters.group, web.counters.role = group, role
    reply = web.ask("/readyz")
    assert (reply.code, reply.body) == (code, f"{text}\n".encode())


def test_a_daemon_that_drains_is_alive_and_not_ready(web: Web) -> None:
    """An orchestrator that ended it because of that would end the locks that it waits for."""
    web.arbiter.drain(lambda: None)
    assert (web.ask("/livez").code, web.ask("/livez").body) == (200, b"ok\n")
    reply = web.ask("/readyz")
    assert (reply.code, reply.body) == (503, b"draining: nothing more is granted\n")


def test_a_daemon_that_ends_is_not_healthy(web: Web) -> None:
    web.arbiter.close()
    reply = web.ask("/healthz")
    assert (reply.code, reply.phrase, reply.body) == (503, "Service Unavailable", b"closed\n")
