"""
What a client over TCP gives up is free at once, although a connection that breaks is waited for; and what it holds is
not given up by a proxy between it and the daemon, where sessions are required.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from flom import lock
from flom.client.blocking.status import open_status
from flom.client.deferred.connect import connect
from flom.client.retry import UNLOCK_TRY
from flom.config import Config
from flom.errors import LockTimeout
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs, Running, eventually, free_port
from tests.fakes.proxy import Proxy

loop: Any = reactor

AT_ONCE = 3.0
"""Seconds, far fewer than a broken connection is waited for."""

REQUIRED = ["--sessions", "required"]
KEPT = "is broken: its locks are kept"


@pytest.fixture(params=["optional", "required"])
def config(request: pytest.FixtureRequest) -> Iterator[Config]:
    """Where a daemon listens on TCP."""
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port), "--sessions", request.param):
        yield Config(unicast_address="127.0.0.1", unicast_port=port, lifespan_ms=0)


def place(port: int) -> list[str]:
    """Return options of C{flom-run} for a daemon that is there."""
    return ["-a", "127.0.0.1", "-p", str(port), "-d", "0"]


def waiters(config: Config) -> int:
    """Return how many wait for R."""
    status = open_status(config, print).read("R")
    return sum(len(resource.waiters) for resource in status.resources)


def is_anyone_missed(config: Config) -> bool:
    """Return whether a client is expected to come back."""
    resources = open_status(config, print).read().resources
    return any(lock.in_grace for resource in resources for lock in (*resource.holders, *resource.waiters))


@pytest_twisted.ensureDeferred
async def test_a_twisted_client_that_gives_up_leaves_nothing_behind(config: Config) -> None:
    holder, waiter, other = [await connect(loop, config) for _ in range(3)]
    held = await holder.acquire("R")
    waiting = waiter.acquire("R")
    await deferLater(loop, 0.1)  # it may be asking yet, or waiting
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    await held.release()
    await other.acquire("R", timeout=AT_ONCE)
    for client in (holder, waiter, other):
        await client.close()


@pytest_twisted.ensureDeferred
async def test_so_does_one_that_is_closed(config: Config) -> None:
    holder, waiter, other = [await connect(loop, config) for _ in range(3)]
    held = await holder.acquire("_S_a[1]")
    waiting = waiter.acquire("_S_a[1]")
    waiting.addErrback(lambda _: None)
    await deferLater(loop, 0.1)
    await waiter.close()
    await held.release()
    assert (await other.acquire("_S_a[1]", timeout=AT_ONCE)).element == "2"
    for client in (holder, other):
        await client.close()


def test_a_blocking_client_whose_time_is_over_leaves_nothing_behind(config: Config) -> None:
    with lock("R", config=config), pytest.raises(LockTimeout):
        lock("R", timeout=0.2, config=config).acquire()
    began = monotonic()
    with lock("R", config=config):
        assert monotonic() - began < AT_ONCE


def test_nor_does_a_lock_that_nobody_uses_any_more(config: Config) -> None:
    lock("R", config=config).acquire().drop()
    began = monotonic()
    with lock("R", config=config):
        assert monotonic() - began < AT_ONCE


@pytest.mark.parametrize("config", ["required"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGTSTP])
def test_a_command_that_is_not_to_wait_any_more_leaves_nothing_behind(
    config: Config, programs: Programs, marks: Marks, number: signal.Signals
) -> None:
    words = place(config.unicast_port)
    with lock("R", config=config):
        waiter = programs.start(*words, "-r", "R", "--", "true")
        eventually(lambda: waiters(config) == 1, "it waits")
        waiter.signal(number)
        eventually(lambda: waiters(config) == 0, "it has left", AT_ONCE)
        if number != signal.SIGTSTP:
            assert waiter.wait() == -number
        assert programs.run(*words, "-r", "R", "-o", "100", "--", "true").returncode == 98
    began = monotonic()
    with lock("R", config=config):
        assert monotonic() - began < AT_ONCE


PROGRAMS = {"flom-run": [FLOM_RUN], "Twisted": [sys.executable, "-m", "flom.client.deferred"]}


def start(programs: Programs, program: list[str], marks: Marks, *options: str) -> Running:
    """Start a command under R that ends when it is told to."""
    return programs.start_program(*program, *marks.job(*options, "-r", "R"))


def test_what_a_stopped_daemon_takes_late_is_an_unlock(programs: Programs) -> None:
    """Its clients do not wait for that on one connection, and ask by another one what has become of it."""
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port)) as daemon:
        script = ["sh", "-c", "echo held; read line"]
        holders = [
            programs.start_program(*program, *place(port), "-r", name, "--", *script)
            for name, program in zip(("R1", "R2"), PROGRAMS.values(), strict=True)
        ]
        assert [holder.line() for holder in holders] == ["held"] * 2
        daemon.process.send_signal(signal.SIGSTOP)
        for holder in holders:
            holder.say("end")
        sleep(UNLOCK_TRY + 1.0)
        daemon.process.send_signal(signal.SIGCONT)
        ended = [holder.finish() for holder in holders]
        assert [(one.returncode, one.stderr) for one in ended] == [(0, "")] * 2


# behind a proxy


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_proxy_that_closes_what_is_broken_does_not_end_a_lock(
    program: list[str], programs: Programs, marks: Marks
) -> None:
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port), *REQUIRED) as daemon, Proxy(port) as proxy:
        config = Config(unicast_address="127.0.0.1", unicast_port=port)
        holder = start(programs, program, marks, *place(proxy.port))
        assert holder.line() == "held"
        first = start(programs, program, marks, *place(proxy.port))
        eventually(lambda: waiters(config) == 1, "one waits")
        last = start(programs, program, marks, *place(port))
        eventually(lambda: waiters(config) == 2, "another one waits")
        for _ in range(2):
            proxy.cut()
            daemon.wait_for_log(KEPT)
            daemon.wait_for_log(KEPT)
            proxy.heal()
            eventually(lambda: not is_anyone_missed(config), "both are back")
        for client in (holder, first, last):
            client.say("end")
            ended = client.finish()
            assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "program"),
    [("R" * 240, PROGRAMS["Twisted"]), (".".join(letter * 79 for letter in "abc"), PROGRAMS["flom-run"])],
    ids=["simple, Twisted", "set, flom-run"],
)
def test_the_longest_names_outlive_a_connection_that_breaks(name: str, program: list[str], programs: Programs) -> None:
    """Beside them there is no room for a secret, an element or a token in one message."""
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port), *REQUIRED) as daemon, Proxy(port) as proxy:
        config = Config(unicast_address="127.0.0.1", unicast_port=port)
        other = lock(name, config=config).acquire() if "." in name else None
        script = ["sh", "-c", "echo $FLOM_TOKEN; read line"]
        kind = "set" if other else "simple"
        holder = programs.start_program(*program, *place(proxy.port), "--type", kind, "-r", name, "--", *script)
        token = holder.line()
        proxy.cut()
        daemon.wait_for_log(KEPT)
        proxy.heal()
        eventually(lambda: not is_anyone_missed(config), "back")
        [shown] = open_status(config, print).read(name).resources
        assert [(held.token, held.element) for held in shown.holders][-1:] == [(token, "b" * 79 if other else None)]
        if other is not None:
            other.release()
        holder.say("end")
        ended = holder.finish()
        assert (ended.returncode, ended.stderr) == (0, "")


def test_where_sessions_are_optional_it_is_taken_for_the_client(programs: Programs, marks: Marks) -> None:
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port)), Proxy(port) as proxy:
        holder = programs.start(*place(proxy.port), "-r", "R", "--", "sh", "-c", "echo held; read line")
        assert holder.line() == "held"
        proxy.cut()
        assert programs.run(*place(port), "-r", "R", "-o", "3000", "--", "true").returncode == 0
        holder.say("end")
        ended = holder.finish()
        assert ended.returncode == 95
        assert "the lock was lost" in ended.stderr
