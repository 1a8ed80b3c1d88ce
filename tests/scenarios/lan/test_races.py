"""
Whatever starts at the same moment ends as one daemon, and no two commands hold what excludes
(docs/compatibility.md, "Simultaneous starts in a group leave several daemons").
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import eventually, name_of
from tests.scenarios.lan.marks import Marks
from tests.scenarios.lan.network import GROUP, Lan, leaders_in

ROUNDS: Final = int(os.environ.get("FLOM_LAN_ROUNDS") or 2)
"""How often all hosts start anew."""

PATIENCE: Final = 60.0  # seconds, for many processes on few processors

pytestmark = needs_network_namespaces


def race(lan: Lan, starts: int, marks: Marks) -> None:
    """Start C{starts} commands on each host at once, where there is no daemon yet."""
    runners = [
        host.start_flom("-V", "-A", GROUP, "-d", "-1", "--", *marks.command())
        for _ in range(starts)
        for host in lan.hosts
    ]
    ended = [runner.finish(PATIENCE) for runner in runners]
    assert [(one.returncode, one.stderr) for one in ended] == [(0, "")] * len(ended)
    assert len(marks.holdings()) == len(ended)
    assert marks.overlaps() == []
    leaders = {leader for one in ended for leader in leaders_in(one.stdout)}
    assert len(leaders) == 1, [one.stdout for one in ended]
    eventually(lambda: len(lan.processes()) == 1, "one daemon, and nothing else")
    [daemon] = lan.processes()
    assert name_of(daemon) == "flom"


def race_again_and_again(rounds: int, lan: Lan, starts: int, folder: Path) -> None:
    for number in range(rounds):
        race(lan, starts, Marks(folder / f"marks-{number}"))
        lan.kill_all()


def test_eight_starts_on_one_host(lan: Lan, tmp_path: Path) -> None:
    lan.add_host()
    race_again_and_again(ROUNDS, lan, 8, tmp_path)


def test_four_starts_on_each_of_four_hosts(lan: Lan, tmp_path: Path) -> None:
    lan.add_hosts(4)
    race_again_and_again(ROUNDS, lan, 4, tmp_path)


@needs_nft
def test_four_starts_on_each_of_four_hosts_when_datagrams_are_lost(lan: Lan, tmp_path: Path) -> None:
    lan.add_hosts(4)
    lan.lose_datagrams(percent=30)
    race_again_and_again((ROUNDS + 1) // 2, lan, 4, tmp_path)
