"""Fencing tokens in a group: they grow over takeovers, also where the clocks of the hosts differ by hours."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.fakes.clocks import HOUR, FakeWallClock, needs_faketime
from tests.fakes.daemon import BIN
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import eventually
from tests.scenarios.lan.network import GROUP, Lan, LanHost, await_leader, in_group

pytestmark = needs_network_namespaces

TOKEN = ["--", "sh", "-c", "echo $FLOM_TOKEN"]


def token_of(host: LanHost, resource: str = "R") -> int:
    """Return the token of a command under a lock."""
    done = host.flom(*in_group(GROUP, "-r", resource), *TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout)


@needs_faketime
def test_tokens_grow_over_takeovers_by_hosts_with_other_clocks(lan: Lan, tmp_path: Path) -> None:
    """The clock of the first leader is hours ahead of the others'; no daemon has a state directory."""
    clients, *hosts = lan.add_hosts(4)
    tokens, members = [], []
    for number, host in enumerate(hosts):
        (folder := tmp_path / host.name).mkdir()
        clock = FakeWallClock(folder)
        clock.set_ahead((1 - number) * HOUR)
        members.append(host.join_group(environment=clock.environment))
        await_leader(members)  # the first one
    while members:
        leader = await_leader(members, 10)
        tokens += [token_of(clients), token_of(clients, "other")]
        leader.signal(signal.SIGKILL)
        members.remove(leader)
    assert tokens == sorted(set(tokens))


def test_a_reclaimed_lock_keeps_its_token_and_the_next_one_is_higher(lan: Lan) -> None:
    """The next holder's, whose store refuses what the first one may still write."""
    one, two, three = lan.add_hosts(3)
    first, second = one.join_group(), two.join_group()
    leader = await_leader([first, second])
    before = token_of(three)
    holder = three.start_flom(*in_group(GROUP, "-r", "R"), "--", "sh", "-c", "echo $FLOM_TOKEN; read line || true")
    held = int(holder.line())
    leader.signal(signal.SIGKILL)
    standby = await_leader([member for member in (first, second) if member is not leader], 10)
    words = [str(BIN / "flomctl"), "status", "-A", GROUP, "R"]
    eventually(lambda: str(held) in standby.host.start(*words).finish().stdout.split(), "the reclaim")
    ended = holder.finish()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert before < held < token_of(three)


def test_a_store_refuses_what_a_holder_writes_that_was_frozen(lan: Lan, tmp_path: Path) -> None:
    """Its host sleeps while the leader goes and another command has its lock: it wakes in the middle of its work."""
    one, two, three = lan.add_hosts(3)
    first, second = one.join_group(), two.join_group()
    leader = await_leader([first, second])
    store = tmp_path / "store"
    write = f'{BIN}/flomctl fence {store} -- sh -c "echo $0 >>{store}"; echo $?'
    frozen = three.start_flom(*in_group(GROUP, "-r", "R"), "--", "sh", "-c", f"echo held; read line; {write}", "late")
    assert frozen.line() == "held"
    frozen.signal(signal.SIGSTOP)  # the command waits for a line
    leader.signal(signal.SIGKILL)
    other = await_leader([member for member in (first, second) if member is not leader], 10).host
    assert other.flom(*in_group(GROUP, "-r", "R"), "--", "sh", "-c", write, "other").stdout == "0\n"
    frozen.say("go on")
    assert frozen.line() == "94"
    frozen.signal(signal.SIGCONT)
    assert frozen.finish().returncode == 95
    assert store.read_text() == "other\n"
