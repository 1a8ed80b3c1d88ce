"""
What etcd's JSON gateway says and is told: base64 for keys and values, strings for numbers of 64 bits, and nothing at
all for what is 0, false or empty.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flom.errors import FlomError
from flom.text import one_line, truncate

Json = Mapping[str, Any]

_NOT_FOUND: Final = 5
_NOT_ENABLED: Final = 9  # FAILED_PRECONDITION: authentication is not enabled
_INVALID: Final = 3
_NO_TOKEN: Final = 16

_COMMON_NAME: Final = "CommonName"

_DOUBTFUL: Final = frozenset((1, 2, 4, 8, 10, 13, 14))
"""
Codes of gRPC after which it is not known what happened: cancelled, unknown, time-out, exhausted, aborted, internal,
unavailable. etcd answers with several of them for one and the same cause.
"""


class QuorumError(FlomError):
    """etcd has not done what it was asked for; the text is one line that names the member."""


class Doubtful(QuorumError):
    """
    It is not known whether etcd has done, or will do, what it was asked for: no answer in time, a broken connection, or
    an error of etcd's own. It may still happen, minutes later.
    """


class Denied(QuorumError):
    """
    etcd has not done it, and will not: no permission, a wrong password, or a request that makes no sense to it.

    @ivar is_token_bad: whether a new token may help.
    """

    def __init__(self, why: str, *, is_token_bad: bool = False, code: int = 0) -> None:
        super().__init__(why)
        self.is_token_bad = is_token_bad
        self.code = code

    @property
    def is_without_authentication(self) -> bool:
        """True if there are no users and tokens in etcd, because authentication is not enabled."""
        return self.code == _NOT_ENABLED


class NoLease(QuorumError):
    """There is no such lease (any more), and so nothing was written under it."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """
    A key, as it is or was.

    @ivar value: C{b""} if it was deleted.
    @ivar created: the revision in which it was created; 0 if it was deleted.
    @ivar modified: the revision in which it was changed last.
    @ivar lease: under which it is; 0 for none.
    """

    key: str
    value: bytes
    created: int
    modified: int
    lease: int


@dataclass(frozen=True, slots=True)
class Answer:
    """
    Of a read or a transaction.

    @ivar revision: of the whole store, when this was answered.
    @ivar has_succeeded: whether all comparisons of a transaction held; true for a read.
    @ivar found: for each operation, in order, the keys that it has read, or deleted and was to return.
    """

    revision: int
    has_succeeded: bool
    found: tuple[tuple[KeyValue, ...], ...]


def text64(data: bytes) -> str:
    """Write bytes as the gateway has them."""
    return b64encode(data).decode()


def key64(key: str) -> str:
    """Write a key; one that was read from bytes that are no UTF-8 becomes the same bytes."""
    return text64(key.encode("utf-8", "surrogateescape"))


def end_of(prefix: str) -> str:
    """Return, in base64, the first key after all that begin with C{prefix}, which does not end with U+10FFFF."""
    data = prefix.encode("utf-8", "surrogateescape")
    return text64(data[:-1] + bytes([data[-1] + 1]))


# Comparisons and operations of transactions.


def created_at(key: str, revision: int) -> Json:
    """Compare: C{key} was created in C{revision}; 0 if it is not to be there."""
    return {"key": key64(key), "target": "CREATE", "result": "EQUAL", "create_revision": str(revision)}


def modified_at(key: str, revision: int) -> Json:
    """Compare: C{key} was changed last in C{revision}; 0 if it is not to be there."""
    return {"key": key64(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}


def put(key: str, value: bytes, lease: int = 0) -> Json:
    """Write a key, under a lease unless that is 0."""
    return {"request_put": {"key": key64(key), "value": text64(value), "lease": str(lease)}}


def read(key: str) -> Json:
    """Read a key."""
    return {"request_range": {"key": key64(key)}}


def delete(key: str) -> Json:
    """Delete a key, and return what it was."""
    return {"request_delete_range": {"key": key64(key), "prev_kv": True}}


# Answers.


def number(holder: Json, name: str) -> int:
    """Return the number called C{name}, 0 if it is absent; C{ValueError} if it is none."""
    return int(holder.get(name, 0))


def revision_of(answer: Json) -> int:
    """Return C{header.revision}."""
    return number(answer["header"], "revision")


def key_value(found: Json) -> KeyValue:
    """Read one key."""
    return KeyValue(
        b64decode(found["key"]).decode("utf-8", "surrogateescape"),
        b64decode(found.get("value", "")),
        number(found, "create_revision"),
        number(found, "mod_revision"),
        number(found, "lease"),
    )


def range_answer(answer: Json) -> Answer:
    """Read the answer to a read."""
    return Answer(revision_of(answer), True, (_found(answer),))


def txn_answer(answer: Json) -> Answer:
    """Read the answer to a transaction."""
    found = tuple(_found(next(iter(response.values()), {})) for response in answer.get("responses", ()))
    return Answer(revision_of(answer), bool(answer.get("succeeded", False)), found)


def _found(response: Json) -> tuple[KeyValue, ...]:
    return tuple(map(key_value, (*response.get("kvs", ()), *response.get("prev_kvs", ()))))


def error_of(status: int, answer: object, member: str, text: str = "") -> QuorumError | None:
    """
    Return what an answer means that is an error; C{None} if it is none.

    @param status: of HTTP.
    @param answer: the JSON of its body; C{None} if it is none.
    @param member: the endpoint that has answered.
    @param text: its body.
    """
    error, code, message = None, 0, ""
    if isinstance(answer, Mapping) and "error" in answer:
        error = answer["error"]
        about = error if isinstance(error, Mapping) else answer
        code = _code(about.get("grpc_code", about.get("code", 0)))
        status = _code(about.get("http_code", status)) if status == 200 else status
        message = str(about.get("message") or error)
    if error is None and status == 200:
        return None
    message = message or text.strip()
    if _COMMON_NAME in message:
        message += "; where etcd has users, its gateway wants a certificate (quorum-cert) without a common name"
    line = truncate(one_line(f"{member}: {message or f'HTTP status {status}'}"))
    if code == _NOT_FOUND:
        return NoLease(line)
    if code in _DOUBTFUL or status >= 500 or status in (408, 429) or (error is not None and status == 200 and not code):
        return Doubtful(line)
    is_token_bad = code in (_NO_TOKEN, _INVALID) or status == 401
    return Denied(line, is_token_bad=is_token_bad, code=code)


def _code(value: object) -> int:
    return value if isinstance(value, int) else 0
