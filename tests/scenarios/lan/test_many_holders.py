"""Many holders on a slow machine: the new leader waits for all that look for it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from tests.fakes.daemon import BIN
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, complaints
from tests.scenarios.lan.network import GROUP, Lan, await_leader, in_group

pytestmark = needs_network_namespaces

HOLDERS = 40
SLICE = 0.15  # seconds for which one of them runs while all others do not

RIVAL = """
import json, sys
from twisted.internet.defer import gatherResults
from twisted.internet.task import react
from twisted.internet.defer import ensureDeferred
from flom.client import connect

async def main(reactor, group, commands):
    locks = await connect(reactor, group=group)
    async def take(name, command):
        print("asks", flush=True)
        child = await locks.spawn(name, command)
        await child.exited
    await gatherResults([ensureDeferred(take(name, command)) for name, command in json.loads(commands).items()])

react(lambda reactor: ensureDeferred(main(reactor, *sys.argv[1:])))
"""
"""Waits for all locks at once, and runs a command under each."""


@contextmanager
def slow_machine(programs: list[Running]) -> Iterator[None]:
    """Run each of C{programs} for a moment, one after another, as a machine does that is too small for them."""
    is_over = Event()

    def take_turns() -> None:
        while not is_over.is_set():
            for program in programs:
                program.signal(signal.SIGCONT)
                is_over.wait(SLICE)
                program.signal(signal.SIGSTOP)
        for program in programs:
            program.signal(signal.SIGCONT)

    for program in programs:
        program.signal(signal.SIGSTOP)
    turns = Thread(target=take_turns)
    turns.start()
    try:
        yield
    finally:
        is_over.set()
        turns.join()


def test_all_holders_of_a_slow_machine_keep_their_locks(lan: Lan) -> None:
    members = [host.join_group() for host in lan.add_hosts(2)]
    leader = await_leader(members)
    [successor] = [member for member in members if member is not leader]
    slow = lan.add_host()
    names = [f"R{number}" for number in range(HOLDERS)]
    holders = [slow.start_job("-V", *in_group(GROUP, "-r", name)) for name in names]
    for holder in holders:
        while holder.line() != "held":
            pass
    commands = {name: lan.marks.command("-r", name, seconds=0) for name in names}
    rival = successor.host.start(str(BIN / "python"), "-c", RIVAL, GROUP, json.dumps(commands))
    assert [rival.line() for _ in names] == ["asks"] * HOLDERS
    with slow_machine(holders):
        leader.signal(signal.SIGKILL)
        await_leader([successor])
        for holder in holders:
            while not holder.line().endswith("reclaimed"):
                pass
    for holder, name in zip(holders, names, strict=True):
        done = holder.finish()
        assert (done.returncode, complaints(done)) == (0, ""), name
    done = rival.finish()
    assert (done.stdout, done.stderr) == ("held\n" * HOLDERS, "")
    assert sorted(holding.name for holding in lan.marks.holdings()) == sorted(names * 2)
