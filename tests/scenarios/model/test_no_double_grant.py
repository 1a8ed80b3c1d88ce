"""
Hosts, clocks, a network and daemons that do whatever they can: no two commands run that exclude each other, except on
a host that was frozen, whose token is the lower one then.

C{FLOM_MODEL_WORLDS=20000} makes it more than usual.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain
from random import Random
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scenarios.model.world import Rules, World
from tests.tools.fuzz.checker import Wrong

WORLDS: Final = int(os.environ.get("FLOM_MODEL_WORLDS") or 250)
TURNS: Final = 120

MOST_WORLDS: Final = 5000
"""In so many at the latest it is found what goes wrong where the times do not fit."""


@given(st.randoms(use_true_random=False))
@settings(derandomize=True, deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
def test_no_two_commands_run_that_exclude_each_other(random: Random) -> None:
    """What hypothesis finds, it makes shorter; most is found by more worlds, below."""
    World(random).play(TURNS // 2)


def test_nor_do_they_in_many_worlds() -> None:
    worlds = [World(Random(seed)) for seed in range(WORLDS)]
    for world in worlds:
        world.play(TURNS)
    assert sum(world.did["commands"] for world in worlds) > WORLDS
    assert sum(world.did["starts"] for world in worlds) > 2 * WORLDS


@pytest.mark.parametrize(
    ("rules", "known"),
    [
        (Rules(patience=12.0), 56),
        (Rules(kill_after=6.0), 56),
        (Rules(grace=0.0), 2),
        (Rules(slowest=0.6, fastest=1.4), 56),
        (Rules(checks_late_grants=False), 1008),
        (Rules(reclaims_late=True), 648),
    ],
    ids=["patience", "kill-after", "no grace", "clocks", "late grants", "late reclaims"],
)
def test_where_the_times_do_not_fit_it_is_found(rules: Rules, known: int) -> None:
    """@param known: a world in which it was found once."""
    with pytest.raises(Wrong, match="has it too"):
        play_all(chain([known], range(MOST_WORLDS)), rules)


def play_all(seeds: Iterable[int], rules: Rules) -> None:
    """Play one world after another; L{Wrong} is raised by the first in which two commands run."""
    for seed in seeds:
        World(Random(seed), rules).play(TURNS)
