"""Code that waits, in tasks of asyncio."""

from __future__ import annotations

import ast
import asyncio
import contextvars
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from select import POLLIN, POLLOUT
from time import monotonic

import pytest

import flom.client.blocking
from flom.client.blocking import stream
from flom.client.blocking.lookup import LookupTimeout, look_up_by
from flom.client.tasks.switch import run, running
from flom.errors import LockTimeout
from tests.fakes.peers import PATIENCE

BLOCKING = Path(flom.client.blocking.__file__).parent


def test_nothing_else_in_the_folder_waits() -> None:
    """What would wait in the kernel by itself would stop the whole loop; the modules named are not for tasks."""
    for path in BLOCKING.glob("*.py"):
        names = {
            alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
            for alias in node.names if node.module in ("time", "select")
        }  # fmt: skip
        waits = names & {"sleep", "poll", "epoll", "select"}
        assert not waits or path.name in ("stream.py", "keeper.py", "shutdown.py"), path


def test_it_returns_what_the_call_does() -> None:
    async def main() -> None:
        assert await run(lambda: 3) == 3
        with pytest.raises(LockTimeout, match="late"):
            await run(raise_late)

    def raise_late() -> None:
        raise LockTimeout("late")

    asyncio.run(main())
    assert running() is None


def test_tasks_wait_beside_each_other() -> None:
    """Each of a hundred waits for a byte, and the loop goes on meanwhile; so does the second loop of a program."""

    def wait(end: socket.socket) -> bytes:
        stream.wait_for(end, POLLIN, monotonic() + PATIENCE)
        return end.recv(1)

    async def main() -> None:
        pairs = [socket.socketpair() for _ in range(100)]
        waiting = [asyncio.create_task(run(lambda end=ours: wait(end))) for ours, _ in pairs]  # type: ignore[misc]
        await asyncio.sleep(0)
        for number, (_, theirs) in enumerate(pairs):
            theirs.send(bytes([number]))
        assert await asyncio.gather(*waiting) == [bytes([number]) for number in range(100)]
        for pair in pairs:
            for end in pair:
                end.close()

    asyncio.run(main())
    asyncio.run(main())


def test_a_wait_ends_at_its_deadline() -> None:
    ours, theirs = socket.socketpair()

    def wait(event: int, seconds: float) -> None:
        stream.wait_for(ours, event, monotonic() + seconds)

    async def main() -> None:
        await run(lambda: wait(POLLOUT, PATIENCE))
        for seconds in (0.02, 0.0, -1.0):
            with pytest.raises(LockTimeout):
                await run(lambda: wait(POLLIN, seconds))  # noqa: B023

    with ours, theirs:
        asyncio.run(main())


@pytest.mark.parametrize("wait", [lambda: stream.sleep(PATIENCE), lambda: look_up_by(stream.NEVER, "h", block)])
def test_cancelling_a_task_ends_its_wait_and_runs_what_cleans_up(wait: Callable[[], None]) -> None:
    has_cleaned = []

    def work() -> None:
        try:
            wait()
        finally:
            has_cleaned.append(True)

    async def main() -> None:
        task = asyncio.create_task(run(work))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert has_cleaned

    may_end.clear()
    began = monotonic()
    asyncio.run(main())
    may_end.set()
    assert monotonic() - began < PATIENCE / 2


may_end = threading.Event()


def block() -> None:
    assert may_end.wait(PATIENCE)


def test_names_are_looked_up_in_a_thread() -> None:
    async def main() -> None:
        assert await run(lambda: look_up_by(stream.NEVER, "h", lambda: threading.current_thread())) is not main_thread
        with pytest.raises(LookupTimeout, match=r"^h: no name server"):
            await run(lambda: look_up_by(monotonic() + 0.01, "h", block))
        with pytest.raises(OSError, match="no such host"):
            await run(lambda: look_up_by(stream.NEVER, "h", fail))

    def fail() -> None:
        raise OSError("no such host")

    main_thread = threading.current_thread()
    may_end.clear()
    asyncio.run(main())
    may_end.set()


def test_a_call_sees_the_context_variables_of_its_task() -> None:
    variable = contextvars.ContextVar("variable", default="none")

    def work() -> str:
        stream.sleep(0.0)
        return variable.get()

    async def one(value: str) -> str:
        variable.set(value)
        return await run(work)

    async def main() -> None:
        assert list(await asyncio.gather(one("a"), one("b"))) == ["a", "b"]
        assert variable.get() == "none"

    asyncio.run(main())
