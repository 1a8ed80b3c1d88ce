"""A place to mount at, and a daemon that does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from flom.core.modes import LockMode
from flom.core.protocol.messages import Lock
from tests.fakes.daemon import Daemon
from tests.fakes.mounts import Person, mount_at, processes_at, run

MOUNTED = "FLM022I mounted at"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty directory; nothing is mounted there afterwards, whatever has happened."""
    place = tmp_path / "held"
    place.mkdir()
    yield place
    for pid in processes_at(place):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while mount_at(place) is not None:
        subprocess.run(["umount", "-l", str(place)], stderr=subprocess.DEVNULL)


@pytest.fixture
def showing(place: Path, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has mounted at L{place}."""
    with Daemon("--socket-name", str(tmp_path / "flom.sock"), "-m", str(place), ready=MOUNTED) as daemon:
        yield daemon


@pytest.fixture
def ask(showing: Daemon) -> Iterator[Callable[..., Person]]:
    """Start clients that ask the daemon for locks, and wait; they are gone afterwards."""
    with ExitStack() as people:

        def ask(
            name: str,
            mode: LockMode = LockMode.EX,
            *,
            quantity: int = 1,
            create: bool = True,
            lifespan: float = 0.0,
        ) -> Person:
            lock = Lock(name, mode, quantity, wait=True, create=create, lifespan=lifespan)
            return people.enter_context(Person(showing.socket, lock))

        yield ask


@pytest.fixture
def dead_place(place: Path, tmp_path: Path) -> Path:
    """A place where a daemon and the process that showed what it held were both killed."""
    with Daemon("--socket-name", str(tmp_path / "killed.sock"), "-m", str(place), ready=MOUNTED) as daemon:
        [showing] = processes_at(place)
        os.kill(daemon.process.pid, signal.SIGSTOP)  # or it would take the mount away
        os.kill(showing, signal.SIGKILL)
        daemon.process.kill()
    assert "not connected" in run("ls", str(place)).stderr
    return place
