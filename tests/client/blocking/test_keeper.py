"""Keeping a lock in a group: from the end of the connection to the reclaim; tests/scenarios/lan has real takeovers."""

from __future__ import annotations

import errno
import gc
import os
import socket
import threading
from typing import Any

import pytest

from flom.client.blocking import keeper
from flom.client.blocking.acquire import Acquirer, Hooks
from flom.client.blocking.connection import Conversation
from flom.client.blocking.keeper import Keeper, keeper_for
from flom.client.blocking.lock import Held, lock
from flom.client.blocking.stream import Stream
from flom.codes import Outcome, ReturnCode
from flom.config import Config
from flom.core.heartbeat import Heartbeat
from flom.core.lease import Lease
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Answer, Lock, Ping, Terms
from flom.errors import DaemonLost, LockBusy, Misuse
from flom.lean import boottime
from flom.libflom import flom_handle_lock, flom_handle_new, flom_handle_unlock
from tests.fakes.peers import PATIENCE, SocketConversation
from tests.fakes.programs import eventually

REQUEST = Lock("R", LockMode.EX, 1, wait=True, create=True)


@pytest.fixture(autouse=True)
def watch() -> None:
    """Start the thread that all keepers have in common, which a test does not count."""
    keeper._watch.start()


def connection(name: str) -> tuple[Conversation, SocketConversation]:
    """Return the client's end of a connection to the daemon C{name}, and the daemon's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return Conversation(Stream(ours), name), SocketConversation(theirs)


class FakeAcquirer:
    """
    Stands in for an L{Acquirer}: each reclaim waits until it C{may_go_on}.

    @ivar outcomes: of the reclaims to come: a connection, or what is raised.
    """

    def __init__(self, *outcomes: Conversation | Exception) -> None:
        self.outcomes = list(outcomes)
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()
        self.is_stopped = False

    def can_reclaim(self) -> bool:
        return True

    def reclaim(self, message: Lock) -> Conversation:
        assert message is REQUEST
        self.has_begun.set()
        assert self.may_go_on.wait(PATIENCE)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def give_up(self) -> None:
        pass

    def stop(self) -> None:
        self.is_stopped = True
        self.may_go_on.set()


def keep(acquirer: Any, conversation: Conversation) -> Keeper:
    """Return what keeps the lock on C{conversation}; it has been started."""
    keeper = Keeper(acquirer, REQUEST, conversation)
    keeper.start()
    return keeper


def has_no_thread() -> bool:
    return not any(thread.name == "flom-keeper" for thread in threading.enumerate())


def test_a_lock_that_was_never_lost_is_where_it_was() -> None:
    conversation, _daemon = connection("one")
    keeper = keep(FakeAcquirer(), conversation)
    assert keeper.end() is conversation
    assert has_no_thread()
    conversation.close()


def test_a_lock_whose_daemon_goes_is_reclaimed_once_and_again() -> None:
    conversation, first = connection("one")
    second, third = connection("two"), connection("three")
    acquirer = FakeAcquirer(second[0], third[0])
    acquirer.may_go_on.set()
    keeper = keep(acquirer, conversation)
    first.close()
    eventually(lambda: keeper.conversation is second[0], "a reclaim")
    second[1].close()
    eventually(lambda: keeper.conversation is third[0], "another one")
    eventually(lambda: conversation.fileno() == second[0].fileno() == -1, "the end of the connections before")
    assert keeper.end() is third[0]
    assert keeper.loss is None
    third[0].close()


def test_a_loss_that_comes_with_the_end_is_reclaimed_too_and_waited_for() -> None:
    conversation, first = connection("one")
    second, _daemon = connection("two")
    acquirer = FakeAcquirer(second)
    keeper = keep(acquirer, conversation)
    first.close()
    threading.Timer(0.05, acquirer.may_go_on.set).start()
    assert keeper.end() is second
    second.close()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (LockBusy(Outcome.BUSY, "R", "two"), "another client has it, or may have had it since"),
        (DaemonLost("nobody there"), "nobody there"),
        (UserWarning("2 daemons lead"), "2 daemons lead"),
    ],
    ids=["busy", "gone", "warning"],
)
def test_a_lock_that_is_not_reclaimed_is_lost(error: Exception, why: str) -> None:
    conversation, first = connection("one")
    acquirer = FakeAcquirer(error)
    keeper = keep(acquirer, conversation)
    held = Held(Lock("R"), Granted(None), conversation, keeper)
    first.close()
    assert acquirer.has_begun.wait(PATIENCE)
    assert not held.is_lost
    acquirer.may_go_on.set()
    eventually(lambda: held.is_lost, "the loss")
    with pytest.raises(DaemonLost) as raised:
        held.release()
    assert str(raised.value) == f"R: one closed the connection, and the lock was not reclaimed ({why})"
    assert raised.value is held.lost
    assert conversation.fileno() == -1


def test_a_contest_is_not_forgotten_with_the_connection() -> None:
    conversation, first = connection("one")
    second, _daemon = connection("two")
    acquirer = FakeAcquirer(second)
    acquirer.may_go_on.set()
    conversation.is_contested = True
    keeper = keep(acquirer, conversation)
    first.close()
    eventually(lambda: keeper.conversation is second, "a reclaim")
    assert keeper.end().is_contested
    second.close()


def keep_asking(acquirer: Any, patience: float) -> tuple[Keeper, SocketConversation]:
    """Return what keeps a lock, and its daemon, which is asked three times while it is believed in."""
    conversation, daemon = connection("one")
    conversation.connection.lock(REQUEST.replace(extended=2))
    answer = Answer(16, 0, None, "0" * 32, extended=True, session="0" * 32, terms=Terms(3 * patience))
    assert list(conversation.connection.receive(encode(answer)))
    lease = Lease(patience, patience / 3)
    lease.sent(boottime())
    lease.answered()
    keeper = Keeper(acquirer, REQUEST, conversation, Heartbeat(lease, believes_kernel=False))
    keeper.start()
    return keeper, daemon


def test_a_daemon_is_asked_by_the_thread_that_all_locks_have_in_common() -> None:
    keepers = [keep_asking(FakeAcquirer(), 0.6) for _ in range(3)]
    for _ in range(4):
        for _, daemon in keepers:
            assert daemon.read() == Ping(8)
            daemon.say(Ping(16))
    assert has_no_thread()
    for kept, _ in keepers:
        kept.end().close()


def test_a_lock_whose_daemon_is_silent_is_lost_in_time() -> None:
    """Although another one is looked for."""
    acquirer = FakeAcquirer(DaemonLost("stopped"))
    keeper, _daemon = keep_asking(acquirer, 0.3)
    held = Held(Lock("R"), Granted(None), keeper.conversation, keeper)
    began = boottime()
    eventually(lambda: held.is_lost, "the loss")
    assert boottime() - began < 0.6
    assert acquirer.is_stopped
    with pytest.raises(DaemonLost) as raised:
        held.check()
    why = "the connection to one is broken, and the lock was not reclaimed (no daemon came in time)"
    assert str(raised.value) == f"R: {why}"
    with pytest.raises(DaemonLost):
        held.release()


def test_after_a_reclaim_it_is_asked_again_and_no_thread_is_left() -> None:
    acquirer = FakeAcquirer()
    keeper, first = keep_asking(acquirer, 0.6)
    other, second = keep_asking(FakeAcquirer(), 0.6)
    acquirer.outcomes.append(other.end())
    acquirer.may_go_on.set()
    first.close()
    assert second.read() == Ping(8)
    eventually(has_no_thread, "the end of the thread")
    keeper.end().close()


def test_what_is_abandoned_is_closed() -> None:
    conversation, daemon = connection("one")
    keep(FakeAcquirer(), conversation).abandon()
    assert daemon.read() is None
    eventually(has_no_thread, "the end of the thread")


def test_what_is_abandoned_during_a_reclaim_is_closed_when_that_is_over() -> None:
    conversation, first = connection("one")
    second, daemon = connection("two")
    acquirer = FakeAcquirer(second)
    keeper = keep(acquirer, conversation)
    first.close()
    assert acquirer.has_begun.wait(PATIENCE)
    keeper.abandon()
    acquirer.may_go_on.set()
    assert daemon.read() is None


def test_what_is_not_used_any_more_is_given_back() -> None:
    conversation, daemon = connection("one")
    held = Held(Lock("R"), Granted(None), conversation, keep(FakeAcquirer(), conversation))
    del held, conversation
    gc.collect()
    assert daemon.read() is None


def descriptors() -> list[str]:
    gc.collect()
    return os.listdir("/proc/self/fd")


WANTING = {
    "thread": ("threading.Thread.start", RuntimeError("can't start new thread")),
    "descriptor": ("flom.client.blocking.keeper._Watch.add", OSError(errno.EMFILE, "Too many open files")),
}

without_keeper = pytest.mark.parametrize(("what", "error"), WANTING.values(), ids=WANTING)


def take_without(
    what: str, error: Exception, monkeypatch: pytest.MonkeyPatch, acquirer: str
) -> tuple[Conversation, SocketConversation]:
    """Return the two ends of the connection on which the next lock will be granted; C{what} fails with C{error}."""

    def fail(*_: object) -> None:
        raise error

    ends = connection("one")
    ends[0].connection.lock(REQUEST)
    assert list(ends[0].connection.receive(encode(Answer(16, 0, None, "0" * 32))))
    monkeypatch.setattr(what, fail)
    monkeypatch.setattr(f"{acquirer}.acquire", lambda *_: (ends[0], Granted(None)))
    return ends


@without_keeper
def test_a_lock_that_nothing_keeps_is_held_until_its_daemon_goes(
    what: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation, daemon = take_without(what, error, monkeypatch, "flom.client.blocking.lock.Acquirer")
    before = descriptors()
    held = lock("R", config=Config(multicast_address="224.0.0.77")).acquire()
    assert descriptors() == before
    assert not held.is_lost
    daemon.close()
    eventually(lambda: held.is_lost, "the loss")
    with pytest.raises(DaemonLost, match="R: one closed the connection"):
        held.release()
    assert conversation.fileno() == -1


@without_keeper
def test_nor_does_the_library_lose_it(what: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    _, daemon = take_without(what, error, monkeypatch, "flom.libflom.calls.Acquirer")
    before = descriptors()
    handle = flom_handle_new()
    assert handle is not None
    handle.config = Config(multicast_address="224.0.0.77", resource_name="R", lifespan_ms=0)
    assert flom_handle_lock(handle) == 0
    assert descriptors() == before
    daemon.close()
    assert flom_handle_unlock(handle) == ReturnCode.SEND_ERROR


def test_a_forked_child_neither_waits_for_the_thread_nor_ends_it() -> None:
    conversation, first = connection("one")
    second, _daemon = connection("two")
    acquirer = FakeAcquirer(second)
    acquirer.may_go_on.set()
    keeper = keep(acquirer, conversation)
    held = Held(Lock("R"), Granted(None), conversation, keeper)
    child = os.fork()
    if not child:
        try:
            held.release()
        except Misuse:
            keeper.end()
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    first.close()
    eventually(lambda: keeper.conversation is second, "a reclaim")
    assert keeper.end() is second
    second.close()


@pytest.mark.parametrize(
    ("name", "group", "is_kept"),
    [("R", "ff02::1", True), ("N[3]", "ff02::1", True), ("a.b", "ff02::1", True), ("R", "", False)],
)
def test_only_what_can_be_reclaimed_is_kept(name: str, group: str, is_kept: bool) -> None:
    conversation, _daemon = connection("one")
    acquirer = Acquirer(Config(multicast_address=group), Hooks(), None, may_start=False)
    keeper = keeper_for(acquirer, REQUEST.replace(name=name), conversation)
    assert (keeper is not None) is is_kept
    if keeper is not None:
        keeper.abandon()
    conversation.close()
