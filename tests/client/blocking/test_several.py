"""Several locks at once for plain scripts: C{from flom import lock_all}."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from flom import lock, lock_all, part
from flom.client.blocking.several import HeldAll
from flom.config import Config
from flom.core.protocol.messages import Answer
from flom.core.several import Part
from flom.errors import InvalidRequest, LockBusy, LockImpossible, LockTimeout, Unsupported
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon, is_locked

NEVER = Config(lifespan_ms=0)
"""Forbids to start a daemon."""


def test_a_block_holds_all_of_them(daemon: Daemon) -> None:
    wanted: list[str | Part] = ["a", part("b[3]", quantity=2), part("/c/d", "PR"), "red.green"]
    with lock_all(wanted, socket=daemon.socket, timeout=5) as held:
        assert [each.resource for each in held.parts] == ["a", "b[3]", "/c/d", "red.green"]
        assert [each.element for each in held.parts] == [None, None, None, "red"]
        tokens = [each.token or 0 for each in held.parts]
        assert tokens == sorted(tokens)
        assert 0 < tokens[0] < tokens[3]
        assert repr(held) == "<locks 'a' EX, 'b[3]' 2 units, '/c/d' PR, 'red.green' 'red', held>"
        assert held.lost is None
        held.check()
        with pytest.raises(LockBusy):
            lock("b[3]", quantity=2, wait=False, socket=daemon.socket).acquire()
    assert not any(is_locked(daemon.socket, name) for name in ("a", "b[3]", "/c/d"))
    assert held.is_released


def test_all_are_waited_for_and_none_is_held_meanwhile(daemon: Daemon) -> None:
    held: list[HeldAll] = []
    with lock("b", socket=daemon.socket):
        waiting = Thread(target=lambda: held.append(lock_all(["a", "b"], socket=daemon.socket, timeout=20).acquire()))
        waiting.start()
        with lock("a", socket=daemon.socket, timeout=5):
            assert held == []
    waiting.join()
    held[0].release()


def test_what_is_not_granted_names_the_locks(daemon: Daemon) -> None:
    with lock("b", socket=daemon.socket):
        with pytest.raises(LockBusy, match=r"^b at "):
            lock_all(["a", "b"], wait=False, socket=daemon.socket).acquire()
        with pytest.raises(LockTimeout, match=r"^a and b at .*: not granted within 0.05 s"):
            lock_all(["a", "b"], timeout=0.05, socket=daemon.socket).acquire()
    with pytest.raises(LockImpossible, match=r"^c\[2\] at "):
        lock_all(["a", part("c[2]", quantity=3)], socket=daemon.socket).acquire()
    assert not is_locked(daemon.socket, "a")


def test_a_body_that_fails_rolls_all_of_them_back(daemon: Daemon) -> None:
    parts = ["_S_a[1]", "_S_b[1]"]

    @lock_all(parts, socket=daemon.socket)
    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with lock_all(parts, socket=daemon.socket) as held:
        assert [each.element for each in held.parts] == ["1", "1"]


def test_a_decorated_function_takes_them_each_time(daemon: Daemon) -> None:
    @lock_all(["a", "b"], socket=daemon.socket)
    def work() -> bool:
        return is_locked(daemon.socket, "a") and is_locked(daemon.socket, "b")

    assert work()
    assert work()


def test_one_name_is_one_lock(daemon: Daemon) -> None:
    with lock_all(["a.b"], socket=daemon.socket) as held:
        assert [(each.resource, each.element) for each in held.parts] == [("a.b", "a")]


def test_a_daemon_of_flom_is_told_no_name(fake: FakeDaemon, tmp_path: Path) -> None:
    """The question is about a resource that nothing has; FLoM's daemon says so, and nothing was locked."""
    errors: list[Exception] = []

    def acquire() -> None:
        try:
            lock_all(["a", "b"], socket=str(tmp_path / "fake.sock"), config=NEVER).acquire()
        except Unsupported as e:
            errors.append(e)

    acquiring = Thread(target=acquire)
    acquiring.start()
    conversation, asked = fake.accept()
    assert (asked.name[:11], asked.wait, asked.create) == ("statusprobe", False, False)
    conversation.say(Answer(16, 5, peer_id="d" * 32))
    acquiring.join()
    assert str(errors[0]).startswith("a and b at ")
    assert str(errors[0]).endswith("which does not know several locks at once (several -r, lock_all)")


def test_arguments_are_checked_at_once() -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        lock_all(["a", "a"])
    with pytest.raises(InvalidRequest, match="start 'no'"):
        lock_all(["a", "b"], start="no")  # type: ignore[arg-type]
