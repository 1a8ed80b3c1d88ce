"""
Faults of all kinds at random: C{make test-quorum MINUTES=30 SEED=7}.

What commands have told the store is kept, if two held what excludes each other or anything else was wrong.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import pytest

from tests.fakes.clocks import HOUR, FakeWallClock, needs_faketime
from tests.fakes.netns import needs_network_namespaces, needs_nft
from tests.scenarios.quorum.crowd import Crowd, judge
from tests.scenarios.quorum.members import GROUP, Quorum, needs_etcd
from tests.scenarios.quorum.nemesis import Nemesis
from tests.scenarios.quorum.store import TokenStore

pytestmark = [needs_network_namespaces, needs_nft, needs_etcd, needs_faketime, pytest.mark.slow]

MINUTES: Final = float(os.environ.get("FLOM_QUORUM_MINUTES") or 1)
SEED: Final = int(os.environ.get("FLOM_QUORUM_SEED") or SystemRandom().randrange(2**31))


def with_other_clocks(quorum: Quorum, folder: Path) -> None:
    """
    Set the clock of the second host an hour ahead; that of the third is an hour behind, and 10 % fast.

    All clocks of their programs are: libfaketime's C{FAKETIME_DONT_FAKE_MONOTONIC} breaks C{time.sleep}.
    """
    for number, text in ((1, f"+{HOUR:g}"), (2, f"-{HOUR:g} x1.1")):
        clock = FakeWallClock(folder, f"clock{number}")
        clock.set(text)
        faked = {key: value for key, value in clock.environment.items() if "MONOTONIC" not in key}
        quorum.nodes[number].environment.update(faked)


@pytest.mark.parametrize("quorum", [{"group": GROUP}, {}], ids=["group", "addresses"], indirect=True)
def test_nothing_is_held_twice_whatever_happens(quorum: Quorum, disk: Path, tmp_path: Path) -> None:
    """At no time; and after each fault, commands run on all hosts again."""
    random = Random(SEED)
    print(f"\nseed {SEED}, {MINUTES:g} min in all", flush=True)
    with_other_clocks(quorum, tmp_path)
    quorum.start_etcd()
    quorum.start_daemons(patience=60.0)
    with TokenStore(disk) as store, Crowd(quorum, store, seed=SEED) as crowd:
        nemesis = Nemesis(quorum, crowd, random, say=lambda line: print(line, flush=True))
        try:
            nemesis.work(MINUTES * 30)
            crowd.finish()
            judge(crowd, store)
        except BaseException:
            keep(store, crowd)
            raise
        finally:
            print(f"{len(store.history.jobs)} commands held, {len(store.history.writes)} writes; {dict(nemesis.did)}")
            print(f"{dict(crowd.outcomes())}; on after {max(nemesis.recoveries, default=0):.1f} s at most", flush=True)
            for line, times in crowd.words().most_common(12):
                print(f"{times:>6} {line}", flush=True)


def keep(store: TokenStore, crowd: Crowd) -> None:
    """Write what was heard into a file that stays, and print its name."""
    with tempfile.NamedTemporaryFile("w", prefix="flom-quorum-", suffix=".jsonl", delete=False) as file:
        for line in store.history.lines(crowd.frozen()):
            print(line, file=file)
    with open(f"{file.name}.runs", "w") as runs:
        for run in crowd.runs:
            print(run, file=runs)
    print(f"with seed {SEED}; history in {file.name}, and how each flom-run has ended in {file.name}.runs", flush=True)
