"""
Leaders of a group are killed again and again under commands on all types of resources: no two hold what excludes each
other, tokens grow, and none is harmed.

C{FLOM_STORM_KILLS=200} makes it more kills than usual.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.exclusion import Marks
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Programs, command_line_of, eventually, name_of
from tests.fakes.storm import KILLS, Storm
from tests.scenarios.lan.flom_peers import connect_to_leader
from tests.scenarios.lan.network import GROUP, Lan, LanHost, Member, await_leader

pytestmark = needs_network_namespaces

IS_LONG: Final = KILLS >= 20
ROUNDS: Final = KILLS if IS_LONG else 1
PAUSE: Final = 4.0 if IS_LONG else 2.0  # seconds from the beginning of a leader to its end


@pytest.fixture
def clients(lan: Lan) -> list[LanHost]:
    """Two hosts, on which the commands run in turn."""
    return lan.add_hosts(2)


def storm_in_group(programs: Programs, marks: Marks, clients: list[LanHost], *options: str) -> Storm:
    def place(number: int) -> AbstractContextManager[None]:
        return clients[number % len(clients)].inside()

    return Storm(programs, marks, ["-A", GROUP, *options], connect=lambda: connect_to_leader(clients[0]), place=place)


def test_leaders_are_killed_under_commands(
    lan: Lan, programs: Programs, marks: Marks, clients: list[LanHost], tmp_path: Path
) -> None:
    """Three hosts have daemons, each with a state directory of its own; the one that was killed is started again."""

    def join(host: LanHost) -> Member:
        return host.join_group("--state", str(tmp_path / host.name))

    members = [join(host) for host in lan.add_hosts(3)]
    await_leader(members)
    with storm_in_group(programs, marks, clients, "-d", "0") as storm:
        for _ in range(ROUNDS):
            leader = await_leader(members, 60.0)
            time.sleep(PAUSE)  # its grace period takes some of that
            storm.kill(leader.pid)
            leader.wait()
            members[members.index(leader)] = join(leader.host)
        await_leader(members, 60.0)
    storm.check(forgets=True)


def test_commands_elect_the_next_leader(programs: Programs, marks: Marks, clients: list[LanHost]) -> None:
    """No daemon stands by."""

    def leaders() -> list[int]:
        return [pid for pid in programs.daemons() if name_of(pid) == "flom" and "flom/daemon" in command_line_of(pid)]

    with storm_in_group(programs, marks, clients, "-d", "60000") as storm:
        for _ in range(ROUNDS):
            eventually(leaders, "a leader", patience=60.0, interval=0.2)
            time.sleep(PAUSE)
            for pid in leaders():
                storm.kill(pid)
        eventually(leaders, "a leader", patience=60.0, interval=0.2)
    storm.check(forgets=True)
