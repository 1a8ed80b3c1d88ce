"""C{flomctl handover}: a leader leaves the granting to a standby, and nobody is harmed (docs/explanation/groups.md)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Final

from tests.fakes.daemon import BIN
from tests.fakes.exclusion import Marks
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import Running, assert_refused, complaints, eventually, name_of
from tests.scenarios.lan import grants
from tests.scenarios.lan.network import GROUP, Lan, LanHost, Member, await_leader, in_group
from tests.scenarios.lan.test_reclaim import SCRIPTS, Holders
from tests.scenarios.lan.test_takeovers import GRANTED_BESIDE, HELD_THROUGHOUT, REFUSED_BESIDE, assert_kept

pytestmark = needs_network_namespaces

ROUNDS: Final = int(os.environ.get("FLOM_LAN_ROUNDS") or 2)
"""How often the leader hands over; for twenty times, on a machine that does nothing else, FLOM_LAN_ROUNDS=20."""

SOON: Final = 0.1 if os.environ.get("FLOM_LAN_ROUNDS") else 1.0
"""Seconds by which a handover may delay a grant; CI's machine has other things to do."""

TRUSTING: Final = ["--allow-local-shutdown"]


def hand_over(leader: Member, *options: str) -> subprocess.CompletedProcess[str]:
    """Order C{leader} to hand over."""
    return leader.host.start(str(BIN / "flomctl"), "handover", "-A", GROUP, *options).finish()


def repeat(client: LanHost, name: str) -> Running:
    """Start a program that takes a lock of its own again and again; return it once it has had it."""
    running = client.start(sys.executable, grants.__file__, "group", GROUP, name)
    assert running.line() == "granted"
    return running


def longest_of(running: Running) -> float:
    """End such a program, and return the longest time from one grant to the next, in seconds."""
    done = running.finish()
    assert (done.returncode, done.stderr) == (0, "")
    return float(done.stdout.split()[0])


def test_nobody_notices_that_leaders_hand_over(lan: Lan, tmp_path: Path) -> None:
    """The print says for how long a client was not granted a lock that nobody else wanted."""
    members = [host.join_group(*TRUSTING) for host in lan.add_hosts(3)]
    client = lan.add_host()
    marks = Marks(tmp_path / "marks")
    leader = await_leader(members)
    wanted = [*HELD_THROUGHOUT, ["-r", "n" * 240]]  # the latter leaves no room in a message for anything else
    holders = [client.start_job(*in_group(GROUP, *options), marks=marks) for options in wanted]
    assert [holder.line() for holder in holders] == ["held"] * len(holders)
    programs = Holders(tmp_path)
    holders += [programs.start(client, words, f"R{number}") for number, words in enumerate(SCRIPTS.values())]
    delays = []
    for _ in range(ROUNDS):
        repeating = repeat(client, "own")
        done = hand_over(leader)
        assert (done.returncode, done.stderr) == (0, "")
        named = re.fullmatch(rf"{GROUP} is led by (\S+), \S+\n", done.stdout)
        delays.append(longest_of(repeating))
        assert leader.stands_by
        leader = await_leader(members)
        assert named
        assert named[1] == leader.host.name
    beside = [client.start_job(*in_group(GROUP, *options), seconds=0, marks=marks) for options in GRANTED_BESIDE]
    taken = [*REFUSED_BESIDE, *(["-r", f"R{number}"] for number in range(len(SCRIPTS)))]
    refused = [client.start_job(*in_group(GROUP, *options, "-o", "0"), seconds=0) for options in taken]
    for each in beside:
        assert_kept(each)
    assert [each.finish().returncode for each in refused] == [98] * len(refused)
    for holder in holders:
        assert_kept(holder)
    assert marks.violations() == []
    print(f"longest time between grants: {median(delays):.3f} s (median), {max(delays):.3f} s (most), of {len(delays)}")
    assert max(delays) < SOON


def test_waiters_keep_their_order(lan: Lan) -> None:
    """Each gets the next number of a sequence that one at a time may hold."""
    members = [host.join_group(*TRUSTING) for host in lan.add_hosts(2)]
    client = lan.add_host()
    leader = await_leader(members)
    [successor] = [member for member in members if member is not leader]
    holder = client.hold("_s_R[1]")
    waiters = [client.wait_for("_s_R[1]", leader) for _ in range(4)]
    unheeded = client.start(str(BIN / "flomctl"), "handover", "-A", GROUP).finish()
    assert_refused(unheeded, 1, " refuses to hand over: ")  # it is of another host
    assert hand_over(leader).returncode == 0
    assert_kept(holder)
    for number, waiter in enumerate(waiters, 2):
        done = waiter.finish()
        assert (done.returncode, complaints(done)) == (0, "")
        assert f"Locked element is '{number}'" in done.stdout
        assert successor.host.name in done.stdout


def test_over_tls_and_with_a_key(lan: Lan, tls: list[str], tmp_path: Path) -> None:
    key = tmp_path / "group.key"
    key.write_text("0123456789abcdef0123456789abcdef")
    key.chmod(0o600)
    secured = [*tls, "--group-key", str(key)]
    members = [host.join_group("--group-key-required", *secured) for host in lan.add_hosts(2)]
    client = lan.add_host()
    leader = await_leader(members)
    holder = client.hold("R", *secured)
    done = hand_over(leader, *secured)
    assert (done.returncode, done.stderr) == (0, "")
    assert client.flom(*in_group(GROUP, "-r", "R", "-o", "0", *secured), "--", "true").returncode == 98
    assert_kept(holder)


def test_a_daemon_that_a_command_has_started_ends(lan: Lan) -> None:
    """It does not stand by; that of C{flom} obeys its host."""
    one, other, client = lan.add_hosts(3)
    first = one.start(str(BIN / "flom"), *one.marks.job("-A", GROUP, "-r", "R"))
    assert first.line() == "held"
    standby = other.join_group(*TRUSTING)
    standby.await_log("standing by: ")
    done = one.start(str(BIN / "flomctl"), "handover", "-A", GROUP).finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert standby.leads
    assert client.ask()[0] == other.name
    eventually(lambda: not [pid for pid in one.pids() if name_of(pid).startswith("flom-standby")], "its end")
    assert_kept(first)


def assert_still_leads(leader: Member, done: subprocess.CompletedProcess[str], why: str) -> None:
    assert_refused(done, 1, " still leads: ", why)
    assert leader.leads
    assert leader.host.ask("-r", "free")[0] == leader.host.name


@needs_nft
def test_a_standby_that_cannot_be_connected_to_takes_nothing_over(lan: Lan) -> None:
    """The leader leads on, and grants."""
    members = [host.join_group(*TRUSTING) for host in lan.add_hosts(2)]
    client = lan.add_host()
    leader = await_leader(members)
    [standby] = [member for member in members if member is not leader]
    holder = client.hold("R")
    script = """
        add table inet shut
        add chain inet shut input { type filter hook input priority 0; }
        add rule inet shut input meta l4proto tcp drop
    """
    standby.host.run("nft", script, check=True)
    assert_still_leads(leader, hand_over(leader), f"{standby.host.name}, ")
    assert client.ask("-r", "free")[0] == leader.host.name
    assert_kept(holder)


def test_a_client_that_could_not_follow_is_not_left_behind(lan: Lan, tmp_path: Path) -> None:
    """It is connected to the leader by a UNIX socket; those of FLoM's cannot follow either."""
    one, other = lan.add_hosts(2)
    path = str(tmp_path / "s")
    leader = await_leader([one.join_group(*TRUSTING, "--socket-name", path)])
    assert_still_leads(leader, hand_over(leader), "no daemon stands by")
    other.join_group(*TRUSTING).await_log("standing by: ")
    holder = one.start_job("-s", path, "-r", "R", "-d", "0")
    assert holder.line() == "held"
    assert_still_leads(leader, hand_over(leader), "R is held by pid ")
    assert_kept(holder)
    assert hand_over(leader).returncode == 0


def test_a_lock_that_an_administrator_ends_is_not_reclaimed(lan: Lan) -> None:
    """Neither from the leader, nor from another daemon of the group."""
    members = [host.join_group(*TRUSTING, "--status-for", "all") for host in lan.add_hosts(2)]
    client = lan.add_host()
    leader = await_leader(members)
    holder = client.start_job(*in_group(GROUP, "-r", "R"))
    assert holder.line() == "held"
    release = [str(BIN / "flomctl"), "release", "-A", GROUP, "R"]
    assert_refused(client.start(*release).finish(), 1, " refuses to release ")
    done = leader.host.start(*release).finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert " is released; it was held by " in done.stdout
    assert client.flom(*in_group(GROUP, "-r", "R", "-o", "0"), "--", "true").returncode == 0
    ended = holder.finish()
    assert ended.returncode == 95
    assert "R: the lock was lost: an administrator has released it (root, " in ended.stderr
