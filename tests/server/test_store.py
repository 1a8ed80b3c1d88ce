"""What a daemon keeps durably beside its locks: it is there when the write says so, and the next daemon reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from flom.server.state import StateDirectory, StateError
from flom.server.store import NO_DIRECTORY, NO_QUORUM, Failures, FileStore, NotKept, Store
from tests.fakes.failures import failures_logged


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory(str(tmp_path / "state"))


def at(directory: StateDirectory, address: str = "/run/flom") -> FileStore:
    return FileStore(directory, address)


def path_in(directory: StateDirectory) -> Path:
    [name] = os.listdir(directory.path)
    return Path(directory.path, name)


def result_of(written: Deferred[None]) -> str:
    """Return why C{written} has failed, C{durable} if it has not, and C{undone} if it has not fired."""
    results: list[str] = []
    written.addCallbacks(lambda _: results.append("durable"), lambda why: results.append(why.getErrorMessage()))
    return results[0] if results else "undone"


def test_a_text_is_there_for_the_next_daemon_at_the_address(directory: StateDirectory) -> None:
    store = at(directory)
    assert result_of(store.write("hold 1", "one")) == result_of(store.write("hold 2", "two")) == "durable"
    assert store.load() == at(directory).load() == {"hold 1": "one", "hold 2": "two"}
    assert at(directory, "/run/other").load() == {}
    for _ in range(2):
        assert result_of(store.write("hold 1", None)) == "durable"
        assert store.load() == at(directory).load() == {"hold 2": "two"}
    assert at(directory).write("hold 2", "another")
    assert at(directory).load() == {"hold 2": "another"}


def test_a_key_may_have_any_characters(directory: StateDirectory) -> None:
    kept = {"value a/b/../c": "1", "value \udcff\n\0": "\udcff", f"value {'x' * 500}": ""}
    for key, text in kept.items():
        at(directory).write(key, text)
    assert at(directory).load() == kept


def test_what_a_crash_has_left_half_written_is_no_text(directory: StateDirectory) -> None:
    at(directory).write("hold 1", "one")
    Path(f"{path_in(directory)}.new").write_bytes(b'{"ad')
    assert at(directory).load() == {"hold 1": "one"}


class Thread:
    """Stands in for a thread: what it is to do is done by L{go_on}."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], Failures], Deferred[Failures]]] = []

    def defer(self, call: Callable[[], Failures]) -> Deferred[Failures]:
        done: Deferred[Failures] = Deferred()
        self.calls.append((call, done))
        return done

    def go_on(self) -> None:
        [(call, done)], self.calls = self.calls, []
        done.callback(call())


def test_what_comes_during_a_write_is_written_after_it_in_one_go(directory: StateDirectory) -> None:
    thread = Thread()
    store = FileStore(directory, "/run/flom", thread.defer)
    first = store.write("hold 1", "one")
    later = [store.write("hold 1", "two"), store.write("hold 2", "zwei"), store.write("hold 1", "three")]
    assert store.load() == {}
    thread.go_on()
    assert (result_of(first), [result_of(each) for each in later]) == ("durable", ["undone"] * 3)
    assert at(directory).load() == {"hold 1": "one"}
    thread.go_on()
    assert store.load() == at(directory).load() == {"hold 1": "three", "hold 2": "zwei"}
    assert thread.calls == []


def test_a_write_that_is_told_may_ask_for_another_one(directory: StateDirectory) -> None:
    thread = Thread()
    store = FileStore(directory, "/run/flom", thread.defer)
    store.write("hold 1", "one").addCallback(lambda _: store.write("hold 1", None))
    thread.go_on()
    thread.go_on()
    assert at(directory).load() == {}


def test_a_write_that_fails_says_why(directory: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    store = at(directory)
    store.write("hold 1", "one")
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", _fill)
        why = f"{path_in(directory)}: no space left on device"
        assert result_of(store.write("hold 1", "two")) == store.problem == why
    assert store.load() == {"hold 1": "one"}
    assert result_of(store.write("hold 1", "two")) == "durable"
    assert store.problem == ""


def _fill(_: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def no_logged_failures() -> Iterator[list[Failure]]:
    """Do not fail a test because a failure is logged: that is what it is about."""
    with failures_logged() as failures:
        yield failures


def test_an_error_of_the_thread_itself_fails_the_writes(
    directory: StateDirectory, no_logged_failures: list[Failure]
) -> None:
    failed: Deferred[Failures] = Deferred()
    store = FileStore(directory, "/run/flom", lambda call: failed)
    written = store.write("hold 1", "one")
    failed.errback(Failure(StateError("no thread")))
    assert result_of(written) == f"{directory.path}: no thread"
    assert len(no_logged_failures) == 1


@pytest.mark.parametrize(
    "found", [b"", b"{", b"7", b"[]", b"\xff", b"[" * 100_000, b"{}", b'{"key": 1}', "key", "text"]
)
def test_what_no_daemon_has_written_is_named_and_left_alone(directory: StateDirectory, found: bytes | str) -> None:
    at(directory).write("hold 1", "one")
    path = path_in(directory)
    if isinstance(found, str):
        found = json.dumps({**json.loads(path.read_text()), found: 7}).encode()
    path.write_bytes(found)
    with pytest.raises(StateError, match=f"^{path}: it is nothing that a daemon at /run/flom has kept$"):
        at(directory)
    assert path.read_bytes() == found


@pytest.mark.parametrize("why", [NO_DIRECTORY, NO_QUORUM])
def test_where_nothing_can_be_kept_a_write_says_why(why: str) -> None:
    store = Store(why)
    assert store.why_not == why
    assert store.load() == {}
    errors: list[Failure] = []
    store.write("hold 1", "one").addErrback(errors.append)
    assert errors[0].check(NotKept)
    assert errors[0].getErrorMessage() == f"nothing is kept: {why}"
