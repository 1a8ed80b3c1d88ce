"""
Commands that a Twisted program spawns under locks: what they find, when they start, and that their locks end with them
(docs/howto/programming.md, "Child processes"). tests/contract/test_jobs.py has what flom-run does too.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from flom.acquisition import Acquisition, Held
from flom.client import connect
from flom.client.deferred.arbiter import RemoteArbiter
from flom.client.deferred.spawn import Child, ignored_signals, spawn
from flom.errors import DaemonLost, InvalidName, InvalidRequest, LockBusy, LockTimeout
from flom.job.words import CannotExecute
from flom.net.claim import claim_unix
from flom.net.clock import system_instant
from flom.reactor.ports import ClaimedEndpoint
from flom.server.arbiter import DeferredArbiter
from flom.server.service import build_daemon
from tests.fakes.daemon import FLOM_RUN
from tests.fakes.pipes import read_soon
from tests.fakes.processes import FakeProcesses, HeldOfTest

loop: Any = reactor


class Scene:
    """
    A daemon in this process, and a client of it.

    @ivar arbiter: to ask the daemon without a connection.
    """

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "flom.sock")
        self.arbiter = DeferredArbiter(loop, system_instant)
        self.daemon: Any = build_daemon(loop, self.arbiter, [ClaimedEndpoint(loop, claim_unix(self.path, 0o600))])
        self.daemon.privilegedStartService()
        self.daemon.startService()
        self.locks: RemoteArbiter

    async def end(self) -> None:
        await self.daemon.stopService()

    async def is_free(self, name: str = "R1") -> bool:
        try:
            held = await self.arbiter.acquire(name, wait=False)
        except LockBusy:
            return False
        await held.release()
        return True


@pytest_twisted.async_yield_fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    scene.locks = await connect(loop, f"unix:{scene.path}")
    yield scene
    await scene.locks.close()
    if scene.daemon.running:
        await scene.end()


class Recorder(ProcessProtocol):
    """Notes what it hears of a process."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.output = b""
        self.errors = b""
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.heard.append("started")

    def outReceived(self, data: bytes) -> None:
        self.output += data

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processExited(self, reason: Failure) -> None:
        self.heard.append("exited")

    def processEnded(self, reason: Failure) -> None:
        self.heard.append("ended")
        self.ended.callback(None)


async def output_of(scene: Scene, words: list[str], **asked: Any) -> str:
    """Run a command to its end; return what it has written to stdout."""
    recorder = Recorder()
    child = await scene.locks.spawn(asked.pop("name", "R1"), words, protocol=recorder, **asked)
    assert await child.exited == 0, recorder.errors
    await recorder.ended
    return recorder.output.decode()


# what it finds


@pytest_twisted.ensureDeferred
async def test_it_finds_its_lock_in_the_environment_and_the_element_last(scene: Scene) -> None:
    show = ["sh", "-c", 'echo "$FLOM_RESOURCE $FLOM_LOCK_MODE ${FLOM_ELEMENT-none} $*"', "sh", "own"]
    assert await output_of(scene, show, mode="PR") == "R1 PR none own\n"
    assert await output_of(scene, show, name="red.green") == "red.green EX red own red\n"


@pytest_twisted.ensureDeferred
async def test_its_environment_is_ours_or_the_one_that_is_given(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    monkeypatch.setenv("FLOM_ELEMENT", "of a flom-run around us")
    assert "OURS=1\n" in await output_of(scene, ["env"])
    assert "FLOM_ELEMENT" not in await output_of(scene, ["env"])
    *given, token, resources, deadline = (await output_of(scene, ["/usr/bin/env"], env={"GIVEN": "1"})).splitlines()
    assert given.pop(1).startswith("FLOM_LINEAGE=")
    assert given == ["GIVEN=1", "FLOM_RESOURCE=R1", "FLOM_LOCK_MODE=EX"]
    assert re.fullmatch("FLOM_TOKEN=[0-9]+", token)
    assert resources == f"FLOM_RESOURCES=R1\tEX\t1\t{token.partition('=')[2]}\t"
    assert deadline.startswith("FLOM_DEADLINE_FD=")


@pytest_twisted.ensureDeferred
async def test_it_runs_in_the_directory_that_is_given_and_is_looked_for_there(scene: Scene, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("pwd\n")  # without a header: the shell's
    program.chmod(0o755)
    assert await output_of(scene, ["pwd"], path=tmp_path) == f"{tmp_path}\n"
    assert await output_of(scene, ["./program"], path=str(tmp_path)) == f"{tmp_path}\n"
    assert await output_of(scene, ["program"], env={"PATH": str(tmp_path)}) == f"{os.getcwd()}\n"


@pytest.mark.parametrize("ways", ["direct", "by way of another program"])
@pytest_twisted.ensureDeferred
async def test_beside_its_own_descriptors_it_has_those_of_its_lock_alone(
    scene: Scene, tmp_path: Path, ways: str
) -> None:
    asked: dict[str, Any] = {} if ways == "direct" else {"path": tmp_path}
    script = 'for one in /proc/$$/fd/*; do [ "${one##*/}" -gt 2 ] && readlink $one; done; true'
    show = ["sh", "-c", script]
    deadline, connection = sorted((await output_of(scene, show, **asked)).splitlines())
    assert connection.startswith("socket:")
    assert deadline.startswith("pipe:")
    [deadline] = (await output_of(scene, show, inherit=False, **asked)).splitlines()
    assert deadline.startswith("pipe:")


@pytest_twisted.ensureDeferred
async def test_descriptors_are_as_spawn_process_has_them(scene: Scene) -> None:
    ours, theirs = os.pipe()
    child = await scene.locks.spawn("R1", ["sh", "-c", "echo said >&7"], childFDs={7: theirs})
    os.close(theirs)
    assert await child.exited == 0
    assert read_soon(ours) == b"said\n"
    os.close(ours)


@pytest_twisted.ensureDeferred
async def test_a_protocol_of_its_user_s_hears_of_it_as_usual(scene: Scene) -> None:
    recorder = Recorder()
    child = await scene.locks.spawn("R1", ["sh", "-c", "read line; echo $line; exit 3"], protocol=recorder)
    assert recorder.heard == ["started"]
    assert recorder.transport is not None
    recorder.transport.writeToChild(0, b"said\n")
    assert await child.exited == 3
    await recorder.ended
    assert (recorder.heard, recorder.output) == (["started", "exited", "ended"], b"said\n")


@pytest.fixture
def nohup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


async def ignored_in_child(scene: Scene) -> set[int]:
    """Return the signals below the real-time ones that a command of ours ignores."""
    mask = int(await output_of(scene, ["sed", "-n", "s/^SigIgn://p", "/proc/self/status"]), 16)
    return {number for number in range(1, 32) if mask >> (number - 1) & 1}


@pytest_twisted.ensureDeferred
async def test_it_ignores_no_signal_that_python_ignores_for_itself(scene: Scene) -> None:
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    assert await ignored_in_child(scene) == set()


@pytest_twisted.ensureDeferred
async def test_what_we_ignore_as_after_nohup_it_ignores(scene: Scene, nohup: None) -> None:
    assert ignored_signals() == [signal.SIGHUP]
    assert await ignored_in_child(scene) == {signal.SIGHUP}


# when it starts


@pytest_twisted.ensureDeferred
async def test_it_starts_when_the_lock_is_granted(scene: Scene) -> None:
    held = await scene.arbiter.acquire("R1")
    spawning = scene.locks.spawn("R1", ["true"], timeout=30.0)
    await deferLater(loop, 0.05)
    assert not spawning.called
    await held.release()
    assert await (await spawning).exited == 0


@pytest_twisted.ensureDeferred
async def test_without_the_lock_it_does_not_start(scene: Scene, tmp_path: Path) -> None:
    held = await scene.arbiter.acquire("R1")
    touch = ["touch", str(tmp_path / "ran")]
    with pytest.raises(LockBusy):
        await scene.locks.spawn("R1", touch, wait=False)
    with pytest.raises(LockTimeout):
        await scene.locks.spawn("R1", touch, timeout=0.02)
    with pytest.raises(InvalidName):
        await scene.locks.spawn("no name", touch)
    await held.release()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("words", ["true", b"true", []])
@pytest_twisted.ensureDeferred
async def test_a_command_is_a_list_of_words(scene: Scene, words: Any) -> None:
    with pytest.raises(InvalidRequest, match="R1: "):
        await scene.locks.spawn("R1", words)


@pytest.mark.parametrize("how", ["nothing", "fd:1", "fd:x", "fd:17"])
@pytest_twisted.ensureDeferred
async def test_how_it_learns_that_others_wait_must_be_possible(scene: Scene, how: str) -> None:
    with pytest.raises(InvalidRequest, match=f"R1: notify_wanted '{how}': "):
        await scene.locks.spawn("R1", ["true"], notify_wanted=how, childFDs={0: 0, 1: 1, 2: 2, 17: 2})
    assert await scene.is_free()


@pytest_twisted.ensureDeferred
async def test_cancelling_leaves_the_queue(scene: Scene) -> None:
    held = await scene.arbiter.acquire("R1")
    spawning = scene.locks.spawn("R1", ["true"])
    await deferLater(loop, 0.02)
    spawning.cancel()
    with pytest.raises(CancelledError):
        await spawning
    await held.release()
    await (await scene.arbiter.acquire("R1", timeout=10)).release()


@pytest.mark.parametrize("asked", [{}, {"path": "/"}, {"env": {"PATH": "/bin"}}], ids=["as it is", "path", "env"])
@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "no such file or directory"),
        ("#!/no/such/interpreter\n", "no such file or directory"),
        ("echo ran", "permission denied"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_executed_is_an_error_and_its_lock_is_released(
    scene: Scene, tmp_path: Path, header: str | None, why: str, asked: dict[str, Any]
) -> None:
    program = tmp_path / "program"
    if header is not None:
        program.write_text(header)
        program.chmod(0o755 if header.startswith("#!") else 0o644)
    recorder = Recorder()
    with pytest.raises(CannotExecute) as raised:
        await scene.locks.spawn("_S_a[1]", [str(program)], protocol=recorder, **asked)
    assert str(raised.value) == f"Unable to execute command '{program}': {why}"
    assert recorder.heard == []
    assert await output_of(scene, ["echo"], name="_S_a[1]", wait=False) == "1\n"  # rolled back


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_executed_leaves_no_descriptor_open(scene: Scene) -> None:
    await output_of(scene, ["true"])  # what is opened once for all is open then
    before = os.listdir("/proc/self/fd")
    for path in (None, "/no/such"):
        with pytest.raises(CannotExecute):
            await scene.locks.spawn("R1", ["/no/such"], notify_wanted="fd", path=path)
    assert await output_of(scene, ["true"], notify_wanted="fd") == ""
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest_twisted.ensureDeferred
async def test_a_directory_that_is_not_there_is_named(scene: Scene) -> None:
    with pytest.raises(CannotExecute, match="Unable to execute command 'true': /no/such: no such file or directory"):
        await scene.locks.spawn("R1", ["true"], path="/no/such")


# how it ends


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137)])
@pytest_twisted.ensureDeferred
async def test_its_status_tells_how_it_has_ended_and_decides_on_a_rollback(
    scene: Scene, script: str, status: int
) -> None:
    child = await scene.locks.spawn("_S_a[1]", ["sh", "-c", script], lifespan=60)
    assert await child.exited == status
    assert child.held.is_released
    held = await scene.arbiter.acquire("_S_a[1]", wait=False)
    assert held.element == ("1" if status else "2")
    await held.release()


@pytest_twisted.ensureDeferred
async def test_signals_reach_it_until_it_has_ended(scene: Scene) -> None:
    child = await scene.locks.spawn("R1", ["sleep", "60"])
    os.kill(child.pid, 0)
    child.signal(signal.SIGTERM)
    assert child.code is None
    assert await child.exited == 128 + signal.SIGTERM
    assert child.code == -signal.SIGTERM
    child.signal(signal.SIGTERM)


@pytest_twisted.ensureDeferred
async def test_it_reads_that_others_wait_because_of_its_lock(scene: Scene) -> None:
    script = 'read word <&"$FLOM_WANTED_FD"; test "$word" = wanted'
    child = await scene.locks.spawn("R1", ["bash", "-c", script], notify_wanted="fd")
    waiting = scene.arbiter.acquire("R1")
    assert await child.exited == 0
    await (await waiting).release()


@pytest_twisted.ensureDeferred
async def test_what_it_leaves_behind_keeps_neither_lock_nor_connection(scene: Scene) -> None:
    child = await scene.locks.spawn("R1", ["sh", "-c", "sleep 60 </dev/null >/dev/null 2>&1 & echo $!"], path="/")
    assert await child.exited == 0
    assert await scene.is_free()
    await scene.locks.close()
    for _ in range(100):
        if scene.arbiter.is_deserted:
            break
        await deferLater(loop, 0.02)
    assert scene.arbiter.is_deserted


@pytest_twisted.ensureDeferred
async def test_a_lock_that_is_lost_is_told_and_the_command_goes_on(scene: Scene) -> None:
    child = await scene.locks.spawn("R1", ["sleep", "60"])
    await scene.end()
    assert isinstance(await child.held.lost, DaemonLost)
    child.signal(signal.SIGINT)
    assert await child.exited == 130


@pytest_twisted.ensureDeferred
async def test_the_lock_may_be_released_earlier(scene: Scene) -> None:
    child = await scene.locks.spawn("R1", ["sleep", "60"])
    await child.held.release()
    assert await scene.is_free()
    child.signal(signal.SIGKILL)
    assert await child.exited == 137


@pytest_twisted.ensureDeferred
async def test_not_to_wait_for_the_end_does_not_keep_the_lock(scene: Scene) -> None:
    child = await scene.locks.spawn("R1", ["sh", "-c", "sleep 0.1"])
    child.exited.cancel()
    with pytest.raises(CancelledError):
        await child.exited
    waiting = await scene.arbiter.acquire("R1", timeout=30)
    await waiting.release()


# moments that real processes seldom have


@pytest.fixture
def processes() -> FakeProcesses:
    return FakeProcesses()


def spawned(processes: Any, held: HeldOfTest, **asked: Any) -> tuple[Deferred[Child], list[Any]]:
    """Spawn a command under a lock that was granted; return the Deferred, and where its result will be."""
    granted: Deferred[Held] = Deferred()
    spawning = Deferred.fromCoroutine(spawn(processes, Acquisition(granted, "R1"), "R1", "EX", ["true"], **asked))
    outcome: list[Any] = []
    spawning.addBoth(outcome.append)
    granted.callback(held)
    return spawning, outcome


@pytest.mark.parametrize("times", [1, 2, 3])
def test_who_gives_up_while_it_is_being_started_kills_it(processes: FakeProcesses, times: int) -> None:
    held = HeldOfTest()
    spawning, outcome = spawned(processes, held, path="/")
    for _ in range(times):
        spawning.cancel()
    assert processes.signals == [signal.SIGKILL]
    assert not held.is_released  # before it is dead
    processes.end(signal.SIGKILL)
    assert outcome[0].check(CancelledError)
    assert (held.is_released, held.was_rolled_back) == (True, True)


def test_an_end_before_spawn_process_returns_is_not_missed(processes: FakeProcesses) -> None:
    held = HeldOfTest()
    processes.ends_at_once = True
    recorder = Recorder()
    _, [child] = spawned(processes, held, protocol=recorder)
    assert child.exited.result == 0
    assert recorder.heard == ["started", "exited", "ended"]
    assert (held.is_released, held.was_rolled_back) == (True, False)


def test_events_that_come_before_the_execution_is_known_come_after_it(processes: FakeProcesses) -> None:
    recorder = Recorder()
    _, outcome = spawned(processes, HeldOfTest(), protocol=recorder, path="/")
    processes.protocol.childDataReceived(1, b"said")
    processes.protocol.childConnectionLost(2)
    assert (recorder.heard, recorder.output, outcome) == ([], b"", [])
    processes.note_execution()
    assert (recorder.heard, recorder.output) == (["started"], b"said")
    assert isinstance(outcome[0], Child)


def test_the_connection_takes_no_descriptor_that_means_something(processes: FakeProcesses) -> None:
    spawned(processes, HeldOfTest(number=7), childFDs={0: 0, 7: "r"})
    [deadline] = set(processes.descriptors) - {0, 7, 8}
    assert processes.descriptors == {0: 0, 7: "r", 8: 7, deadline: deadline}


# what runs under it


@pytest_twisted.ensureDeferred
async def test_its_command_is_told_what_it_runs_under(scene: Scene) -> None:
    """Each has an id of its own: one may wait for what another holds, and is refused what its own program holds."""
    first, second = [await output_of(scene, ["sh", "-c", "echo $FLOM_LINEAGE"]) for _ in range(2)]
    assert first != second
    inner = f"{FLOM_RUN} -s {scene.path} -r R1 -o 30 -- true 2>&1; echo $?"
    shown = await output_of(scene, ["sh", "-c", inner])
    assert "under whose command this one runs" in shown
    assert shown.endswith("\n93\n")
    assert await output_of(scene, ["sh", "-c", inner], name="R2") == "0\n"
