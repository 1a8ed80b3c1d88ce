"""A daemon inside another program: nothing global, any listeners or none, and no end but the program's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.logger import LogEvent

import flom.server
from flom.client import connect
from flom.errors import Closed, LockBusy
from flom.server import PRIVATE, ClaimedEndpoint, DeferredArbiter, build_daemon, claim_unix
from tests.fakes.logs import warnings
from tests.fakes.reactors import MemoryReactor

loop: Any = reactor


class Program:
    """A program with a daemon in it, which runs as long as the block."""

    def __init__(self, *endpoints: IStreamServerEndpoint) -> None:
        self.locks = DeferredArbiter(loop)
        self.services = MultiService()
        build_daemon(loop, self.locks, endpoints).setServiceParent(self.services)

    async def __aenter__(self) -> Program:
        self.services.privilegedStartService()
        self.services.startService()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.services.stopService()


def at(path: Path) -> ClaimedEndpoint:
    return ClaimedEndpoint(loop, claim_unix(str(path), PRIVATE))


@pytest_twisted.ensureDeferred
async def test_its_own_code_and_others_exclude_each_other(tmp_path: Path) -> None:
    async with Program(at(tmp_path / "sock")) as program, await connect(loop, f"unix:{tmp_path}/sock") as others:
        async with program.locks.acquire("R1"):
            with pytest.raises(LockBusy):
                await others.acquire("R1", wait=False)
        async with others.acquire("R1"):
            with pytest.raises(LockBusy):
                await program.locks.acquire("R1", wait=False)


@pytest_twisted.ensureDeferred
async def test_it_may_listen_anywhere_or_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    twisted_own = serverFromString(loop, f"unix:{tmp_path}/other:mode=600")
    async with (
        Program() as silent,
        Program(at(path), twisted_own) as program,
        silent.locks.acquire("R1"),
        program.locks.acquire("R1"),
    ):
        for where in (path, f"{tmp_path}/other"):
            async with await connect(loop, f"unix:{where}") as others:
                with pytest.raises(LockBusy):
                    await others.acquire("R1", wait=False)


@pytest_twisted.ensureDeferred
async def test_two_in_one_process_know_nothing_of_each_other(tmp_path: Path) -> None:
    async with Program(at(tmp_path / "one")) as one, Program(at(tmp_path / "two")) as two:
        async with one.locks.acquire("R1"), two.locks.acquire("R1"):
            pass
        one_by_wire = await connect(loop, f"unix:{tmp_path}/one")
        async with one_by_wire, one_by_wire.acquire("R1"), two.locks.acquire("R1"):
            pass


@pytest_twisted.ensureDeferred
async def test_when_it_stops_waiters_fail_and_holders_keep_their_locks(tmp_path: Path) -> None:
    async with Program() as program:
        held = await program.locks.acquire("R1")
        waiting = program.locks.acquire("R1")
    with pytest.raises(Closed):
        await waiting
    with pytest.raises(Closed):
        await program.locks.acquire("R2")
    await held.release()


@pytest_twisted.ensureDeferred
async def test_its_holders_still_hold_when_it_is_started_again(tmp_path: Path) -> None:
    program = Program(serverFromString(loop, f"unix:{tmp_path}/sock"))
    async with program:
        held = await program.locks.acquire("R1")
        waiting = program.locks.acquire("R1")
    with pytest.raises(Closed):
        await waiting
    async with program, await connect(loop, f"unix:{tmp_path}/sock") as others:
        with pytest.raises(LockBusy):
            await others.acquire("R1", wait=False)
        await held.release()
        await (await others.acquire("R1", wait=False)).release()


def test_an_arbiter_has_one_daemon() -> None:
    clock = MemoryReactor()
    arbiter = DeferredArbiter(clock)
    build_daemon(clock, arbiter, [])
    with pytest.raises(ValueError, match="has a daemon already"):
        build_daemon(clock, arbiter, [])


@pytest_twisted.ensureDeferred
async def test_it_may_be_started_again(tmp_path: Path) -> None:
    program = Program(serverFromString(loop, f"unix:{tmp_path}/sock"))
    for _ in range(2):
        async with program:
            others = await connect(loop, f"unix:{tmp_path}/sock")
            async with others, program.locks.acquire("R1"), others.acquire("R2"):
                pass


def test_a_lifespan_is_nothing_without_an_end() -> None:
    clock = MemoryReactor()
    with pytest.raises(ValueError, match="must be told how to end"):
        build_daemon(clock, DeferredArbiter(clock), [], lifespan=5.0)


@pytest.mark.parametrize("name", flom.server.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(flom.server, name)


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = flom.server.nonsense


@pytest_twisted.ensureDeferred
async def test_a_reactor_whose_timers_follow_the_wall_clock_is_warned_of(
    log: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Program():
        [warning] = warnings(log)
    assert "make_monotonic" in warning
    log.clear()
    monkeypatch.setitem(vars(loop), "seconds", loop.seconds)  # as make_monotonic leaves it
    async with Program():
        assert warnings(log) == []
