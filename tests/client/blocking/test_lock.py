"""Locks for plain scripts: C{from flom import lock}."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from time import monotonic_ns, sleep
from typing import Any

import pytest

from flom import lock
from flom.client.blocking.connection import Conversation
from flom.client.blocking.lock import BlockingLock
from flom.codes import ReturnCode
from flom.config import Config
from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding
from flom.core.modes import LockMode
from flom.core.protocol.messages import Answer, Contested, Goodbye, Lock, Unlock, Unlocked, WhyWithdrawn
from flom.errors import (
    CannotWait,
    ConfigError,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    InvalidName,
    InvalidRequest,
    LocalProtocolError,
    LockBusy,
    LockContested,
    LockImpossible,
    LockTimeout,
    Misuse,
    RemoteProtocolError,
)
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon, is_locked
from tests.fakes.programs import Programs, Running, eventually, free_port

NEVER = Config(lifespan_ms=0)
"""Forbids to start a daemon."""


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Any]]:
    """Runs a function in another thread, and gives its future."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


# taking and giving back


def test_with_gives_it_back(daemon: Daemon) -> None:
    with lock("red.green.blue", socket=daemon.socket, timeout=5) as held:
        assert (held.resource, held.element) == ("red.green.blue", "red")
        with lock("red.green.blue", socket=daemon.socket) as other:
            assert other.element == "green"
    with lock("red.green.blue", socket=Path(daemon.socket)) as held:
        assert held.element == "blue"  # sets take turns


def test_a_prompt_shows_what_is_held(daemon: Daemon) -> None:
    reading = lock("R1", "PR", socket=daemon.socket)
    assert repr(reading) == "<lock 'R1' PR, not held>"
    with reading as held:
        assert repr(held) == repr(reading) == "<lock 'R1' PR, held>"
    assert repr(held) == "<lock 'R1' PR, released>"


def test_what_is_acquired_is_released(daemon: Daemon) -> None:
    held = lock("R", socket=daemon.socket).acquire()
    assert is_locked(daemon.socket, "R")
    assert not held.is_lost
    held.release()
    assert not is_locked(daemon.socket, "R")


def test_it_may_be_given_back_before_the_end_of_the_block(daemon: Daemon) -> None:
    with lock("R", socket=daemon.socket) as held:
        held.release()
        assert not is_locked(daemon.socket, "R")


def test_a_lock_object_may_be_used_again(daemon: Daemon) -> None:
    again = lock("R", socket=daemon.socket)
    for _ in range(3):
        with again:
            assert is_locked(daemon.socket, "R")
        assert not is_locked(daemon.socket, "R")


def test_a_body_that_fails_rolls_back(daemon: Daemon) -> None:
    numbers = lock("_S_N[1]", socket=daemon.socket)
    with pytest.raises(ZeroDivisionError), numbers:
        raise ZeroDivisionError
    with numbers as held:
        assert held.element == "1"
    with numbers as held:
        assert held.element == "2"
    numbers.acquire().release(rollback=True)
    assert numbers.acquire().element == "3"


@pytest.mark.parametrize(
    ("first", "second", "are_compatible"),
    [(LockMode.PR, "pr", True), ("PR", "EX", False), (0, 5, True), (LockMode.CR, LockMode.PW, True)],
)
def test_modes(daemon: Daemon, first: LockMode, second: LockMode, are_compatible: bool) -> None:
    with lock("R", first, socket=daemon.socket):
        other = lock("R", second, socket=daemon.socket, wait=False)
        if are_compatible:
            other.acquire().release()
        else:
            with pytest.raises(LockBusy):
                other.acquire()


def test_whoever_waits_gets_it_in_the_end(daemon: Daemon, elsewhere: Callable[..., Any]) -> None:
    held = lock("R", socket=daemon.socket).acquire()
    waiting = elsewhere(lock("R", socket=daemon.socket).acquire)
    held.release()
    waiting.result().release()


def test_threads_exclude_each_other(daemon: Daemon, elsewhere: Callable[..., Any]) -> None:
    holdings: list[Holding] = []

    def hold() -> None:
        for _ in range(20):
            with lock("R", socket=daemon.socket):
                begin = monotonic_ns()
                sleep(0)  # so that another thread may run
                holdings.append(Holding(get_ident(), "R", begin, monotonic_ns()))

    for holding in [elsewhere(hold) for _ in range(5)]:
        holding.result()
    assert len(holdings) == 100
    assert violations(holdings) == []


# decorating


def test_each_call_of_a_decorated_function_takes_a_lock(daemon: Daemon, elsewhere: Callable[..., Any]) -> None:
    @lock("N[3]", socket=daemon.socket, wait=False)
    def factorial(number: int) -> int:
        """Multiply."""
        return number * factorial(number - 1) if number > 1 else 1

    assert factorial(3) == 6
    with pytest.raises(LockBusy):
        factorial(4)
    assert elsewhere(factorial, 3).result() == 6
    assert (factorial.__name__, factorial.__doc__) == ("factorial", "Multiply.")


def test_a_decorated_function_that_fails_rolls_back(daemon: Daemon) -> None:
    @lock("_S_N[1]", socket=daemon.socket)
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert lock("_S_N[1]", socket=daemon.socket).acquire().element == "1"


def test_what_runs_later_is_not_decorated() -> None:
    async def coroutine() -> None:
        pass

    def generator() -> Iterator[None]:
        yield

    for function in (coroutine, generator):
        with pytest.raises(Misuse, match=r"R: .* would run after the release of its lock"):
            lock("R", config=NEVER)(function)


# mistakes


def test_what_is_held_is_not_taken_again(daemon: Daemon, elsewhere: Callable[..., Any]) -> None:
    once = lock("R", "NL", socket=daemon.socket)
    with once:
        for take in (once.acquire, once.__enter__, elsewhere(once.acquire).result):
            with pytest.raises(Misuse, match=r"^R: held or being acquired already"):
                take()
    once.acquire().release()


def test_what_is_being_acquired_is_not_acquired(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any]
) -> None:
    once = lock("R", socket=tmp_path / "fake.sock")
    acquiring = elsewhere(once.acquire)
    conversation, _ = fake.accept()
    with pytest.raises(Misuse, match=r"^R: held or being acquired already"):
        once.acquire()
    conversation.answer(4)
    with pytest.raises(LockBusy):
        acquiring.result()


def test_what_is_not_held_is_not_released(daemon: Daemon) -> None:
    held = lock("R", socket=daemon.socket).acquire()
    held.release()
    for use in (held.release, held.fileno):
        with pytest.raises(Misuse, match=f"^R at {daemon.socket}: not held any more$"):
            use()
    assert held.is_released
    assert not held.is_lost


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        ({"name": "no name"}, InvalidName, "'no name' is not a valid name"),
        ({"mode": "XX"}, InvalidRequest, "R: mode 'XX'"),
        ({"timeout": -1}, InvalidRequest, "R: timeout -1"),
        ({"quantity": 2**31}, InvalidRequest, "R: quantity"),
        ({"lifespan": "long"}, InvalidRequest, "R: lifespan"),
        ({"port": 0, "address": "127.0.0.1"}, InvalidRequest, "R: port 0"),
        ({"port": 28015}, InvalidRequest, "R: port 28015 is of no use without an address or a group"),
        ({"socket": "s", "address": "127.0.0.1"}, ConfigError, "exclude each other"),
        ({"socket": "s", "group": "ff02::1"}, ConfigError, "exclude each other"),
        ({"socket": "s" * 200}, ConfigError, "R: socket-name"),
        ({"config": Config(tls_check_peer_id=True)}, ConfigError, "R: .*tls-check-peer-id needs"),
        ({"name": "R" * 400}, LocalProtocolError, "too long"),
    ],
)
def test_arguments_are_checked_at_once(arguments: dict[str, Any], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        lock(**{"name": "R"} | arguments)


# refusals and failures


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"name": "R", "wait": False}, LockBusy),
        ({"name": "R", "timeout": 0}, LockBusy),
        ({"name": "S", "wait": False, "create": False}, CannotWait),
        ({"name": "N[2]", "quantity": 3}, LockImpossible),
    ],
)
def test_a_refusal_tells_what_and_where(daemon: Daemon, arguments: dict[str, Any], error: type[Exception]) -> None:
    with lock("R", socket=daemon.socket):
        refused = lock(**arguments, socket=daemon.socket)
        with pytest.raises(error) as caught:
            refused.acquire()
        assert str(caught.value).startswith(f"{arguments['name']} at {daemon.socket}: ")
        with pytest.raises(error):
            refused.acquire()  # it is free to be used again


def test_a_timeout_leaves_the_queue(daemon: Daemon) -> None:
    held = lock("R", socket=daemon.socket).acquire()
    with pytest.raises(LockTimeout) as caught:
        lock("R", socket=daemon.socket, timeout=0.05).acquire()
    assert str(caught.value) == f"R at {daemon.socket}: not granted within 0.05 s"
    held.release()
    assert not is_locked(daemon.socket, "R")


def test_a_daemon_that_says_nothing_does_not_hang_us(fake: FakeDaemon, tmp_path: Path) -> None:
    with pytest.raises(LockTimeout, match=r"^R at .*fake.sock: not granted within 0.05 s$"):
        lock("R", socket=tmp_path / "fake.sock", timeout=0.05).acquire()
    conversation, _ = fake.accept()
    assert conversation.read() == Goodbye("R", WhyWithdrawn.TIMEOUT)
    assert conversation.read() is None


def test_a_daemon_that_ends_before_it_says_anything_is_asked_once_more(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any]
) -> None:
    acquiring = elsewhere(lock("R", socket=tmp_path / "fake.sock").acquire)
    fake.accept()[0].close()
    conversation, _ = fake.accept()
    conversation.answer(0)
    releasing = elsewhere(acquiring.result().release)
    assert conversation.read() == Unlock("R")
    conversation.close()
    releasing.result()


@pytest.mark.parametrize(("start", "times"), [(False, 2), (True, 11)])
def test_but_not_for_ever(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any], start: bool, times: int
) -> None:
    """It does so more often where it may start the next daemon, which may be killed in its turn."""
    acquiring = elsewhere(lock("R", socket=tmp_path / "fake.sock", start=start, timeout=20).acquire)
    for number in range(times):
        conversation, asked = fake.accept()
        assert asked.name == "R"
        conversation.close()
        if number:
            fake.accept()[0].close()  # by which it wants to know whether the daemon stands by under a quorum
    with pytest.raises(DaemonLost, match=r"^R: .*fake.sock closed the connection without an answer"):
        acquiring.result()


def test_when_its_daemon_goes_a_waiter_waits_at_the_next(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any]
) -> None:
    acquiring = elsewhere(lock("R", socket=tmp_path / "fake.sock", timeout=20).acquire)
    for _ in range(3):
        conversation, asked = fake.accept()
        assert (asked.name, asked.wait, asked.regains) == ("R", True, False)
        conversation.answer(1)
        conversation.close()
    conversation, _ = fake.accept()
    conversation.answer(0)
    acquiring.result().drop()


def test_it_waits_for_one_where_it_may_not_start_one(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any]
) -> None:
    path = tmp_path / "fake.sock"
    acquiring = elsewhere(lock("R", socket=path, start=False, timeout=20).acquire)
    conversation, _ = fake.accept()
    conversation.answer(1)
    fake.close()
    with Daemon("--socket-name", str(path)):
        acquiring.result().release()


def test_but_only_as_long_as_its_timeout(fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any]) -> None:
    acquiring = elsewhere(lock("R", socket=tmp_path / "fake.sock", start=False, timeout=1.0).acquire)
    conversation, _ = fake.accept()
    conversation.answer(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fake.close()
        with pytest.raises(LockTimeout, match="within 1 s"):
            acquiring.result()
    assert [str(each.message) for each in caught] == [
        f"{tmp_path / 'fake.sock'}: no daemon is listening: the daemon has gone, waiting for another one"
    ]


def test_a_daemon_that_makes_no_sense_is_told_of(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any]
) -> None:
    acquiring = elsewhere(lock("R", socket=tmp_path / "fake.sock").acquire)
    conversation, _ = fake.accept()
    conversation.send(b"hello</msg>")
    with pytest.raises(RemoteProtocolError, match=r"^R: .*fake.sock: not XML"):
        acquiring.result()
    assert conversation.read() is None


@pytest.fixture
def loser(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon from whose successor no lock is reclaimed."""
    with Daemon("--socket-name", str(tmp_path / "lost.sock"), "--session-timeout", "0") as daemon:
        yield daemon


def test_a_lock_that_was_lost_is_told_of_in_the_end(loser: Daemon) -> None:
    def lose() -> None:
        with lock("R", socket=loser.socket) as held:
            loser.process.kill()
            eventually(lambda: held.is_lost, "the loss")

    with pytest.raises(DaemonLost) as caught:
        lose()
    assert str(caught.value) == f"R: {loser.socket} closed the connection"
    assert caught.value.code is ReturnCode.SEND_ERROR


def test_a_contested_lock_is_told_of_in_the_end(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any]
) -> None:
    acquiring = elsewhere(lock("R", socket=tmp_path / "fake.sock").acquire)
    conversation, _ = fake.accept()
    conversation.say(Answer(16, 0, None, "0" * 32, extended=True))
    held = acquiring.result()
    assert not held.is_lost
    conversation.say(Contested())
    eventually(lambda: held.is_lost, "the contest")
    releasing = elsewhere(held.release)
    assert conversation.read() == Unlock("R")
    conversation.say(Unlocked())
    conversation.close()
    with pytest.raises(LockContested, match=r"^R: .*another daemon of the group"):
        releasing.result()


def test_a_lock_says_itself_whether_and_why_it_was_lost(loser: Daemon) -> None:
    held = lock("R", socket=loser.socket).acquire()
    assert held.lost is None
    loser.process.kill()
    eventually(lambda: held.lost is not None, "the loss")
    with pytest.raises(DaemonLost) as caught:
        held.release()
    assert str(caught.value) == str(held.lost) == f"R: {loser.socket} closed the connection"


def test_a_block_checks_that_it_has_the_lock_before_a_step(loser: Daemon) -> None:
    """What the check has raised is not noted once more by the release."""
    steps = []

    def lose() -> None:
        with lock("R", socket=loser.socket) as held:
            held.check()
            steps.append("first")
            loser.process.kill()
            eventually(lambda: held.is_lost, "the loss")
            held.check()
            steps.append("second")

    with pytest.raises(DaemonLost, match=r"^R: .* closed the connection$") as caught:
        lose()
    assert steps == ["first"]
    assert not getattr(caught.value, "__notes__", [])


def test_a_lock_that_is_not_held_any_more_cannot_be_checked(address: str, resource: str) -> None:
    held = lock(resource, socket=address).acquire()
    held.release()
    with pytest.raises(Misuse, match="not held any more"):
        held.check()


def test_a_release_by_another_thread_while_it_is_checked_is_no_loss(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release ends the connection, as a daemon that dies does."""
    acquiring = elsewhere(lock("R", socket=tmp_path / "fake.sock").acquire)
    daemon, _ = fake.accept()
    daemon.say(Answer(16, 0, None, "0" * 32, extended=True))
    held = acquiring.result()

    def release_meanwhile(conversation: Conversation) -> bool:
        monkeypatch.undo()
        releasing = elsewhere(held.release)
        assert daemon.read() == Unlock("R")
        daemon.say(Unlocked())
        releasing.result()
        return conversation.is_lost

    monkeypatch.setattr(Conversation, "is_lost", property(release_meanwhile))
    with pytest.raises(Misuse, match="not held any more"):
        held.check()
    assert held.lost is None


def test_an_unlock_that_is_not_confirmed_is_a_loss(
    fake: FakeDaemon, tmp_path: Path, elsewhere: Callable[..., Any]
) -> None:
    acquiring = elsewhere(lock("R", socket=tmp_path / "fake.sock").acquire)
    conversation, _ = fake.accept()
    conversation.say(Answer(16, 0, None, "0" * 32, extended=True))
    held = acquiring.result()
    releasing = elsewhere(held.release)
    assert conversation.read() == Unlock("R")
    conversation.close()
    with pytest.raises(DaemonLost, match=r"^R: .*has not confirmed the unlock before the connection ended"):
        releasing.result()
    assert held.is_lost


def test_but_what_the_body_raises_is_more_telling(loser: Daemon) -> None:
    once = lock("R", config=NEVER, socket=loser.socket)

    def lose() -> None:
        with once:
            loser.process.kill()
            loser.process.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        lose()
    told = f"R: {loser.socket} closed the connection"
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == [told]
    else:
        assert str(caught.value.__context__) == told
    with pytest.raises(DaemonUnreachable):
        once.acquire()


# where the daemon is


def test_files_say_where_it_is_and_not_what_is_locked(tmp_path: Path, daemon: Daemon) -> None:
    (tmp_path / ".flom").write_text(
        f"[Daemon]\nSocketName={daemon.socket}\n[Resource]\nName=other\nLockMode=NL\nTimeout=0\nQuantity=7\n"
    )
    with lock("R"):
        assert is_locked(daemon.socket, "R")
        assert not is_locked(daemon.socket, "other")
        with pytest.raises(LockTimeout):
            lock("R", timeout=0.05).acquire()


def test_the_environment_says_where_it_is_too(tmp_path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".flom").write_text("[Daemon]\nUnicastAddress=none.invalid\n")
    monkeypatch.setenv("FLOM_SOCKET", daemon.socket)
    with lock("R"):
        assert is_locked(daemon.socket, "R")


def test_what_is_wrong_with_them_is_told(tmp_path: Path) -> None:
    (tmp_path / ".flom").write_text("[Daemon]\nUnicastPort=99999\n")
    with pytest.raises(ConfigError, match=r"^R: .*/\.flom"):
        lock("R")
    with pytest.raises(ConfigError, match=r"^R: tcp-keepalive-time: '99999' is an invalid value"):
        lock("R", config=Config(unicast_address="127.0.0.1", keepalive_time=99_999))
    (tmp_path / ".flom").write_text("[TLS]\nTlsCertificate=/dev/null\n")
    with pytest.warns(match="TLS is not used, it needs tls-private-key and tls-ca-certificate too"):
        lock("R")


def test_arguments_replace_all_of_it(daemon: Daemon) -> None:
    configured = Config(unicast_address="127.0.0.1", multicast_address="ff02::1")
    lock("R", config=configured, socket=daemon.socket).acquire().release()


def test_over_tcp() -> None:
    port = free_port()
    there = Daemon("--unicast-address", "127.0.0.1", "--unicast-port", str(port))
    with there, lock("R", address="127.0.0.1", port=port):
        configured = Config(socket_name="/nowhere", unicast_port=port)
        with pytest.raises(LockBusy, match=f"^R at 127.0.0.1:{port}: "):
            lock("R", config=configured, address="127.0.0.1", wait=False).acquire()


def test_a_relative_socket_stays_where_it_was(tmp_path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relative = lock("R", socket=Path(daemon.socket).name)
    monkeypatch.chdir("/")
    relative.acquire().release()


# starting one


@pytest.fixture
def short_lived(tmp_path: Path) -> Iterator[Config]:
    """Where there is no daemon; one that is started there ends soon, and the test with it."""
    config = Config(socket_name=str(tmp_path / "started.sock"), lifespan_ms=300)
    yield config
    eventually(lambda: not Path(config.socket_name).exists(), "the end of the daemon")


def test_a_daemon_is_started_if_there_is_none(short_lived: Config) -> None:
    with lock("R", config=short_lived):
        assert is_locked(short_lived.socket_name, "R")


def test_one_is_enough_for_all(short_lived: Config, elsewhere: Callable[..., Any]) -> None:
    acquiring = [elsewhere(lock("N[4]", config=short_lived).acquire) for _ in range(4)]
    held = [each.result() for each in acquiring]
    with pytest.raises(LockBusy):
        lock("N[4]", config=short_lived, wait=False).acquire()
    for each in held:
        each.release()


def test_the_time_it_takes_to_start_does_not_count(short_lived: Config) -> None:
    lock("R", config=short_lived, timeout=0.1).acquire().release()


def test_it_gets_its_configuration(tmp_path: Path, short_lived: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    traced = Config(
        socket_name=short_lived.socket_name, lifespan_ms=short_lived.lifespan_ms, daemon_trace_file="daemon.trace"
    )
    with lock("R", config=traced):
        assert (tmp_path / "daemon.trace").exists()


@pytest.mark.parametrize(
    "arguments", [{"start": False}, {"config": NEVER}], ids=["not by the call", "not by configuration"]
)
def test_none_is_started_if_that_is_not_wanted(tmp_path: Path, arguments: dict[str, Any]) -> None:
    path = tmp_path / "flom.sock"
    with pytest.raises(DaemonUnreachable, match=f"^R: {path}: no daemon is listening$"):
        lock("R", socket=path, **arguments).acquire()
    assert not list(tmp_path.glob("flom*"))


@pytest.mark.parametrize(
    ("config", "code", "why"),
    [
        (Config(socket_name="/proc/nothing/s"), ReturnCode.OPEN_ERROR, "cannot start a daemon: .*/proc/nothing"),
        (
            Config(unicast_address="127.0.0.1", unicast_port=free_port(), heartbeat_ms=5),
            ReturnCode.DAEMON_NOT_STARTED,
            "the daemon did not start: .*heartbeat: '5'",
        ),
    ],
)
def test_why_none_can_be_started_is_told(config: Config, code: int, why: str) -> None:
    with pytest.raises(DaemonUnreachable, match=f"^R: {why}") as caught:
        lock("R", config=config).acquire()
    assert caught.value.code == code


def test_a_python_that_cannot_be_run_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(DaemonUnreachable, match="nothing' cannot be run: no such file or directory"):
        lock("R", socket=tmp_path / "flom.sock").acquire()


# other processes


HOLD = """\
import os, subprocess, sys
from flom import lock
held = lock("R", socket=sys.argv[1]).acquire()
{what}
print("held", flush=True)
sys.stdin.read()
"""


CLOSED = """\
import os, sys
said = os.dup(1)
for number in eval(sys.argv[2]):
    os.close(number)
from flom import lock
from flom.config import Config
with lock("R", config=Config(socket_name=sys.argv[1], lifespan_ms=300)):
    with open(sys.argv[1] + ".lock") as beside:
        import fcntl
        try:
            fcntl.flock(beside, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.write(said, b"locked")
"""


@pytest.mark.parametrize("closed", [[0], [0, 1], [2], [0, 1, 2]], ids=str)
def test_a_script_without_standard_streams_can_start_a_daemon(
    programs: Programs, tmp_path: Path, closed: list[int]
) -> None:
    """What the daemon inherits must not have the number of its stdin, for example."""
    words = [sys.executable, "-c", CLOSED, str(tmp_path / "started.sock"), str(closed)]
    assert programs.start_program(*words).finish().stdout == "locked"


@pytest.fixture
def holder(programs: Programs, daemon: Daemon) -> Callable[[str], Running]:
    """Starts a script that takes the lock C{R}, does something, and holds it until its stdin is closed."""

    def start(what: str) -> Running:
        running = programs.start_program(sys.executable, "-c", HOLD.format(what=what), daemon.socket)
        assert running.line() == "held"
        return running

    return start


def test_a_script_that_is_killed_has_it_no_more(holder: Callable[[str], Running], daemon: Daemon) -> None:
    running = holder("")
    assert is_locked(daemon.socket, "R")
    running.signal(signal.SIGKILL)
    eventually(lambda: not is_locked(daemon.socket, "R"), "the end of the lock")


def test_a_script_that_just_ends_has_it_no_more(holder: Callable[[str], Running], daemon: Daemon) -> None:
    assert holder("").finish().returncode == 0
    eventually(lambda: not is_locked(daemon.socket, "R"), "the end of the lock")


def test_a_forked_child_does_not_keep_it(holder: Callable[[str], Running], daemon: Daemon) -> None:
    running = holder("os.fork() or sys.stdin.read()")  # the child does not get beyond that
    running.signal(signal.SIGKILL)
    eventually(lambda: not is_locked(daemon.socket, "R"), "the end of the lock")


def test_a_program_that_is_run_does_not_keep_it(holder: Callable[[str], Running], daemon: Daemon) -> None:
    running = holder("subprocess.Popen('cat')")
    running.signal(signal.SIGKILL)
    eventually(lambda: not is_locked(daemon.socket, "R"), "the end of the lock")


def test_unless_it_is_given_the_connection(holder: Callable[[str], Running], daemon: Daemon) -> None:
    running = holder("subprocess.Popen('cat', pass_fds=[held.fileno()])")
    running.signal(signal.SIGKILL)
    running.wait()
    assert is_locked(daemon.socket, "R")
    running.finish()  # closes the stdin of cat
    eventually(lambda: not is_locked(daemon.socket, "R"), "the end of the lock")


def in_child(check: Callable[[], object]) -> bool:
    """Return whether C{check} is true in a forked child."""
    return from_child(lambda: bool(check())) == 1


def from_child(count: Callable[[], int]) -> int:
    """Return what C{count} gives in a forked child, at most 254; 255 if it fails."""
    child = os.fork()
    if not child:
        try:
            os._exit(count())
        finally:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def raises_misuse(use: Callable[[], object]) -> bool:
    try:
        use()
    except Misuse as e:
        return f"held by process {os.getppid()}, not by this one" in str(e)
    return False


def test_a_forked_child_cannot_give_it_back(daemon: Daemon) -> None:
    once = lock("R", socket=daemon.socket)
    with once as held:
        assert in_child(lambda: raises_misuse(held.release))
        assert in_child(lambda: raises_misuse(held.fileno))
        assert in_child(lambda: raises_misuse(lambda: once.__exit__(None, None, None)))
        assert in_child(lambda: not held.is_lost)
        assert is_locked(daemon.socket, "R")
        assert not held.is_lost
    assert not is_locked(daemon.socket, "R")


def test_a_forked_child_can_take_one_of_its_own(daemon: Daemon) -> None:
    once = lock("R", socket=daemon.socket, timeout=0.05)

    def is_busy() -> bool:
        with pytest.raises(LockTimeout):
            once.acquire()
        return True

    with once:
        assert in_child(is_busy)

    def take() -> bool:
        with once:
            return is_locked(daemon.socket, "R")

    assert in_child(take)


def count_sockets() -> int:
    """Count the sockets that this process has open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # what the directory was read by
            links.append(os.readlink(entry))
    return sum(link.startswith("socket:") for link in links)


def test_a_fork_while_others_take_locks_gives_none_of_them_away(daemon: Daemon, elsewhere: Callable[..., Any]) -> None:
    done = threading.Event()

    def take() -> None:
        while not done.is_set():
            lock("N[9]", socket=daemon.socket).acquire().release()

    before = from_child(count_sockets)  # without the connections that are kept here, if there are any
    taking = [elsewhere(take) for _ in range(4)]
    try:
        assert all(from_child(count_sockets) == before for _ in range(50))
    finally:
        done.set()
    for each in taking:
        each.result()


# interrupts


WAIT = """\
import sys
from flom import lock
from flom.config import Config
once = lock("R", config=Config(socket_name=sys.argv[1], lifespan_ms=300))
try:
    once.acquire()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("codes", [[], [1]], ids=["at first", "in the queue"])
def test_an_interrupt_leaves_the_queue(fake: FakeDaemon, programs: Programs, tmp_path: Path, codes: list[int]) -> None:
    running = programs.start_program(sys.executable, "-c", WAIT, str(tmp_path / "fake.sock"))
    conversation, asked = fake.accept()
    assert isinstance(asked, Lock)
    for code in codes:
        conversation.answer_as_ours(code)
    running.signal(signal.SIGINT)
    assert running.line() == "interrupted"
    assert conversation.read() == Goodbye("R", WhyWithdrawn.SIGNAL)
    assert conversation.read() is None  # while the script goes on
    running.finish()


def test_an_interrupt_ends_what_starts_a_daemon(programs: Programs, tmp_path: Path) -> None:
    def daemons() -> list[str]:
        return [words for words in programs.command_lines() if "flom/daemon" in words]

    running = programs.start_program(sys.executable, "-c", WAIT, str(tmp_path / "started.sock"))
    eventually(daemons, "the daemon's start")
    running.signal(signal.SIGINT)
    assert running.line() == "interrupted"
    assert not subprocess.run(["ps", "--ppid", str(running.pid), "-o", "pid="], capture_output=True).stdout
    running.finish()


def test_an_interrupted_start_leaves_no_socket_behind(programs: Programs, tmp_path: Path) -> None:
    path, daemon = tmp_path / "started.sock", tmp_path / "daemon"
    daemon.write_text("#!/bin/sh\nexec sleep 60\n")
    daemon.chmod(0o755)
    script = f"import sys; sys.executable = {str(daemon)!r}\n{WAIT}"
    running = programs.start_program(sys.executable, "-c", script, str(path))
    eventually(lambda: [words for words in programs.command_lines() if "sleep" in words], "the daemon's start")
    assert path.exists()
    running.signal(signal.SIGINT)
    assert running.line() == "interrupted"
    assert not path.exists()
    running.finish()


# what it takes


IMPORTS = """\
import sys
from flom import lock
with lock("R", **eval(sys.argv[1])):
    print(sorted({name.partition(".")[0] for name in sys.modules} & {"twisted", "zope", "OpenSSL", "cryptography"}))
"""


def test_neither_twisted_nor_openssl_is_imported(daemon: Daemon, programs: Programs) -> None:
    run = programs.start_program(sys.executable, "-c", IMPORTS, repr({"socket": daemon.socket})).finish()
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_nor_for_tcp_and_the_start_of_a_daemon(programs: Programs, tmp_path: Path) -> None:
    arguments = {"address": "127.0.0.1", "port": free_port(), "timeout": 5}
    (tmp_path / ".flom").write_text("[Daemon]\nLifespan=300\n")
    run = programs.start_program(sys.executable, "-c", IMPORTS, repr(arguments)).finish()
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_nothing_is_left_to_be_collected(daemon: Daemon) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lock("R", socket=daemon.socket):
            pass
        with pytest.raises(LockTimeout), lock("R", socket=daemon.socket), lock("R", socket=daemon.socket, timeout=0.01):
            pass
    assert isinstance(lock("R", socket=daemon.socket), BlockingLock)


@pytest.mark.parametrize(
    "place",
    [
        *({"socket": socket} for socket in ("", 5, "a\0b")),
        *({"address": address} for address in ("", 5, "a\0b")),
        *({"group": group} for group in ("", 5, "nonsense", "192.0.2.1")),
        {"address": "127.0.0.1", "port": True},
        {"config": "x"},
        {"config": {}},
        {"start": "no"},
    ],
    ids=str,
)
def test_what_is_no_place_is_refused_at_the_call(place: dict[str, Any]) -> None:
    with pytest.raises(FlomError) as refused:
        lock("R1", **place)
    assert str(refused.value).startswith("R1: ")
    assert str(refused.value).isprintable()


def test_a_lock_object_gives_back_what_it_has_taken(daemon: Daemon) -> None:
    taken = lock("R1", socket=daemon.socket)
    with pytest.raises(Misuse, match="not held by this lock object"):
        taken.release()
    taken.acquire()
    taken.release()
    with pytest.raises(Misuse, match="not held any more"):
        taken.release()


@pytest.mark.parametrize("thing", [None, 5])
def test_what_cannot_be_called_cannot_be_decorated(thing: Any) -> None:
    with pytest.raises(Misuse, match="no function"):
        lock("R1")(thing)
