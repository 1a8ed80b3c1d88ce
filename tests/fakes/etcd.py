"""
etcd's JSON gateway in this process: members over real HTTP on loopback, one store in memory, and faults on demand.

It does what etcd 3.4 and 3.5 were seen to do; what the tests do not need is left out.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from flom.server.quorum.address import QuorumAddress

CLUSTER: Final = 0x0CDF818194E3A8C9

Json = dict[str, Any]


class Refuse(Exception):
    """An answer that is an error: the status of HTTP, the code of gRPC, and the text."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class _HangUp(Exception):
    """No answer: the connection is closed."""


NO_LEADER: Final = Refuse(503, 14, "etcdserver: no leader")
TIMED_OUT: Final = Refuse(503, 14, "etcdserver: request timed out")
NO_LEASE: Final = Refuse(404, 5, "etcdserver: requested lease not found")


@dataclass
class _Key:
    value: str
    created: int
    modified: int
    version: int
    lease: int


@dataclass
class _Lease:
    ttl: int
    ends_at: float


@dataclass
class EtcdStore:
    """
    What all members know.

    @ivar events: every change, as watches tell it, each with its revision.
    """

    revision: int = 1
    keys: dict[str, _Key] = field(default_factory=dict)
    leases: dict[int, _Lease] = field(default_factory=dict)
    events: list[tuple[int, str, Json]] = field(default_factory=list)
    compacted: int = 0


class FakeEtcd:
    """
    A cluster.

    @ivar members: by which it is reached.
    @ivar asked: how often each path was asked for, such as C{kv/txn}.
    @ivar users: passwords by names; authentication is enabled if there are any.
    @ivar forbidden: a part of keys that nobody may read or write; C{""} if all is permitted.
    @ivar late: what was asked and answered with an error, and is carried out by L{carry_out}.
    @ivar least_ttl: seconds of the shortest lease.
    """

    def __init__(self, members: int = 1, *, users: dict[str, str] | None = None) -> None:
        self.changed = threading.Condition()
        self.store = EtcdStore()
        self.asked: Counter[str] = Counter()
        self.users = users or {}
        self.forbidden = ""
        self.late: list[tuple[str, Json]] = []
        self.least_ttl = 2
        self.cluster = CLUSTER
        self.watchers = 0
        self._ids = iter(range(7587800000000000001, 7587800000000999999))
        self.is_over = False
        self.members = [FakeMember(self) for _ in range(members)]

    def __enter__(self) -> FakeEtcd:
        return self

    def __exit__(self, *_: object) -> None:
        with self.changed:
            self.is_over = True
            self.changed.notify_all()
        for member in self.members:
            member.close()

    @property
    def address(self) -> QuorumAddress:
        """Of all members, as the product has it."""
        return QuorumAddress(tuple(member.url for member in self.members))

    # what tests look at, and do to it

    def value(self, key: str) -> bytes | None:
        """Return what is at C{key}."""
        with self.changed:
            self._expire()
            found = self.store.keys.get(_b64(key))
            return None if found is None else b64decode(found.value)

    def keys(self) -> list[str]:
        """Return all keys there are."""
        with self.changed:
            self._expire()
            return sorted(b64decode(key).decode() for key in self.store.keys)

    def put(self, key: str, value: bytes) -> None:
        """Write a key, as another program does."""
        with self.changed:
            self._do("kv/txn", {"success": [{"request_put": {"key": _b64(key), "value": b64encode(value).decode()}}]})

    def delete(self, key: str) -> None:
        """Delete a key, likewise."""
        with self.changed:
            self._do("kv/txn", {"success": [{"request_delete_range": {"key": _b64(key)}}]})

    def end_leases(self) -> None:
        """End all leases."""
        with self.changed:
            for lease in self.store.leases.values():
                lease.ends_at = 0.0
            self._expire()

    def snapshot(self) -> EtcdStore:
        """Return a backup."""
        with self.changed:
            return deepcopy(self.store)

    def restore(self, store: EtcdStore) -> None:
        """Go back to a backup; watches go on, and hear nothing until their revision comes again."""
        with self.changed:
            self.store = deepcopy(store)
            for lease in self.store.leases.values():
                lease.ends_at = time.monotonic() + lease.ttl

    def compact(self) -> None:
        """Forget all events."""
        with self.changed:
            self.store.compacted = self.store.revision
            self.store.events.clear()

    def carry_out(self) -> list[Json]:
        """Do what was answered with an error, in order; return the answers that nobody gets, or the errors as texts."""
        answers = []
        with self.changed:
            late, self.late = self.late, []
            for path, asked in late:
                try:
                    answers.append(self._do(path, asked))
                except Refuse as e:
                    answers.append({"refused": e.message})
        return answers

    def forget_tokens(self) -> None:
        """Forget all tokens, as members do that are started again."""
        for member in self.members:
            member.tokens.clear()

    # what it does

    def _do(self, path: str, asked: Json) -> Json:
        self._expire()
        answer: Json = getattr(self, f"_{path.replace('/', '_')}")(asked)
        self.changed.notify_all()
        return {"header": self._header(), **answer}

    def _header(self) -> Json:
        return {
            "cluster_id": str(self.cluster),
            "member_id": "1",
            "revision": str(self.store.revision),
            "raft_term": "2",
        }

    def _expire(self) -> None:
        now = time.monotonic()
        for number in [number for number, lease in self.store.leases.items() if lease.ends_at <= now]:
            self._end(number)

    def _end(self, number: int) -> None:
        del self.store.leases[number]
        under = [key for key, found in self.store.keys.items() if found.lease == number]
        if under:
            self.store.revision += 1
            for key in under:
                self._forget(key)
            self.changed.notify_all()

    def _forget(self, key: str) -> _Key | None:
        found = self.store.keys.pop(key, None)
        if found is not None:
            event = {"type": "DELETE", "kv": {"key": key, "mod_revision": str(self.store.revision)}}
            self.store.events.append((self.store.revision, key, event))
        return found

    def _lease_grant(self, asked: Json) -> Json:
        number, ttl = next(self._ids), max(int(asked["TTL"]), self.least_ttl)
        self.store.leases[number] = _Lease(ttl, time.monotonic() + ttl)
        return {"ID": str(number), "TTL": str(ttl)}

    def _lease_keepalive(self, asked: Json) -> Json:
        lease = self.store.leases.get(int(asked["ID"]))
        kept: Json = {"header": self._header(), "ID": asked["ID"]}
        if lease is not None:
            lease.ends_at = time.monotonic() + lease.ttl
            kept["TTL"] = str(lease.ttl)
        return {"result": kept}

    def _lease_timetolive(self, asked: Json) -> Json:
        lease = self.store.leases.get(int(asked["ID"]))
        left = -1 if lease is None else int(lease.ends_at - time.monotonic())
        return {"ID": asked["ID"], "TTL": str(left)}

    def _lease_revoke(self, asked: Json) -> Json:
        if int(asked["ID"]) not in self.store.leases:
            raise NO_LEASE
        self._end(int(asked["ID"]))
        return {}

    def _kv_range(self, asked: Json) -> Json:
        first, end = b64decode(asked["key"]), b64decode(asked.get("range_end", ""))
        found = [
            _shown(key, self.store.keys[key])
            for key in sorted(self.store.keys, key=b64decode)
            if (first <= b64decode(key) < end if end else key == asked["key"])
        ]
        limit = int(asked.get("limit", 0)) or len(found)
        answer: Json = {"count": str(len(found))} if found else {}
        if found:
            answer["kvs"] = found[:limit]
        if len(found) > limit:
            answer["more"] = True
        return answer

    def _kv_txn(self, asked: Json) -> Json:
        holds = all(map(self._compare, asked.get("compare", [])))
        operations = asked.get("success" if holds else "failure", [])
        for operation in operations:
            lease = int(operation.get("request_put", {}).get("lease", 0))
            if lease and lease not in self.store.leases:
                raise NO_LEASE
        if any("request_put" in one or self._would_delete(one) for one in operations):
            self.store.revision += 1
        answer: Json = {"responses": [self._carry_out_one(one) for one in operations]} if operations else {}
        return {**answer, **({"succeeded": True} if holds else {})}

    def _compare(self, compare: Json) -> bool:
        found = self.store.keys.get(compare["key"])
        if compare["target"] == "CREATE":
            return (found.created if found else 0) == int(compare.get("create_revision", 0))
        assert compare["target"] == "MOD"
        return (found.modified if found else 0) == int(compare.get("mod_revision", 0))

    def _would_delete(self, operation: Json) -> bool:
        return operation.get("request_delete_range", {}).get("key") in self.store.keys

    def _carry_out_one(self, operation: Json) -> Json:
        [(kind, asked)] = operation.items()
        revision = {"header": {"revision": str(self.store.revision)}}
        if kind == "request_range":
            return {"response_range": {**revision, **self._kv_range(asked)}}
        if kind == "request_put":
            before = self.store.keys.get(asked["key"])
            now = self.store.revision
            version = before.version + 1 if before else 1
            key = _Key(
                asked.get("value", ""), before.created if before else now, now, version, int(asked.get("lease", 0))
            )
            self.store.keys[asked["key"]] = key
            self.store.events.append((now, asked["key"], {"kv": _shown(asked["key"], key)}))
            return {"response_put": revision}
        assert kind == "request_delete_range"
        gone = self._forget(asked["key"])
        deleted: Json = {"deleted": "1"} if gone else {}
        if gone and asked.get("prev_kv"):
            deleted["prev_kvs"] = [_shown(asked["key"], gone)]
        return {"response_delete_range": {**revision, **deleted}}

    def _maintenance_status(self, asked: Json) -> Json:
        return {"version": "3.5.1", "leader": "1", "raftTerm": "2"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing about connections that were aborted."""


class FakeMember:
    """
    One member.

    @ivar is_hung: whether it answers nothing: no byte comes.
    @ivar is_cut_off: whether it knows that it has no leader.
    @ivar faults: what to do instead of the next answers, each for one path, or for transactions that put a key, such as
        C{put leader}: C{lose}: carry it out, and answer 503;
        C{late}: answer 503, and carry it out when told; C{refuse}: answer 503; C{hang up}; C{hang}: for ever;
        C{nonsense}; C{deny}: not permitted; C{cancel}: a watch that is created and cancelled at once.
    @ivar tokens: that are valid here.
    """

    def __init__(self, etcd: FakeEtcd) -> None:
        self.etcd = etcd
        self.is_hung = False
        self.is_cut_off = False
        self.faults: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.headers: list[dict[str, str]] = []
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def fail(self, path: str, fault: str, times: int = 1) -> None:
        """Do C{fault} instead of the next answers for C{path}."""
        self.faults += [(path, fault)] * times

    def take_fault(self, path: str) -> str:
        for number, (at, fault) in enumerate(self.faults):
            if at == path:
                del self.faults[number]
                return fault
        return ""

    def authenticate(self, asked: Json) -> Json:
        if not self.etcd.users:
            raise Refuse(400, 9, "etcdserver: authentication is not enabled")
        if self.etcd.users.get(asked["name"]) != asked["password"]:
            raise Refuse(400, 3, "etcdserver: authentication failed, invalid user ID or password")
        token = f"token{len(self.tokens)}.{id(self)}"
        self.tokens.add(token)
        return {"header": {}, "token": token}

    def check_token(self, token: str | None) -> None:
        if self.etcd.users and token is None:
            raise Refuse(400, 3, "etcdserver: user name is empty")
        if self.etcd.users and token not in self.tokens:
            raise Refuse(401, 16, "etcdserver: invalid auth token")


def _handler_of(member: FakeMember) -> type[BaseHTTPRequestHandler]:
    etcd = member.etcd

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Log nothing."""

        def do_POST(self) -> None:
            path = urlsplit(self.path).path.removeprefix("/v3/")
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if path == "kv/txn" and any("request_put" in one for one in asked.get("success", [])):
                puts = [one["request_put"] for one in asked["success"] if "request_put" in one]
                what = next(_keys_in(puts)).rpartition("/")[2]
            else:
                what = ""
            with etcd.changed:
                etcd.asked[path] += 1
                member.headers.append({**self.headers, "port": str(self.client_address[1])})
                fault = member.take_fault(f"put {what}") or member.take_fault(path)
            try:
                self._answer_by(path, asked, fault)
            except Refuse as e:
                self._refuse(path, e)
            except (_HangUp, OSError):
                self.close_connection = True

        def _answer_by(self, path: str, asked: Json, fault: str) -> None:
            if fault == "hang" or member.is_hung:
                with etcd.changed:
                    etcd.changed.wait_for(lambda: etcd.is_over)
                raise _HangUp
            if fault == "hang up":
                raise _HangUp
            if fault == "nonsense":
                self._send(200, b"<html>")
                return
            if fault == "refuse":
                raise TIMED_OUT
            if fault == "deny":
                raise Refuse(403, 7, "etcdserver: permission denied")
            if path == "auth/authenticate":
                self._send(200, json.dumps(member.authenticate(asked)).encode())
                return
            if member.is_cut_off and path != "maintenance/status":
                raise NO_LEADER
            if path not in ("lease/keepalive", "watch"):
                member.check_token(self.headers.get("Authorization"))
            if etcd.forbidden and any(key.startswith(etcd.forbidden) for key in _keys_in(asked)):
                raise Refuse(403, 7, "etcdserver: permission denied")
            if path == "watch":
                self._watch(asked["create_request"], fault)
                return
            if fault == "late":
                with etcd.changed:
                    etcd.late.append((path, asked))
                raise TIMED_OUT
            with etcd.changed:
                answer = etcd._do(path, asked)
            if fault == "lose":
                raise TIMED_OUT
            self._send(200, json.dumps(answer).encode())

        def _watch(self, wanted: Json, fault: str) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            start, key = int(wanted.get("start_revision", 0)), wanted["key"]
            created: Json = {"header": etcd._header(), "created": True}
            try:
                member.check_token(self.headers.get("Authorization"))
            except Refuse:
                created |= {"canceled": True, "cancel_reason": "rpc error: code = PermissionDenied"}
            if 0 < start <= etcd.store.compacted:
                self._line({"result": created})
                created = {"canceled": True, "compact_revision": str(etcd.store.compacted)}
            if fault == "cancel":
                created |= {"canceled": True}
            self._line({"result": created})
            with etcd.changed:
                etcd.watchers += 1
            try:
                self._tell(start, key, is_silent=bool(created.get("canceled")))
            finally:
                with etcd.changed:
                    etcd.watchers -= 1

        def _tell(self, start: int, key: str, *, is_silent: bool) -> None:
            while True:
                with etcd.changed:
                    etcd.changed.wait(0.05)
                    if etcd.is_over:
                        return
                    if member.is_cut_off:
                        break
                    events = [event for at, on, event in etcd.store.events if at >= start and on == key]
                    start = max(start, etcd.store.revision + 1)
                if member.take_fault("watch/events") == "cancel":
                    self._line({"result": {"canceled": True}})
                    is_silent = True
                if events and not is_silent and not member.is_hung:
                    self._line({"result": {"header": etcd._header(), "events": events}})
                self.connection.setblocking(False)
                try:
                    if self.connection.recv(1) == b"":
                        raise _HangUp
                except BlockingIOError:
                    pass
                finally:
                    self.connection.setblocking(True)
            self._line(_stream_error(NO_LEADER))
            self.wfile.write(b"0\r\n\r\n")

        def _refuse(self, path: str, e: Refuse) -> None:
            if path == "lease/keepalive":
                error = _stream_error(e)
            else:
                error = {"error": e.message, "message": e.message, "code": e.code}
            self._send(e.status, json.dumps(error).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _line(self, answer: Json) -> None:
            line = json.dumps(answer).encode() + b"\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
            self.wfile.flush()

    return Handler


def _stream_error(e: Refuse) -> Json:
    return {"error": {"grpc_code": e.code, "http_code": e.status, "message": e.message, "http_status": "?"}}


def _keys_in(asked: object) -> Iterator[str]:
    """Return all keys that a question names."""
    if isinstance(asked, list):
        for each in asked:
            yield from _keys_in(each)
    elif isinstance(asked, dict):
        for name, value in asked.items():
            if name == "key":
                yield b64decode(value).decode()
            else:
                yield from _keys_in(value)


def _shown(key: str, found: _Key) -> Json:
    shown = {
        "key": key,
        "value": found.value,
        "create_revision": str(found.created),
        "mod_revision": str(found.modified),
        "version": str(found.version),
        "lease": str(found.lease),
    }
    return {name: value for name, value in shown.items() if value not in ("", "0")}


def _b64(key: str) -> str:
    return b64encode(key.encode()).decode()
