"""
The client's end of a connection, without a reactor: what it takes for a grant, and how it ends
(docs/compatibility.md, "Protocol: client").
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest

import flom.client.blocking.connection
from flom.client.blocking.connection import Conversation, Interrupted, connect
from flom.client.blocking.stream import Stream
from flom.codes import Outcome, ReturnCode
from flom.config import Config
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.events import Granted, Refused
from flom.core.protocol.messages import Answer, Contested, Goodbye, Lock, Revoked, Terms, Unlock, Unlocked, WhyWithdrawn
from flom.errors import (
    DaemonLost,
    LocalProtocolError,
    LockContested,
    LockRevoked,
    LockTimeout,
    Misuse,
    RemoteProtocolError,
)
from flom.net.machine_id import unique_id
from tests.fakes import peers
from tests.fakes.connections import xml
from tests.fakes.daemon import Daemon
from tests.fakes.programs import eventually

LOCK = Lock("R1", LockMode.EX, wait=True, create=True)
GRANTED = xml(1, 16, '<session peerid="x"/><answer rc="0"/>')
QUEUED = xml(1, 16, '<session peerid="x"/><answer rc="1"/>')
INCUBATED = xml(1, 16, '<session peerid="x"/><answer rc="2"/>')
STILL_QUEUED = xml(1, 24, '<answer rc="1"/>')
GRANTED_BY_OURS = GRANTED.replace(b'step="16"', b'step="16" extended="1"')  # by a daemon that answers unlocks
GRANTED_LATER = xml(1, 24, '<answer rc="0"/>')


class ByteByByte(Stream):
    """A connection that delivers one byte at a time."""

    def receive(self, deadline: float, signals: socket.socket | None = None) -> bytes:
        try:
            return self.socket.recv(1)
        except BlockingIOError:
            return super().receive(deadline, signals)


class Scene:
    """
    A client, and a daemon that the test plays.

    @ivar client: ours.
    @ivar daemon: the other end.
    """

    def __init__(self, kind: type[Stream] = Stream) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.client = Conversation(kind(ours), "the daemon")
        self.daemon = peers.SocketConversation(theirs)

    def hear(self, *messages: bytes) -> Scene:
        """Send C{messages}, which the client finds when it asks."""
        for message in messages:
            self.daemon.send(message)
        return self

    def hold(self) -> Scene:
        """Grant the client the lock."""
        self.hear(GRANTED).client.lock(LOCK)
        assert self.daemon.read() is not None
        return self

    @property
    def is_given_up(self) -> bool:
        """Whether the client has closed the connection, after all that it has said."""
        while self.daemon.read() is not None:
            pass
        return True

    def close(self) -> None:
        self.client.close()
        self.daemon.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Any]]:
    """Runs a function in another thread, and gives its future."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


# what the daemon says


@pytest.mark.parametrize("kind", [Stream, ByteByByte], ids=["as it comes", "in pieces"])
@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([GRANTED], 0),
        ([QUEUED, GRANTED_LATER], 0),
        ([QUEUED, STILL_QUEUED, STILL_QUEUED, GRANTED_LATER], 0),
        ([INCUBATED, STILL_QUEUED, GRANTED_LATER], 0),
        ([QUEUED, xml(1, 32, '<answer rc="0"/>')], 0),
        ([xml(1, 16, '<answer rc="4"/>')], 4),
        ([xml(1, 16, '<answer rc="-14"/>')], -14),
        ([INCUBATED, xml(1, 24, '<answer rc="6"/>')], 6),
        # docs/compatibility.md, "A refusal in step 24 counts as a grant"
        ([QUEUED, xml(1, 24, '<answer rc="4"/>')], 4),
        ([QUEUED, xml(1, 32, '<answer rc="6"/>')], 6),
    ],
)
def test_the_code_of_an_answer_decides_whatever_its_step(kind: type[Stream], messages: list[bytes], code: int) -> None:
    scene = Scene(kind).hear(*messages)
    assert scene.client.lock(LOCK) == (Refused(Outcome(code)) if code else Granted(None))
    scene.close()


@pytest.mark.parametrize(
    "messages",
    [
        [xml(1, 16)],
        [xml(1, 16, "<answer/>")],
        [QUEUED, xml(1, 24)],
        [xml(1, 16, '<answer rc="77"/>')],
        [GRANTED_LATER],
        [QUEUED, GRANTED],
        [xml(2, 8, '<resource name="UjE="/>')],
        [xml(2, 16)],
        [b"hello</msg>"],
        [b"x" * 1024],
        [xml(1, 16, '<answer rc="0"/>', level=4)],
        [b"\x15\x03\x03\x00\x02\x02\x28"],
    ],
)
def test_what_is_no_answer_is_no_grant(scene: Scene, messages: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^the daemon: "):
        scene.hear(*messages).client.lock(LOCK)
    assert scene.is_given_up


@pytest.mark.parametrize(
    ("messages", "why", "answered"),
    [
        ([], "the daemon closed the connection without an answer; it may want TLS, or have reached a limit", False),
        ([b"<?xml"], "the daemon closed the connection", True),
        ([QUEUED], "the daemon closed the connection", True),
    ],
    ids=["at once", "in the middle of a word", "later"],
)
def test_a_daemon_that_goes_away_is_no_grant(scene: Scene, messages: list[bytes], why: str, answered: bool) -> None:
    scene.hear(*messages).daemon.close()
    with pytest.raises(DaemonLost) as caught:
        scene.client.lock(LOCK)
    assert str(caught.value) == why
    assert scene.client.connection.has_answered == answered


def test_our_unique_id_is_told(scene: Scene) -> None:
    scene.hear(GRANTED).client.lock(LOCK)
    told = scene.daemon.read()
    assert isinstance(told, Lock)
    assert told.peer_id == unique_id()


def test_what_would_be_too_long_for_the_daemon_is_not_sent(scene: Scene) -> None:
    with pytest.raises(LocalProtocolError, match="too long"):
        scene.client.lock(Lock("R" * 400))
    assert scene.daemon.read() is None


def test_a_connection_is_good_for_one_lock_at_a_time(scene: Scene) -> None:
    scene.hold()
    with pytest.raises(LocalProtocolError):
        scene.client.lock(LOCK)
    with pytest.raises(Misuse):
        scene.client.lock(LOCK)


# the end of the wait


@pytest.mark.parametrize("messages", [[], [b"<?xml"], [QUEUED], [INCUBATED]])
def test_a_daemon_that_says_nothing_is_not_waited_for_for_ever(scene: Scene, messages: list[bytes]) -> None:
    with pytest.raises(LockTimeout, match="R1 at the daemon: not granted in time"):
        scene.hear(*messages).client.lock(LOCK, monotonic() + 0.05)
    assert scene.is_given_up


def test_a_daemon_that_tells_to_wait_again_and_again_gains_no_time(scene: Scene, elsewhere: Callable[..., Any]) -> None:
    def stall() -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            while True:
                scene.daemon.send(STILL_QUEUED)

    scene.hear(QUEUED)
    stalling = elsewhere(stall)
    with pytest.raises(LockTimeout):
        scene.client.lock(LOCK, monotonic() + 0.05)
    stalling.result()


def test_an_interrupt_closes_the_connection(scene: Scene, elsewhere: Callable[..., Any]) -> None:
    def interrupt() -> None:
        scene.daemon.read()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupting = elsewhere(interrupt)
    with pytest.raises(KeyboardInterrupt):
        scene.client.lock(LOCK)
    interrupting.result()
    assert scene.is_given_up


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """Handles SIGUSR1 as long as the test lasts, and notes that."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_that_is_handled_ends_no_wait(scene: Scene, elsewhere: Callable[..., Any], handled: list[int]) -> None:
    def disturb() -> None:
        scene.daemon.read()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        eventually(lambda: handled, "the handler")
        scene.daemon.send(GRANTED)

    disturbing = elsewhere(disturb)
    assert scene.client.lock(LOCK) == Granted(None)
    disturbing.result()


def interrupt_wait(scene: Scene, elsewhere: Callable[..., Any]) -> None:
    """Send a signal while the client waits, which ends the wait."""

    def disturb() -> None:
        scene.daemon.read()
        os.kill(os.getpid(), signal.SIGUSR1)

    disturbing = elsewhere(disturb)
    with pytest.raises(Interrupted, match="R1 at the daemon"):
        scene.client.lock(LOCK, interrupts=True)
    disturbing.result()


def test_but_it_does_if_that_is_wanted(scene: Scene, elsewhere: Callable[..., Any], handled: list[int]) -> None:
    interrupt_wait(scene, elsewhere)
    assert handled == [signal.SIGUSR1]
    assert scene.is_given_up


def test_another_wakeup_descriptor_is_written_to(
    scene: Scene, elsewhere: Callable[..., Any], handled: list[int]
) -> None:
    noted, noting = socket.socketpair()
    noting.setblocking(False)
    with noted, noting:
        before = signal.set_wakeup_fd(noting.fileno())
        try:
            interrupt_wait(scene, elsewhere)
            assert noted.recv(9) == bytes([signal.SIGUSR1])
            os.kill(os.getpid(), signal.SIGUSR1)
            assert noted.recv(9) == bytes([signal.SIGUSR1])
        finally:
            signal.set_wakeup_fd(before)


def test_other_threads_get_no_signals(scene: Scene, elsewhere: Callable[..., Any]) -> None:
    scene.hear(GRANTED)
    assert elsewhere(scene.client.lock, LOCK, interrupts=True).result() == Granted(None)


# while it is held, and afterwards


def test_while_the_lock_is_held_nothing_the_daemon_says_ends_it(scene: Scene) -> None:
    scene.hold().hear(b"hello</msg>", STILL_QUEUED)
    assert not scene.client.is_lost
    assert scene.client.fileno() >= 0


def test_a_lock_that_is_lost_is_noticed(scene: Scene) -> None:
    scene.hold().hear(b"hello")
    scene.daemon.close()
    assert scene.client.is_lost
    with pytest.raises(DaemonLost, match="the daemon closed the connection") as caught:
        scene.client.unlock("R1")
    assert caught.value.code is ReturnCode.SEND_ERROR
    assert scene.client.fileno() == -1


def test_a_contested_lock_is_held_until_it_is_released(scene: Scene, elsewhere: Callable[..., Any]) -> None:
    scene.hear(GRANTED_BY_OURS).client.lock(LOCK)
    assert isinstance(asked := scene.daemon.read(), Lock)
    assert asked.extended
    scene.hear(encode(Contested()))
    assert not scene.client.is_lost
    assert scene.client.is_contested
    unlocking = elsewhere(scene.client.unlock, "R1")
    assert scene.daemon.read() == Unlock("R1")
    scene.hear(encode(Unlocked())).daemon.close()
    with pytest.raises(LockContested, match="another daemon of the group has granted"):
        unlocking.result()


def test_a_lock_that_an_administrator_has_ended_is_lost(scene: Scene) -> None:
    scene.hear(GRANTED_BY_OURS).client.lock(LOCK)
    scene.hear(encode(Revoked("root")))
    assert not scene.client.is_lost  # until the connection ends
    scene.daemon.close()
    assert scene.client.is_lost
    with pytest.raises(LockRevoked, match=r"an administrator has released it \(root\)"):
        scene.client.unlock("R1")


def test_the_longest_name_is_asked_for_as_any_other(scene: Scene) -> None:
    name = "n" * 180
    while True:
        try:
            encode(LOCK.replace(name=name + "n", peer_id=unique_id()))
        except LocalProtocolError:
            break
        name += "n"
    scene.hear(GRANTED).client.lock(LOCK.replace(name=name))
    assert isinstance(asked := scene.daemon.read(), Lock)
    assert asked.extended


def test_a_client_that_waits_no_longer_says_why(scene: Scene) -> None:
    queued = QUEUED.replace(b'step="16"', b'step="16" extended="1"')
    with pytest.raises(LockTimeout):
        scene.hear(queued).client.lock(LOCK, monotonic() + 0.01)
    assert isinstance(scene.daemon.read(), Lock)
    assert scene.daemon.read() == Goodbye("R1", WhyWithdrawn.TIMEOUT)
    assert scene.daemon.read() is None


def test_a_daemon_of_flom_s_is_not_told_why(scene: Scene) -> None:
    with pytest.raises(LockTimeout):
        scene.hear(QUEUED).client.lock(LOCK, monotonic() + 0.01)
    assert isinstance(scene.daemon.read(), Lock)
    assert scene.daemon.read() is None


def test_an_unlock_closes_our_side_and_waits_for_the_daemons(scene: Scene, elsewhere: Callable[..., Any]) -> None:
    unlocking = elsewhere(scene.hold().client.unlock, "R1", rollback=True)
    assert scene.daemon.read() == Unlock("R1", rollback=True)
    assert scene.daemon.read() is None
    assert not unlocking.done()
    scene.daemon.close()
    unlocking.result()
    assert scene.client.fileno() == -1
    assert not scene.client.is_lost


def test_a_daemon_that_does_not_close_is_not_waited_for_for_ever(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flom.client.blocking.connection, "CLOSE_TIMEOUT", 0.05)
    with pytest.raises(DaemonLost, match=r"has not confirmed the unlock within 0\.05 s") as caught:
        scene.hold().client.unlock("R1")
    assert caught.value.code is ReturnCode.RECV_ERROR
    assert scene.is_given_up


def test_an_answer_is_all_that_an_unlock_waits_for(scene: Scene, elsewhere: Callable[..., Any]) -> None:
    scene.hear(GRANTED_BY_OURS).client.lock(LOCK)
    unlocking = elsewhere(scene.client.unlock, "R1")
    assert [type(scene.daemon.read()) for _ in range(2)] == [Lock, Unlock]
    scene.hear(encode(Unlocked()))
    unlocking.result()
    assert scene.client.fileno() == -1


def test_a_daemon_that_answers_unlocks_has_to_do_so(scene: Scene, elsewhere: Callable[..., Any]) -> None:
    scene.hear(GRANTED_BY_OURS).client.lock(LOCK)
    unlocking = elsewhere(scene.client.unlock, "R1")
    assert [type(scene.daemon.read()) for _ in range(2)] == [Lock, Unlock]
    scene.daemon.close()
    with pytest.raises(DaemonLost, match="has not confirmed the unlock before the connection ended"):
        unlocking.result()


@pytest.mark.parametrize("granted", [GRANTED, GRANTED_BY_OURS], ids=["FLoM's", "ours"])
def test_a_reset_is_no_unlock(granted: bytes, elsewhere: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    ours.setblocking(False)
    client = Conversation(Stream(ours), "the daemon")
    theirs.sendall(granted)
    client.lock(LOCK)
    theirs.recv(4096)
    unlocking = elsewhere(client.unlock, "R1")
    assert b'verb="2"' in theirs.recv(4096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    with pytest.raises(DaemonLost, match="has not confirmed the unlock before the connection ended"):
        unlocking.result()


def hold_for_a_minute(scene: Scene) -> Conversation:
    """Return the client's end, by which it holds a lock that the daemon keeps for 60 s if the connection breaks."""
    terms = Terms(timeout=60.0)
    scene.daemon.say(Answer(16, Outcome.GRANTED, extended=True, session="0" * 32, terms=terms))
    scene.client.lock(LOCK)
    return scene.client


def test_an_unlock_is_asked_for_again_as_long_as_the_daemon_keeps_the_lock(scene: Scene) -> None:
    client = hold_for_a_minute(scene)
    times: list[float] = []

    def go_on(deadline: float) -> None:
        times.append(deadline - monotonic())

    client.go_on = go_on
    client.break_off()
    client.unlock("R1")
    assert times == [pytest.approx(60.0, abs=10.0)]


def test_another_connection_on_which_an_unlock_is_not_answered_is_left(
    scene: Scene, elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flom.client.blocking.connection, "UNLOCK_TRY", 0.1)
    others = [Scene(), Scene()]
    ways = iter([hold_for_a_minute(other) for other in others])
    client = hold_for_a_minute(scene)
    client.go_on = lambda deadline: next(ways)
    client.break_off()
    unlocking = elsewhere(client.unlock, "R1")
    assert [type(others[1].daemon.read()) for _ in range(2)] == [Lock, Unlock]
    assert others[0].client.is_broken
    others[1].daemon.say(Unlocked())
    unlocking.result()
    for other in others:
        other.close()


def test_what_is_not_held_is_not_unlocked(scene: Scene) -> None:
    with pytest.raises(LocalProtocolError):
        scene.client.unlock("R1")


def test_to_close_is_to_give_up_once_and_for_all(scene: Scene) -> None:
    scene.hold().client.close()
    scene.client.close()
    assert scene.daemon.read() is None
    for use in (lambda: scene.client.lock(LOCK), lambda: scene.client.unlock("R1")):
        with pytest.raises(Misuse, match="the daemon"):
            use()


def test_a_real_daemon_grants_and_takes_back(daemon: Daemon) -> None:
    config = Config(socket_name=daemon.socket)
    for _ in range(2):
        conversation = connect(config)
        assert isinstance(granted := conversation.lock(LOCK), Granted)
        assert granted.token
        assert peers.is_locked(daemon.socket, "R1")
        conversation.unlock("R1")
        assert not peers.is_locked(daemon.socket, "R1")


@pytest.mark.parametrize("moment", ["send", "receive"])
def test_what_the_handler_of_a_signal_raises_is_no_end(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        conversation = Conversation(RingingStream(ours, moment), "the daemon")
        with pytest.raises(TimeoutError, match="the alarm"):
            conversation.lock(Lock("R1"), monotonic() + 10)
        assert conversation.fileno() == -1


class RingingStream(Stream):
    """A connection that a signal interrupts while something is sent or received."""

    def __init__(self, connected: socket.socket, moment: str) -> None:
        super().__init__(connected)
        self.socket = _Ringing(connected, moment)  # type: ignore[assignment]


class _Ringing:
    """A socket in whose calls the handler of an alarm raises."""

    def __init__(self, connected: socket.socket, moment: str) -> None:
        self._connected = connected
        self._moment = "recv" if moment == "receive" else moment

    def __getattr__(self, name: str) -> Any:
        if name == self._moment:
            raise TimeoutError("the alarm")
        return getattr(self._connected, name)
