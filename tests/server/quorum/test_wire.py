"""What the gateway says: numbers as strings, base64, and nothing for what is 0."""

from __future__ import annotations

import pytest

from flom.server.quorum.wire import (
    Denied,
    Doubtful,
    KeyValue,
    NoLease,
    created_at,
    end_of,
    error_of,
    key64,
    key_value,
    put,
    range_answer,
    txn_answer,
)

MEMBER = "http://h1:2379"


def test_a_transaction_that_has_succeeded() -> None:
    answer = txn_answer(
        {
            "header": {"revision": "9007199254740993"},
            "succeeded": True,
            "responses": [
                {"response_put": {"header": {"revision": "9007199254740993"}}},
                {"response_range": {"kvs": [{"key": "L2E=", "value": "MQ==", "create_revision": "7", "lease": "12"}]}},
                {"response_delete_range": {"deleted": "1", "prev_kvs": [{"key": "L2I=", "mod_revision": "8"}]}},
            ],
        }
    )
    assert answer.has_succeeded
    assert answer.revision == 9007199254740993
    assert answer.found == ((), (KeyValue("/a", b"1", 7, 0, 12),), (KeyValue("/b", b"", 0, 8, 0),))


def test_what_is_false_or_empty_is_absent() -> None:
    assert not txn_answer({"header": {"revision": "3"}}).has_succeeded
    assert range_answer({"header": {"revision": "3"}}).found == ((),)
    assert txn_answer({"header": {"revision": "3"}, "responses": [{"response_range": {}}, {}]}).found == ((), ())


def test_numbers_are_sent_as_strings() -> None:
    assert created_at("/a", 0) == {"key": "L2E=", "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
    assert put("/a", b"1", 2**62) == {"request_put": {"key": "L2E=", "value": "MQ==", "lease": str(2**62)}}


def test_a_key_of_any_bytes_comes_back_as_it_was() -> None:
    key = b"/\xff".decode("utf-8", "surrogateescape")
    assert key_value({"key": key64(key)}).key == key
    assert end_of("/a/") == key64("/a0")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (503, {"error": "etcdserver: no leader", "message": "etcdserver: no leader", "code": 14}),
        (503, {"message": "etcdserver: request timed out", "code": 14, "error": "etcdserver: request timed out"}),
        (500, {"error": "context deadline exceeded", "message": "context deadline exceeded", "code": 2}),
        (503, {"error": {"grpc_code": 14, "http_code": 503, "message": "no leader", "http_status": "?"}}),
        (200, {"error": {"grpc_code": 14, "http_code": 503, "message": "no leader", "http_status": "?"}}),
        (200, {"error": {"message": "what is this"}}),
        (502, None),
        (429, {"error": "etcdserver: too many requests", "code": 8}),
        (400, {"error": "illegal base64 data", "code": 2}),
    ],
)
def test_all_these_are_doubtful(status: int, answer: object) -> None:
    error = error_of(status, answer, MEMBER)
    assert type(error) is Doubtful
    assert str(error).startswith(f"{MEMBER}: ")


def test_the_lease_is_unknown() -> None:
    answer = {"error": "etcdserver: requested lease not found", "code": 5}
    assert type(error_of(404, answer, MEMBER)) is NoLease
    assert type(error_of(404, None, MEMBER)) is Denied


@pytest.mark.parametrize(
    ("status", "answer", "is_token_bad"),
    [
        (401, {"error": "etcdserver: invalid auth token", "code": 16}, True),
        (400, {"error": "etcdserver: user name is empty", "code": 3}, True),
        (403, {"error": "etcdserver: permission denied", "code": 7}, False),
        (404, {"error": "Not Found", "code": 12}, False),
        (301, None, False),
    ],
)
def test_what_is_denied(status: int, answer: object, is_token_bad: bool) -> None:
    error = error_of(status, answer, MEMBER)
    assert isinstance(error, Denied)
    assert error.is_token_bad == is_token_bad


def test_an_answer_is_no_error() -> None:
    assert error_of(200, {"header": {}}, MEMBER) is None
    assert error_of(200, None, MEMBER) is None


def test_a_text_of_etcd_stays_on_one_line() -> None:
    assert str(error_of(403, {"error": "a\nb", "code": 7}, MEMBER)) == f"{MEMBER}: a\\nb"


def test_an_error_may_be_plain_text() -> None:
    text = "CommonName of client sending a request against gateway will be ignored and not used as expected\n"
    error = error_of(400, None, MEMBER, text)
    assert type(error) is Denied
    assert str(error) == (
        f"{MEMBER}: {text.strip()}; where etcd has users, its gateway wants a certificate (quorum-cert) without a "
        "common name"
    )
    assert str(error_of(404, None, MEMBER, "404 page not found\n")) == f"{MEMBER}: 404 page not found"
    assert str(error_of(404, None, MEMBER)) == f"{MEMBER}: HTTP status 404"
