"""A takeover does not end a lock before its command has ended: its holder reclaims it from the new leader."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.exclusion import Marks
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, complaints, eventually
from tests.scenarios.lan.flom_peers import FlomClient
from tests.scenarios.lan.network import GROUP, Lan, LanHost, Member, await_leader, in_group

pytestmark = needs_network_namespaces

LONG = [letter * 79 for letter in "abc"]
WITH_ELEMENTS = ["red.green.blue", ".".join(LONG), "_s_a[3]", "_S_a[3]", "_t_%T[3]"]

ways_to_go = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])


@pytest.fixture
def pool(lan: Lan) -> list[Member]:
    """Two daemons, the leader first, and a host without one."""
    members = [host.join_group() for host in lan.add_hosts(2)]
    leader = await_leader(members)
    lan.add_host()
    return sorted(members, key=lambda member: member is not leader)


def is_free(host: LanHost, *words: str) -> bool:
    """Return whether a lock can be had at once; it is taken then, and the marks say whether it may be."""
    return host.run_job(*in_group(GROUP, *words, "-o", "0")).returncode == 0


def elements_given(marks: Marks) -> dict[str, list[str]]:
    """Return the elements that commands had, by the names of their resources and in the order of the grants."""
    given: dict[str, list[str]] = {}
    for holding in marks.holdings():
        given.setdefault(holding.name, []).append(holding.element)
    return given


def hold(host: LanHost, *words: str) -> Running:
    """Run a command under a lock that ends when its stdin does, and tells what it does about the lock."""
    holder = host.start_job("-V", *in_group(GROUP, *words))
    eventually(lambda: holder.line() == "held", "held")
    return holder


@ways_to_go
def test_commands_that_exclude_each_other_do_so_across_takeovers(
    number: signal.Signals, lan: Lan, marks: Marks
) -> None:
    members = [host.join_group() for host in lan.add_hosts(3)]
    await_leader(members)
    client = lan.add_host()
    runners = [client.start_job(*in_group(GROUP), seconds=2.0) for _ in range(4)]
    for _ in range(2):
        begun = len(marks.holdings())
        eventually(lambda begun=begun: len(marks.holdings()) > begun, "another one begins")  # type: ignore[misc]
        leader = await_leader(members)
        members.remove(leader)
        leader.signal(number)
    ended = [runner.finish() for runner in runners]
    assert [(one.returncode, one.stderr) for one in ended] == [(0, "")] * 4
    assert len(marks.holdings()) == 4


@pytest.mark.parametrize(
    ("held", "excluded", "admitted"),
    [
        (["-r", "R"], ["-r", "R", "-l", "PR"], ["-r", "R", "-l", "NL"]),
        (["-r", "R", "-l", "PR"], ["-r", "R"], ["-r", "R", "-l", "PR"]),
        (["-r", "N[3]", "-q", "2"], ["-r", "N[3]", "-q", "2"], ["-r", "N[3]", "-q", "1"]),
        (["-r", "/a/b"], ["-r", "/a"], ["-r", "/a/c"]),
    ],
    ids=["exclusive", "shared", "numeric", "hierarchical"],
)
def test_what_was_held_is_held(
    held: list[str], excluded: list[str], admitted: list[str], lan: Lan, pool: list[Member]
) -> None:
    leader, successor = pool
    client = lan.hosts[-1]
    holder = hold(client, *held)
    leader.signal(signal.SIGKILL)
    await_leader([successor])
    assert not is_free(client, *excluded)
    assert is_free(client, *admitted)
    finished = holder.finish()
    assert (finished.returncode, complaints(finished)) == (0, "")
    assert "reclaimed" in finished.stdout
    assert is_free(client, *excluded)


def test_an_element_is_given_to_one_alone_across_takeovers(lan: Lan, marks: Marks) -> None:
    members = [host.join_group() for host in lan.add_hosts(3)]
    client = lan.add_host()
    await_leader(members)
    holders = [hold(client, "-r", name) for name in WITH_ELEMENTS]
    for _ in range(2):
        leader = await_leader(members)
        members.remove(leader)
        leader.signal(signal.SIGKILL)
        await_leader(members)
        holders += [hold(client, "-r", name) for name in WITH_ELEMENTS]
    assert [holder.finish().returncode for holder in holders] == [0] * len(holders)  # 95 if one was lost
    *others, times = [elements_given(marks)[name] for name in WITH_ELEMENTS]
    assert others == [["red", "green", "blue"], LONG, ["1", "2", "3"], ["1", "2", "3"]]
    assert len(set(times)) == 3


def test_a_sequence_with_a_lifespan_goes_on_when_a_leader_leads_again(lan: Lan, marks: Marks, tmp_path: Path) -> None:
    one, two = lan.add_hosts(2)
    for _ in range(2):
        leader = one.join_group("--state", str(tmp_path / "state"))
        await_leader([leader])
        for _ in range(2):
            assert is_free(two, "-r", "_S_a[1]", "-i", "60000")
        leader.signal(signal.SIGKILL)
        leader.wait()
    assert elements_given(marks) == {"_S_a[1]": ["1", "2", "3", "4"]}


def test_a_rollback_that_the_leader_has_not_taken_is_not_lost(lan: Lan, pool: list[Member]) -> None:
    """It is killed between the end of the command and its answer."""
    leader, successor = pool
    words = [*in_group(GROUP, "-r", "_S_a[2]"), "--", "sh", "-c"]
    host = lan.hosts[-1]
    holder = hold(host, "-r", "_S_a[2]")
    failing = host.start_flom(*words, "echo $FLOM_ELEMENT; read line; echo ended; exit 1")
    assert failing.line() == "2"
    leader.signal(signal.SIGSTOP)
    failing.say("end")
    assert failing.line() == "ended"
    leader.signal(signal.SIGKILL)
    ended = failing.finish()
    assert (ended.returncode, ended.stderr) == (1, "")
    await_leader([successor])
    assert host.flom(*words, "echo $FLOM_ELEMENT").stdout == "2\n"
    assert holder.finish().returncode == 0


def test_a_lock_granted_to_another_is_not_reclaimed_and_the_user_warned(lan: Lan, pool: list[Member]) -> None:
    """A lock that another client has been granted meanwhile is not reclaimed, and the user is warned."""
    leader, successor = pool
    holder = hold(lan.hosts[-1], "-r", "R")
    holder.signal(signal.SIGSTOP)  # it cannot say in time that it holds something
    leader.signal(signal.SIGKILL)
    await_leader([successor])
    with FlomClient(leader.host, successor.address_for(leader.host)) as other:
        assert other.lock("R") == "0"
        holder.signal(signal.SIGCONT)
        finished = holder.finish()
    assert finished.returncode == 95
    assert "not reclaimed" in finished.stderr


def test_a_command_whose_lock_is_not_reclaimed_can_be_ended(lan: Lan, pool: list[Member]) -> None:
    leader, successor = pool
    holder = hold(lan.hosts[-1], "-r", "R", "--on-lost", "terminate")
    holder.signal(signal.SIGSTOP)  # it cannot say in time that it holds something
    leader.signal(signal.SIGKILL)
    await_leader([successor])
    with FlomClient(leader.host, successor.address_for(leader.host)) as other:
        assert other.lock("R") == "0"
        holder.signal(signal.SIGCONT)
        assert holder.wait() == 95  # its command would go on otherwise
    assert complaints(holder.finish()).endswith("; the command gets SIGTERM\n")


def test_without_anybody_who_takes_over_the_user_is_told(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    leader = one.join_group()
    await_leader([leader])
    holder = hold(two, "-r", "R")
    leader.signal(signal.SIGKILL)
    eventually(lambda: "looking for the one that takes over" in holder.line(), "the loss noticed")
    finished = holder.finish()
    assert finished.returncode == 95
    assert "not reclaimed" in finished.stderr


def test_a_daemon_is_elected_to_reclaim_a_lock_if_that_is_allowed(lan: Lan) -> None:
    one, two = lan.add_hosts(2)
    leader = one.join_group()
    await_leader([leader])
    holder = two.start_job("-V", "-A", GROUP, "-d", "-1")
    eventually(lambda: holder.line() == "held", "held")
    leader.signal(signal.SIGKILL)
    assert not is_free(one, "-D", "20")
    assert holder.finish().returncode == 0


RUN = """
import os, subprocess, sys

def run(element):
    subprocess.run(sys.argv[3:], check=True, env=os.environ | {"FLOM_ELEMENT": element or ""})
"""

WITH = """
import sys
from flom import lock
from flom.errors import DaemonLost
try:
    with lock(sys.argv[1], quantity=int(sys.argv[2]), start=False) as held:
        run(held.element)
except DaemonLost as e:
    sys.exit(f"{held.is_lost} {e}")
"""

LIBRARY = """
import sys
from flom.libflom import *
handle = flom_handle_new()
flom_handle_set_resource_name(handle, sys.argv[1])
flom_handle_set_resource_quantity(handle, int(sys.argv[2]))
assert flom_handle_lock(handle) == 0
run(flom_handle_get_locked_element(handle))
code = flom_handle_unlock(handle)
sys.exit(f"{code != 0} {flom_strerror(code)}" if code else 0)
"""

TWISTED = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from flom.client import connect
from flom.errors import DaemonLost

async def main(reactor):
    locks = await connect(reactor)
    try:
        async with locks.acquire(sys.argv[1], quantity=int(sys.argv[2])) as held:
            await deferToThread(run, held.element)
    except DaemonLost as e:
        sys.exit(f"{held.is_lost} {e}")

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""

TASKS = """
import asyncio, sys
import flom.aio
from flom.errors import DaemonLost

async def main():
    lock = flom.aio.lock(sys.argv[1], quantity=int(sys.argv[2]), start=False)
    try:
        async with lock as held:
            await asyncio.to_thread(run, held.element)
    except DaemonLost as e:
        sys.exit(f"{held.is_lost} {e}")

asyncio.run(main())
"""

ASYNCIO = """
import asyncio, sys
from twisted.internet import asyncioreactor
from flom.client import connect, holding
from flom.errors import DaemonLost

async def main():
    loop = asyncio.get_running_loop()
    asyncioreactor.install(loop)
    from twisted.internet import reactor
    reactor.startRunning(installSignalHandlers=False)
    locks = await connect(reactor).asFuture(loop)
    try:
        async with holding(locks.acquire(sys.argv[1], quantity=int(sys.argv[2]))) as held:
            await asyncio.to_thread(run, held.element)
    except DaemonLost as e:
        sys.exit(f"{held.is_lost} {e}")
    await locks.close().asFuture(loop)

asyncio.run(main())
"""

FORK = """
import os, sys

def run(element):
    print("held", flush=True)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        os.read(reading, 1)
        sys.exit()  # as programs end, through all that is to be cleaned up
    print("forked", flush=True)
    sys.stdin.readline()
    os.close(writing)
    print("child", os.waitpid(child, 0)[1], flush=True)
    sys.stdin.read()
"""

SCRIPTS = {
    "flom.lock": [sys.executable, "-c", RUN + WITH, "NAME", "QUANTITY", "COMMAND"],
    "flom.aio": [sys.executable, "-c", RUN + TASKS, "NAME", "QUANTITY", "COMMAND"],
    "libflom": [sys.executable, "-c", RUN + LIBRARY, "NAME", "QUANTITY", "COMMAND"],
    "Twisted": [sys.executable, "-c", RUN + TWISTED, "NAME", "QUANTITY", "COMMAND"],
    "asyncio": [sys.executable, "-c", RUN + ASYNCIO, "NAME", "QUANTITY", "COMMAND"],
}
"""Programs that hold a lock of the group that C{~/.flom} names as long as a command runs."""

_COMMAND = ["-r", "NAME", "-q", "QUANTITY", "--", "COMMAND"]
CLIENTS = SCRIPTS | {
    "Twisted's command": [sys.executable, "-m", "flom.client.deferred", *_COMMAND],
    "flom-run": [FLOM_RUN, *_COMMAND],
}

in_python = pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)


class Holders:
    """Starts programs that hold locks of the group."""

    def __init__(self, home: Path) -> None:
        """
        @param home: for the configuration.
        """
        self._home = home
        self.configure("")

    def configure(self, more: str) -> None:
        """Write what programs to come read: the group, and C{more} lines."""
        (self._home / ".flom").write_text(f"[Daemon]\nMulticastAddress={GROUP}\nLifespan=0\n{more}")

    def start(self, host: LanHost, words: list[str], name: str, quantity: int = 1) -> Running:
        """Start one of L{CLIENTS}; return it when it holds the lock."""
        command = host.marks.command("-r", name, "-q", str(quantity))
        values = {"NAME": [name], "QUANTITY": [str(quantity)], "COMMAND": command}
        words = [value for word in words for value in values.get(word, [word])]
        holder = host.start(*words, environment={"HOME": str(self._home)})
        assert holder.line() == "held"
        return holder


@pytest.fixture
def holders(tmp_path: Path) -> Holders:
    return Holders(tmp_path)


@pytest.mark.parametrize("client", [*SCRIPTS.values(), CLIENTS["Twisted's command"]], ids=[*SCRIPTS, "command"])
@ways_to_go
def test_programs_hold_what_they_held(
    number: signal.Signals, client: list[str], lan: Lan, pool: list[Member], holders: Holders, marks: Marks
) -> None:
    leader, successor = pool
    host = lan.hosts[-1]
    names = ["R", "N[3]", "/a/b", *WITH_ELEMENTS]
    running = [holders.start(host, client, name, 2 if name == "N[3]" else 1) for name in names]
    leader.signal(number)
    await_leader([successor])
    for excluded in (["R"], ["N[3]", "-q", "2"], ["/a"]):
        assert not is_free(host, "-r", *excluded)
    assert is_free(host, "-r", "N[3]", "-q", "1")
    assert all(is_free(host, "-r", name) for name in WITH_ELEMENTS)
    given = elements_given(marks)
    assert given["red.green.blue"] == ["red", "green"]
    assert given["_s_a[3]"] == given["_S_a[3]"] == ["1", "2"]
    assert len(set(given["_t_%T[3]"])) == 2
    assert [holder.finish().returncode for holder in running] == [0] * len(names)
    for name in names[:-1]:  # the last one has a new time once a second
        assert is_free(host, "-r", name)


@pytest.mark.parametrize("kind", ["TLS", "key"])
def test_programs_that_prove_themselves_hold_what_they_held(
    kind: str, lan: Lan, tls: list[str], holders: Holders, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("a secret of the group, of some bytes\n")
    key.chmod(0o600)
    if kind == "TLS":
        options = tls
        certificate, private_key, authority = tls[1], tls[3], tls[5]
        holders.configure(
            f"[TLS]\nTlsCertificate={certificate}\nTlsPrivateKey={private_key}\nTlsCaCertificate={authority}\n"
        )
    else:
        options = ["--group-key", str(key), "--group-key-required"]
        holders.configure(f"GroupKey={key}\nGroupKeyRequired=yes\n")
    members = [host.join_group(*options) for host in lan.add_hosts(2)]
    leader = await_leader(members)
    [successor] = [member for member in members if member is not leader]
    host = lan.add_host()
    running = {name: holders.start(host, words, f"R{i}") for i, (name, words) in enumerate(CLIENTS.items())}
    leader.signal(signal.SIGKILL)
    await_leader([successor])
    free = [name for i, name in enumerate(running) if is_free(host, *options, "-r", f"R{i}")]
    ended = {name: holder.finish() for name, holder in running.items()}
    assert free == []
    assert {name: (one.returncode, one.stderr) for name, one in ended.items()} == dict.fromkeys(running, (0, ""))


@pytest.mark.parametrize("script", [WITH, LIBRARY], ids=["flom.lock", "libflom"])
def test_a_forked_child_does_not_end_the_lock_nor_hinder_a_reclaim(
    script: str, lan: Lan, pool: list[Member], holders: Holders
) -> None:
    """It lives through the takeover, and ends as programs do, while its parent holds the lock."""
    leader, successor = pool
    host = lan.hosts[-1]
    forking = FORK + script
    holder = holders.start(host, [sys.executable, "-c", forking, "NAME", "QUANTITY"], "R")
    assert holder.line() == "forked"
    leader.signal(signal.SIGKILL)
    await_leader([successor])
    assert not is_free(host, "-r", "R")
    holder.say("")
    assert holder.line() == "child 0"
    assert not is_free(host, "-r", "R")
    finished = holder.finish()
    assert (finished.returncode, complaints(finished)) == (0, "")
    assert is_free(host, "-r", "R")


@in_python
def test_a_script_that_ends_during_a_takeover_has_held_all_along(
    script: list[str], lan: Lan, pool: list[Member], holders: Holders
) -> None:
    leader, _ = pool
    holder = holders.start(lan.hosts[-1], script, "R")
    leader.signal(signal.SIGKILL)
    leader.wait()  # an unlock that it reads no more is not confirmed
    finished = holder.finish()
    assert (finished.returncode, complaints(finished)) == (0, "")


@in_python
def test_a_script_is_told_if_another_has_its_lock(
    script: list[str], lan: Lan, pool: list[Member], holders: Holders
) -> None:
    leader, successor = pool
    holder = holders.start(lan.hosts[-1], script, "R")
    holder.signal(signal.SIGSTOP)
    leader.signal(signal.SIGKILL)
    await_leader([successor])
    with FlomClient(leader.host, successor.address_for(leader.host)) as other:
        assert other.lock("R") == "0"
        holder.signal(signal.SIGCONT)
        finished = holder.finish()
    assert finished.returncode == 1
    assert finished.stderr.startswith("True ")
