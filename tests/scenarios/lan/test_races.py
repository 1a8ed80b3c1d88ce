"""
Whatever starts at the same moment ends as one daemon, and no two commands hold what excludes
(docs/compatibility.md, "Simultaneous starts in a group leave several daemons").
"""

from __future__ import annotations

import os
from typing import Final

from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.fakes.programs import complaints, eventually, name_of
from tests.scenarios.lan.network import GROUP, Lan, leaders_in

ROUNDS: Final = int(os.environ.get("FLOM_LAN_ROUNDS") or 2)
"""How often all hosts start anew."""

PATIENCE: Final = 60.0  # seconds, for many processes on few processors

pytestmark = needs_network_namespaces


def race(lan: Lan, starts: int) -> None:
    """Start C{starts} commands on each host at once, where there is no daemon yet."""
    before = len(lan.marks.holdings())
    runners = [host.start_job("-V", "-A", GROUP, "-d", "-1", seconds=0.02) for _ in range(starts) for host in lan.hosts]
    ended = [runner.finish(PATIENCE) for runner in runners]
    assert [(one.returncode, complaints(one)) for one in ended] == [(0, "")] * len(ended)
    assert len(lan.marks.holdings()) - before == len(ended)
    assert lan.marks.violations() == []
    leaders = {leader for one in ended for leader in leaders_in(one.stdout)}
    assert len(leaders) == 1, [one.stdout for one in ended]
    eventually(lambda: len(lan.processes()) == 1, "one daemon, and nothing else")
    [daemon] = lan.processes()
    assert name_of(daemon) == "flom"


def race_again_and_again(rounds: int, lan: Lan, starts: int) -> None:
    for _ in range(rounds):
        race(lan, starts)
        lan.kill_all()


def test_eight_starts_on_one_host(lan: Lan) -> None:
    lan.add_host()
    race_again_and_again(ROUNDS, lan, 8)


def test_four_starts_on_each_of_four_hosts(lan: Lan) -> None:
    lan.add_hosts(4)
    race_again_and_again(ROUNDS, lan, 4)


@needs_nft
def test_four_starts_on_each_of_four_hosts_when_datagrams_are_lost(lan: Lan) -> None:
    lan.add_hosts(4)
    lan.lose_datagrams(percent=30)
    race_again_and_again((ROUNDS + 1) // 2, lan, 4)
