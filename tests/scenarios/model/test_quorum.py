"""
Three daemons under a quorum, clients, clocks, a network and etcd that do whatever they can: no two commands run at one
time, tokens grow, no daemon leads when its lease may have ended, and when all is well again everything goes on.

C{FLOM_MODEL_HOURS=1000} makes it more hours of faults than usual; C{FLOM_MODEL_FIRST} is the first world of these.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Final, NamedTuple

import pytest

from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import DEFAULT, FAST, QuorumTimes
from tests.scenarios.model.quorum.rules import Rules, Wrong
from tests.scenarios.model.quorum.world import ALL, Focus, World

HOURS: Final = float(os.environ.get("FLOM_MODEL_HOURS") or 4.0)
FIRST: Final = int(os.environ.get("FLOM_MODEL_FIRST") or 0)

SECONDS: Final = 300.0
"""Seconds of faults in one world."""

MOST_WORLDS: Final = 1000
"""In so many at the latest it is found what goes wrong without one of the rules."""


def play(seeds: Iterable[int], rules: Rules, focus: Focus = ALL) -> Counter[str]:
    """Play one world after another; return what was done."""
    did: Counter[str] = Counter()
    for seed in seeds:
        world = World(seed, rules, focus)
        try:
            world.play(SECONDS)
        except Wrong as e:
            raise Wrong(f"world {seed}: {e}") from e
        did += world.did
    return did


@pytest.mark.parametrize("rules", [Rules(), Rules(times=FAST, lag=0.06)], ids=["default", "fast"])
def test_no_two_commands_run_at_one_time(rules: Rules) -> None:
    worlds = int(HOURS * 3600 / SECONDS / 2) + 1
    did = play(range(FIRST, FIRST + worlds), rules)
    print(f"{worlds * SECONDS / 3600:.1f} h of faults: {dict(did)}")
    assert did["elections"] > worlds
    assert did["commands"] > 10 * worlds


class WholeLease(QuorumTimes):
    """A leader uses all of its lease."""

    def lead_within(self, ttl: float) -> float:
        return ttl


class ShortWait(QuorumTimes):
    """A new leader waits for the margin alone."""

    @property
    def wait(self) -> float:
        return self.margin


class SinceTheWin(Tenure):
    """The first lease is counted from when the daemon knew that it has won."""

    def __init__(self, times: QuorumTimes, *, won_at: float, sent_at: float, ttl: float, has_no_holders: bool) -> None:
        super().__init__(times, won_at=won_at, sent_at=won_at, ttl=ttl, has_no_holders=has_no_holders)


def of(kind: type[QuorumTimes]) -> QuorumTimes:
    """Return the default times, but for what C{kind} changes."""
    times = kind.__new__(kind)
    for name in QuorumTimes.__slots__:
        setattr(times, name, getattr(DEFAULT, name))
    return times


class Fault(NamedTuple):
    """
    A mistake.

    @ivar known: a world in which it was found once.
    @ivar expected: what goes wrong.
    """

    known: int
    rules: Rules
    expected: str = "have the lock"
    focus: Focus = ALL


_TWO_LEAD: Final = "its lease has ended|another one has won"
_CUT: Final = Focus(("cut_leader", "break"), 4.0, 0.5, 0.01, 40.0)
_LOST: Final = Focus(("break", "cut", "isolate"), 2.0, 4.0, 0.01, 40.0)
_LATE: Final = Focus(("cut_leader", "resign", "resign", "kill"), 1.0, 3.0, 0.01, 6.0, 0.3)
_DOUBT: Final = Focus(("etcd_down", "etcd_leader", "kill"), 1.5, 4.0, 0.3, 40.0, 0.1)
_TWICE: Final = Focus(("isolate", "etcd_leader", "resign", "cut_leader", "freeze_leader"), 1.0, 4.0, 0.3, 40.0)
_RESTORE: Final = Focus(("back_up", "restore", "restore", "kill"), 9.0, 0.5, 0.0, 40.0)
_WORDS: Final = Focus(("back_up", "back_up", "resign", "restore", "restore"), 4.0, 0.5, 0.0, 12.0)

FAULTS: Final = {
    # times
    "the leader uses all of its lease": Fault(2, Rules(times=of(WholeLease)), _TWO_LEAD),
    "the lease counts from the answer": Fault(22, Rules(keeps_from_sent=False), _TWO_LEAD + "|token"),
    "the lease counts from the win": Fault(1, Rules(tenure=SinceTheWin), _TWO_LEAD, _LATE),
    "the wait is the margin alone": Fault(2, Rules(times=of(ShortWait))),
    "there is no wait": Fault(1, Rules(starts_waits=False)),
    "the patience uses the margin": Fault(37, Rules(times=DEFAULT.replace(patience=3.5))),
    "the patience has no room for kill-after": Fault(1, Rules(times=DEFAULT.replace(patience=4.0))),
    "the session is shorter than was told": Fault(1, Rules(times=DEFAULT.replace(session=4.0))),
    "the patience counts from the answer": Fault(233, Rules(keeps_from_asked=False), focus=_LOST),
    "the end counts from when it is noticed": Fault(13, Rules(kills_in_time=False)),
    "clocks differ by more": Fault(3, Rules(slowest=0.8, fastest=1.2), "have the lock|" + _TWO_LEAD),
    # daemons
    "grants are not checked": Fault(3, Rules(checks_grants=False), "token"),
    "answers are not checked": Fault(1, Rules(checks_answers=False), focus=_CUT),
    "word is left that is not known": Fault(43, Rules(checks_word=False)),
    "word stays": Fault(104, Rules(consumes_word=False)),
    "word of a backup is believed": Fault(1274, Rules(doubts_old_words=False), focus=_WORDS),
    "word is believed in doubt": Fault(0, Rules(doubts_word=False)),
    "who resigns goes on": Fault(0, Rules(resigns_first=False), "have the lock|" + _TWO_LEAD),
    "no TTL is taken for kept": Fault(38, Rules(reads_keepalives=False), _TWO_LEAD),
    "all attempts have one value": Fault(14, Rules(has_own_values=False, revokes_doubtful=False), _TWO_LEAD, _DOUBT),
    "a lease is asked for by its number": Fault(34, Rules(numbers_leases=False), _TWO_LEAD, _TWICE),
    "another history is not noticed": Fault(40, Rules(watches_history=False), "token"),
    "the last tenure is not forgotten": Fault(2, Rules(clears_table=False), "runs no command|have the lock"),
    # clients
    "late grants are not checked": Fault(37, Rules(checks_late_grants=False)),
    "who was stopped may reclaim": Fault(114, Rules(reclaims_in_time=False)),
    # what etcd has to do
    "etcd ends leases early": Fault(1, Rules(ends_leases_late=False), _TWO_LEAD),
    "etcd adds nothing when its leader changes": Fault(317, Rules(extends_leases=False), _TWO_LEAD),
    "a restore takes no time": Fault(177, Rules(restore_takes=0.0), focus=_RESTORE),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_a_mistake_is_found(fault: Fault) -> None:
    with pytest.raises(Wrong, match=fault.expected):
        play(chain([fault.known], range(MOST_WORLDS)), fault.rules, fault.focus)
