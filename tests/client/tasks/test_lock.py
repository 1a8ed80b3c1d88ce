"""Locks in tasks of asyncio."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, TypeVar

import pytest
import uvloop

import flom
import flom.aio
from flom import (
    DaemonLost,
    DaemonUnreachable,
    InvalidName,
    InvalidRequest,
    LockBusy,
    LockContested,
    LockRevoked,
    LockTimeout,
    Misuse,
)
from flom.client.blocking.status import open_status
from flom.config import Config
from flom.core.modes import LockMode
from flom.core.protocol.messages import Answer, Contested, Revoked, Unlock, Unlocked
from tests.fakes.daemon import Daemon
from tests.fakes.hosts import SeveralHosts
from tests.fakes.leading import HASTY, Answering, grant
from tests.fakes.peers import PATIENCE, FakeDaemon
from tests.fakes.programs import Programs, free_port

_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run C{work} on a loop of its own, which is told of what takes it too long; it fails after L{PATIENCE}."""
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


def waiters(socket: str, name: str = "R") -> int:
    """Return how many wait for the resource C{name}."""
    with open_status(Config(socket_name=socket), lambda _: None) as reader:
        return sum(len(resource.waiters) for resource in reader.read(name).resources)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until C{is_so}, without stopping the loop."""
    while not await asyncio.to_thread(is_so):
        await asyncio.sleep(0.01)


def test_async_with_takes_and_releases(daemon: Daemon) -> None:
    async def main() -> None:
        async with flom.aio.lock("red.green", timeout=5, socket=daemon.socket) as held:
            assert held.element in ("red", "green")
            assert held.token
            assert repr(held) == f"<lock 'red.green' '{held.element}', held>"
            assert held.lost is None
            assert not held.is_lost
            await held.check()
        assert held.is_released
        with pytest.raises(Misuse, match="not held any more"):
            await held.check()

    run(main())
    run(main())  # a second loop


def test_what_is_acquired_is_released(daemon: Daemon) -> None:
    async def main() -> None:
        once = flom.aio.lock("R", socket=daemon.socket)
        assert repr(once) == "<lock 'R' EX, not held>"
        held = await once.acquire()
        with pytest.raises(LockBusy):
            await flom.aio.lock("R", wait=False, socket=daemon.socket).acquire()
        with pytest.raises(Misuse, match="held or being acquired already"):
            await once.acquire()
        await held.release()
        again = await once.acquire()
        await once.release()
        assert again.is_released

    run(main())


def test_a_task_waits_while_the_loop_goes_on(daemon: Daemon) -> None:
    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)
        order = []

        async def work(number: int) -> None:
            async with locks.lock("R", LockMode.EX):
                order.append(number)
                await asyncio.sleep(0.001)
                order.append(number)

        await asyncio.gather(*(work(number) for number in range(20)))
        assert sorted(order) == sorted([*range(20)] * 2)
        assert order[::2] == order[1::2]  # each began and ended alone

    run(main())


def test_cancelling_leaves_the_queue_at_once(daemon: Daemon) -> None:
    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)
        async with locks.lock("R"):
            waiting = asyncio.create_task(locks.lock("R").acquire())
            await until(lambda: waiters(daemon.socket) == 1)
            waiting.cancel()
            began = monotonic()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert monotonic() - began < 0.5
            await until(lambda: waiters(daemon.socket) == 0)

    began = monotonic()
    run(main())
    assert monotonic() - began < PATIENCE / 2


def test_cancelling_at_the_moment_of_the_grant_frees_the_lock(daemon: Daemon) -> None:
    """The grant is in the socket, and the loop has yet to read it."""

    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)
        held = flom.lock("R", socket=daemon.socket).acquire()
        waiting = asyncio.create_task(locks.lock("R").acquire())
        await until(lambda: waiters(daemon.socket) == 1)
        held.release()
        while waiters(daemon.socket):  # and the loop does not run
            pass
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with locks.lock("R", timeout=5):
            pass

    run(main())


def test_many_tasks_that_give_up_at_random_leave_nothing_behind(daemon: Daemon) -> None:
    """However far an attempt has got when it is cancelled, no two hold the lock, and none stays in the queue."""

    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)
        inside = 0

        async def hold(timeout: float | None) -> None:
            nonlocal inside
            async with locks.lock("R", timeout=timeout):
                inside += 1
                assert inside == 1
                try:
                    await asyncio.sleep(0.001)
                finally:
                    inside -= 1

        async def try_often(chance: Random) -> None:
            for _ in range(10):
                attempt = asyncio.create_task(hold(chance.choice([None, 0.01])))
                done, _ = await asyncio.wait({attempt}, timeout=chance.choice([PATIENCE, 0.02 * chance.random()]))
                if not done:
                    attempt.cancel()
                for outcome in await asyncio.gather(attempt, return_exceptions=True):
                    assert isinstance(outcome, asyncio.CancelledError | TimeoutError | None), outcome

        await asyncio.gather(*(try_often(Random(seed)) for seed in range(20)))
        assert len(asyncio.all_tasks()) <= 2  # this one, and before Python 3.12 that of wait_for
        await until(lambda: not taken(daemon.socket, "R") and waiters(daemon.socket) == 0)

    run(main())


def test_a_time_limit_of_the_program_withdraws_the_request(daemon: Daemon) -> None:
    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)
        async with locks.lock("R"):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(locks.lock("R").acquire(), 0.05)
            with pytest.raises(TimeoutError, match=f"^R at {daemon.socket}: not granted within 0.05 s$"):
                await locks.lock("R", timeout=0.05).acquire()
            await until(lambda: waiters(daemon.socket) == 0)

    run(main())


def test_a_body_that_is_cancelled_or_fails_rolls_back(daemon: Daemon) -> None:
    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)

        async def work() -> None:
            async with locks.lock("_S_number[1]", lifespan=10):
                await asyncio.sleep(PATIENCE)

        task = asyncio.create_task(work())
        await until(lambda: taken(daemon.socket, "_S_number[1]"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with locks.lock("_S_number[1]") as held:
            assert held.element == "1"

    run(main())


def taken(socket: str, name: str) -> bool:
    with open_status(Config(socket_name=socket), lambda _: None) as reader:
        return any(resource.holders for resource in reader.read(name).resources)


def test_each_call_of_a_coroutine_function_takes_a_lock(daemon: Daemon) -> None:
    @flom.aio.lock("R", socket=daemon.socket)
    async def double(number: int) -> int:
        """Doubles."""
        assert await asyncio.to_thread(taken, daemon.socket, "R")
        return 2 * number

    async def main() -> None:
        assert list(await asyncio.gather(double(1), double(2))) == [2, 4]

    run(main())
    assert double.__doc__ == "Doubles."
    with pytest.raises(Misuse, match=r"^R: <function .* is no coroutine function"):
        flom.aio.lock("R")(lambda: None)  # type: ignore[arg-type, return-value]


def test_a_held_lock_that_is_forgotten_is_released(daemon: Daemon) -> None:
    async def main() -> None:
        await flom.aio.lock("R", socket=daemon.socket).acquire()
        gc.collect()
        async with flom.aio.lock("R", timeout=5, socket=daemon.socket):
            pass

    run(main())


def test_what_makes_no_sense_is_refused_at_once(tmp_path: Path) -> None:
    for make in (flom.aio.lock, flom.aio.Client(socket=tmp_path / "s").lock):
        with pytest.raises(InvalidName):
            make("no name")
        with pytest.raises(InvalidRequest, match="R: mode 'XX'"):
            make("R", "XX")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="port 0"):
        flom.aio.Client(address="127.0.0.1", port=0)


def test_it_starts_a_daemon_or_not(tmp_path: Path, programs: Programs) -> None:
    socket = str(tmp_path / "s")

    async def main() -> None:
        with pytest.raises(DaemonUnreachable, match="no daemon is listening"):
            await flom.aio.lock("R", socket=socket, start=False).acquire()
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with flom.aio.lock("R", config=Config(socket_name=socket, lifespan_ms=1)) as held:
            assert held.token
        ticking.cancel()
        assert ticks > 3  # the loop went on while the daemon started

    run(main())


def test_over_tcp_it_sends_heartbeats() -> None:
    """The daemon keeps what a silent client has for 1 s, and would have given it to the other by then."""
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port), "--session-timeout", "1000") as daemon:

        async def main() -> None:
            locks = flom.aio.Client(address="localhost", port=port)  # a name, which is looked up
            async with locks.lock("R") as held:
                with pytest.raises(LockTimeout):
                    await locks.lock("R", timeout=1.2).acquire()
                await held.check()

        run(main())
        daemon.stop()


def test_a_lock_outlives_its_daemon(tmp_path: Path) -> None:
    """The next daemon at the address waits for holders, and the task reclaims its lock there."""
    socket = str(tmp_path / "s")

    async def main() -> None:
        first = Daemon("--socket-name", socket)
        first.__enter__()
        async with flom.aio.lock("R", socket=socket, start=False) as held:
            descriptor = held.fileno()
            lost = asyncio.create_task(held.until_lost())
            first.process.kill()
            first.process.wait()
            await asyncio.sleep(0.05)
            assert held.lost is None
            with Daemon("--socket-name", socket):
                await until(lambda: held.fileno() not in (descriptor, -1) and taken(socket, "R"))
                assert not lost.done()
                with pytest.raises(LockBusy):
                    await flom.aio.lock("R", wait=False, socket=socket).acquire()
                await held.release()
                assert await lost is None
        first.__exit__(None, None, None)

    run(main())


def test_a_loss_is_told(tmp_path: Path) -> None:
    """The next daemon would wait for nobody."""
    socket = str(tmp_path / "s")

    async def lose(daemon: Daemon) -> None:
        async with flom.aio.lock("R", socket=socket, start=False) as held:
            lost = asyncio.create_task(held.until_lost())
            await asyncio.sleep(0)
            daemon.process.kill()
            loss = await lost
            assert isinstance(loss, DaemonLost)
            assert held.lost is loss
            assert repr(held) == "<lock 'R' EX, lost>"
            await held.check()

    with Daemon("--socket-name", socket, "--session-timeout", "0") as daemon:
        with pytest.raises(ConnectionError, match=r"^R: .* closed the connection$") as caught:
            run(lose(daemon))
        assert not hasattr(caught.value, "__notes__")


def test_a_contest_is_told_while_the_lock_is_held(fake: FakeDaemon, tmp_path: Path) -> None:
    async def main() -> None:
        acquiring = asyncio.create_task(flom.aio.lock("R", socket=tmp_path / "fake.sock").acquire())
        conversation, _ = await asyncio.to_thread(fake.accept)
        conversation.say(Answer(16, 0, None, "0" * 32, extended=True))
        held = await acquiring
        conversation.say(Contested())
        assert isinstance(await held.until_lost(), LockContested)
        releasing = asyncio.create_task(held.release())
        assert await asyncio.to_thread(conversation.read) == Unlock("R")
        conversation.say(Unlocked())
        with pytest.raises(LockContested, match=r"^R: .*another daemon of the group"):
            await releasing

    run(main())


def test_an_administrator_may_end_a_lock(fake: FakeDaemon, tmp_path: Path) -> None:
    async def main() -> None:
        acquiring = asyncio.create_task(flom.aio.lock("R", socket=tmp_path / "fake.sock").acquire())
        conversation, _ = await asyncio.to_thread(fake.accept)
        conversation.say(Answer(16, 0, None, "0" * 32, extended=True))
        held = await acquiring
        conversation.say(Revoked("root"))
        conversation.close()
        loss = await held.until_lost()
        assert isinstance(loss, LockRevoked)
        with pytest.raises(LockRevoked, match=r"^R: .*root"):
            await held.release()

    run(main())


def test_of_several_hosts_the_one_that_leads_is_asked() -> None:
    """Those that stand by are left; the lock is kept by heartbeats, as its daemon leads by a quorum."""

    async def main(scene: SeveralHosts) -> None:
        locks = flom.aio.Client(config=scene.config)
        acquiring = asyncio.create_task(locks.lock("R").acquire())
        for standby in scene.hosts[:2]:
            (await asyncio.to_thread(standby.accept))[0].close()
        conversation, asked = await asyncio.to_thread(scene.hosts[2].accept)
        grant(conversation, asked, HASTY)
        held = await acquiring
        answering = Answering(conversation)
        await until(lambda: answering.pings > 0)
        await held.check()
        await held.release()
        answering.close()
        with pytest.raises(DaemonUnreachable, match=r"none of .* leads"):
            await asyncio.wait_for(asyncio.gather(locks.lock("R", wait=False).acquire(), refuse(scene)), PATIENCE)

    async def refuse(scene: SeveralHosts) -> None:
        for host in scene.hosts:
            (await asyncio.to_thread(host.accept))[0].close()

    with SeveralHosts() as scene:
        run(main(scene))


def test_the_loop_may_end_while_locks_are_held_and_waited_for(daemon: Daemon) -> None:
    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)
        await locks.lock("S").acquire()
        one = await locks.lock("R").acquire()
        asyncio.create_task(locks.lock("R").acquire())  # noqa: RUF006
        await until(lambda: waiters(daemon.socket) == 1)
        assert one.lost is None

    run(main())
    gc.collect()
    assert not taken(daemon.socket, "R")
    assert not taken(daemon.socket, "S")


def test_no_twisted_is_imported(daemon: Daemon) -> None:
    program = """
import asyncio, sys, flom.aio
async def main():
    async with flom.aio.lock("R", socket=sys.argv[1]):
        print([name for name in sys.modules if name.startswith(("twisted", "zope"))])
asyncio.run(main())
"""
    words = [sys.executable, "-c", program, daemon.socket]
    assert subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE).stdout == "[]\n"


def test_uvloop_will_do(daemon: Daemon) -> None:
    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)
        async with locks.lock("R"):
            with pytest.raises(TimeoutError):
                await locks.lock("R", timeout=0.05).acquire()
            waiting = asyncio.create_task(locks.lock("R").acquire())
            await until(lambda: waiters(daemon.socket) == 1)
            waiting.cancel()
        async with locks.lock("R"):
            pass

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), PATIENCE))
    finally:
        loop.close()


def test_each_test_of_a_suite_may_have_a_loop_of_its_own(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        f"""
import flom.aio
import pytest

locks = flom.aio.Client(socket={daemon.socket!r})
once = locks.lock("R")

@pytest.mark.asyncio
@pytest.mark.parametrize("n", [1, 2, 3])
async def test_it(n):
    async with once as held:
        assert held.lost is None
"""
    )
    options = [
        "-p",
        "no:cacheprovider",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    ]
    words = [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-c", "/dev/null", *options, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert "3 passed" in ended.stdout, ended.stdout


# conversions


def test_cancelling_a_conversion_leaves_the_lock_as_it_was(daemon: Daemon) -> None:
    async def main() -> None:
        locks = flom.aio.Client(socket=daemon.socket)
        async with locks.lock("R", "PR") as held:
            async with locks.lock("R", "PR"):
                converting = asyncio.create_task(held.convert("EX"))
                await asyncio.sleep(0)
                with pytest.raises(Misuse, match="it is being converted already"):
                    await held.convert("PW")
                converting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await converting
                assert held.mode.name == "PR"
            token = held.token
            await held.convert("EX", timeout=5)
            assert held.mode.name == "EX"
            assert held.token != token

    run(main())
