"""A program changes the mode of a lock that it holds; tests/contract has what all clients have in common."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flom import lock, lock_all
from flom.client.blocking.lock import BlockingLock, Held
from flom.codes import Outcome
from flom.core.modes import CR, EX, PR, PW, LockMode
from flom.core.protocol.messages import Answer, Convert, ConvertAnswer, Wanted
from flom.errors import DaemonLost, InvalidRequest, LockBusy, LockDeadlock, LockTimeout, Misuse, Unsupported
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.peers import PATIENCE, FakeDaemon
from tests.fakes.programs import Programs, eventually, free_port

if TYPE_CHECKING:
    from flom.core.modes import ModeName

NAME = "R1"


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Future[Any]]]:
    """Runs a function in another thread, and gives its future."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


class Scene:
    """A lock in PR, by token 5, of a daemon that a test plays."""

    def __init__(self, fake: FakeDaemon, path: Path, *, converts: bool = True) -> None:
        self.lock = lock(NAME, "PR", socket=path, start=False)
        with ThreadPoolExecutor() as threads:
            acquiring = threads.submit(self.lock.acquire)
            self.daemon, _ = fake.accept()
            self.daemon.say(Answer(16, 0, None, "0" * 32, extended=True, token=5, converts=converts))
            self.held = acquiring.result(PATIENCE)

    def answer(self, code: int, mode: LockMode, number: int, token: int = 0, *, step: int = 16) -> None:
        self.daemon.say(ConvertAnswer(step, code, mode, number, token))

    def release(self) -> None:
        """Release the lock, while the daemon confirms that."""
        confirming = threading.Thread(target=self.daemon.unlock)
        confirming.start()
        self.held.release()
        confirming.join()


@pytest.fixture
def scene(fake: FakeDaemon, tmp_path: Path) -> Scene:
    return Scene(fake, tmp_path / "fake.sock")


def test_the_mode_and_the_token_change(scene: Scene, elsewhere: Callable[..., Future[Any]]) -> None:
    assert (scene.held.mode, scene.held.token) == (PR, 5)
    converting = elsewhere(scene.held.convert, "ex")
    assert scene.daemon.read() == Convert(NAME, EX, True, 1)
    scene.answer(Outcome.QUEUED, EX, 1)
    assert (scene.held.mode, converting.done()) == (PR, False)
    scene.answer(Outcome.GRANTED, EX, 1, 7, step=24)
    converting.result(PATIENCE)
    assert (scene.held.mode, scene.held.token) == (EX, 7)
    assert repr(scene.held) == "<lock 'R1' EX, held>"
    scene.release()


def test_what_waits_too_long_is_withdrawn(scene: Scene) -> None:
    with pytest.raises(LockTimeout, match=r"^R1 at .*: not converted within 0.01 s$"):
        scene.held.convert(EX, timeout=0.01)
    assert [scene.daemon.read(), scene.daemon.read()] == [Convert(NAME, EX, True, 1), Convert(NAME, PR, True, 2)]
    scene.answer(Outcome.GRANTED, EX, 1, 7)  # just before it was withdrawn
    scene.answer(Outcome.GRANTED, PR, 2, 7)
    eventually(lambda: not scene.held.is_lost and scene.held.token == 7, "both answers")
    assert scene.held.mode == PR
    scene.release()


def test_others_can_want_the_lock_meanwhile(scene: Scene, elsewhere: Callable[..., Future[Any]]) -> None:
    converting = elsewhere(scene.held.convert, EX)
    assert scene.daemon.read() == Convert(NAME, EX, True, 1)
    scene.daemon.say(Wanted())
    scene.answer(Outcome.GRANTED, EX, 1, 7)
    converting.result(PATIENCE)
    assert scene.held.wanted
    scene.release()


def test_a_daemon_that_knows_no_conversions_is_not_asked(fake: FakeDaemon, tmp_path: Path) -> None:
    scene = Scene(fake, tmp_path / "fake.sock", converts=False)
    with pytest.raises(Unsupported, match="one of FLoM's, or an older one, which cannot convert locks"):
        scene.held.convert(EX)
    assert (scene.held.mode, scene.held.token, scene.held.lost) == (PR, 5, None)
    scene.release()  # which is the first thing that the daemon hears


def test_one_conversion_waits_at_a_time(scene: Scene, elsewhere: Callable[..., Future[Any]]) -> None:
    converting = elsewhere(scene.held.convert, EX)
    assert scene.daemon.read() == Convert(NAME, EX, True, 1)
    with pytest.raises(Misuse, match="it is being converted already"):
        scene.held.convert(PW)
    scene.answer(Outcome.BUSY, EX, 1)
    with pytest.raises(LockBusy, match="other holders are in the way of the conversion"):
        converting.result(PATIENCE)
    scene.release()


def test_a_refusal_says_what_the_daemon_says(scene: Scene, elsewhere: Callable[..., Future[Any]]) -> None:
    converting = elsewhere(scene.held.convert, EX)
    assert scene.daemon.read() == Convert(NAME, EX, True, 1)
    scene.daemon.say(ConvertAnswer(16, Outcome.DEADLOCK, EX, 1, why="it would wait for ever: db (PR) is held by ann"))
    with pytest.raises(LockDeadlock, match=rf"^{NAME} at .*: it would wait for ever: db \(PR\) is held by ann$"):
        converting.result(PATIENCE)
    assert scene.held.mode is PR
    scene.release()


def test_a_release_ends_the_wait(scene: Scene, elsewhere: Callable[..., Future[Any]]) -> None:
    converting = elsewhere(scene.held.convert, EX)
    assert scene.daemon.read() == Convert(NAME, EX, True, 1)
    scene.release()
    with pytest.raises(Misuse, match="released before it was converted"):
        converting.result(PATIENCE)
    with pytest.raises(Misuse, match="not held any more"):
        scene.held.convert(CR)


def test_the_end_of_the_daemon_ends_the_wait(scene: Scene, elsewhere: Callable[..., Future[Any]]) -> None:
    converting = elsewhere(scene.held.convert, EX)
    assert scene.daemon.read() == Convert(NAME, EX, True, 1)
    scene.daemon.close()
    with pytest.raises(DaemonLost, match=r"^R1: .* closed the connection$"):
        converting.result(PATIENCE)
    assert scene.held.is_lost
    with pytest.raises(DaemonLost):
        scene.held.convert(CR)


def test_an_interrupt_withdraws_it(address: str) -> None:
    class Enough(Exception):
        """What the handler of the signal raises."""

    def enough(*_: object) -> None:
        raise Enough

    handler = signal.signal(signal.SIGUSR1, enough)
    reader, other = (lock("interrupted", "PR", socket=address).acquire() for _ in range(2))
    try:
        threading.Timer(0.05, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)).start()
        with pytest.raises(Enough):
            reader.convert(EX)
    finally:
        signal.signal(signal.SIGUSR1, handler)
    assert reader.mode == PR
    reader.release()
    other.convert(EX, timeout=0)
    other.release()


def test_of_several_locks_none_is_converted(address: str) -> None:
    with lock_all(["severalA", "severalB"], socket=address) as held:
        assert held.mode == EX
        with pytest.raises(InvalidRequest, match=r"^severalA and severalB: a lock that was taken at once with others"):
            held.convert(PR)
        held.check()


def test_a_forked_child_cannot_convert_it(address: str) -> None:
    with lock("forked", socket=address) as held:
        held.convert("PW")
        if (child := os.fork()) == 0:
            try:
                held.convert("PR")
            except Misuse:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert held.mode == PW


@pytest.mark.parametrize("transport", ["UNIX", "TCP"])
def test_the_lock_is_reclaimed_in_the_mode_that_is_held(
    programs: Programs, tmp_path: Path, elsewhere: Callable[..., Future[Any]], transport: str
) -> None:
    """By two readers, of which one was a writer, and wants to write again while the daemon is replaced."""
    path, port = str(tmp_path / "flom.sock"), free_port()
    options = ["--socket-name", path] if transport == "UNIX" else ["-a", "127.0.0.1", "--unicast-port", str(port)]
    at = ["-s", path] if transport == "UNIX" else ["-a", "127.0.0.1", "-p", str(port)]

    def begin(mode: ModeName) -> Held:
        where: Any = {"socket": path} if transport == "UNIX" else {"address": "127.0.0.1", "port": port}
        made: BlockingLock = lock("db", mode, start=False, **where)
        return made.acquire()

    def status() -> str:
        return programs.start_program(str(BIN / "flomctl"), "status", *at).finish().stdout

    def is_busy(mode: ModeName) -> bool:
        words = [*at, "-d", "0", "-r", "db", "-l", mode, "-o", "0", "--", "true"]
        return programs.run(*words).returncode == 98

    with Daemon(*options) as daemon:
        writer = begin("EX")
        token = writer.token
        writer.convert("PR")
        reader = begin("PR")
        converting = elsewhere(writer.convert, "EX")
        eventually(lambda: "converts" in status(), "the conversion, which waits")
        daemon.__exit__(None, None, None)
        with Daemon(*options) as daemon:
            reader.convert("CR")
            assert not converting.done()
            reader.release()
            converting.result(PATIENCE)
            assert (writer.mode, writer.lost) == (EX, None)
            assert writer.token is not None
            assert token is not None
            assert writer.token > token
            daemon.__exit__(None, None, None)
            with Daemon(*options):
                writer.convert("EX")  # once it has been reclaimed
                assert is_busy("CR")
                writer.convert("PW", timeout=0)
                assert not is_busy("CR")
                writer.release()
