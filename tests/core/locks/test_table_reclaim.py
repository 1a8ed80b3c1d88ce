"""
Daemons that die, and holders that reclaim: what is held is judged by rules that share no more with the lock table than
modes and names (flom/core/history/exclusion.py).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from flom.core.effects import Ended, Granted, Instant
from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId

NAMES: Final = {
    "simple": ["R"],
    "numeric": ["N[4]"],
    "hierarchical": ["/a", "/a/b", "/a/c", "/a/b/d"],
    "set": ["red.green.blue", "u.u.v"],
    "sequence": ["_s_n[3]"],
    "transactional sequence": ["_S_n[3]"],
    "timestamp": ["_t_%T[3]", "_t_%S#f[3]", "_t_%M[2]"],
}
LENIENT: Final = [LockMode.CR, LockMode.CW, LockMode.PR]


@dataclass
class Held:
    """
    A lock, and what was granted.

    @ivar begin: in steps of the script.
    """

    request: LockRequest
    granted: Granted
    begin: int


class World:
    """
    Sessions, and daemons one after another.

    @ivar ended: what was held before, to be judged.
    """

    def __init__(self) -> None:
        self.held: list[Held] = []
        self.ended: list[Holding] = []
        self.steps = 0
        self.start_daemon()

    @property
    def now(self) -> Instant:
        return Instant(float(self.steps), 1_700_000_000.0 + self.steps / 4)

    def start_daemon(self) -> None:
        self.table = LockTable(lambda format, wall: time.strftime(format, time.gmtime(wall)))

    def ask(self, request: LockRequest) -> bool:
        self.steps += 1
        granted = self.table.request(request, self.now)[-1]
        if isinstance(granted, Granted):
            self.held.append(Held(request, granted, self.steps))
        return isinstance(granted, Granted)

    def release(self, held: Held, rollback: bool) -> None:
        [ended] = self.table.release(held.request.session, held.request.name, self.now, rollback=rollback)
        assert isinstance(ended, Ended)
        self.held.remove(next(each for each in self.held if each.request is ended.request))
        self.end(held)

    def die(self, coming: list[Held]) -> None:
        """End the daemon; of the holders, those who are C{coming} reclaim in this order, the others are told."""
        for held in self.held:
            if held not in coming:
                self.end(held)
        self.held = []
        self.start_daemon()
        for held in coming:
            again = LockRequest(
                held.request.session,
                held.request.name,
                held.request.mode,
                held.request.quantity,
                wait=False,
                regains=True,
                element=held.granted.element,
                token=held.granted.token,
            )
            assert self.ask(again)
            regained = self.held[-1]
            assert (regained.granted.element, regained.granted.token) == (held.granted.element, held.granted.token)
            regained.begin = held.begin

    def end(self, held: Held) -> None:
        self.steps += 1
        self.ended.append(self.holding(held).replace(end=self.steps))
        self.steps += 1

    def holding(self, held: Held) -> Holding:
        request, element = held.request, held.granted.element or ""
        name, mode = request.name.text, request.mode.name
        return Holding(request.session, name, held.begin, mode=mode, quantity=request.quantity, element=element)


@given(st.sampled_from(list(NAMES.values())), st.data())
@settings(max_examples=300)
def test_every_holder_can_reclaim_and_nobody_has_what_it_excludes(names: list[str], data: st.DataObject) -> None:
    """In whatever order holders come, and however many do not."""
    world = World()
    for session in range(1, data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["lock", "lock", "lock", "release", "die"])):
            case "lock":
                name, mode = data.draw(st.sampled_from(names)), data.draw(st.sampled_from([*LENIENT, *LockMode]))
                quantity = data.draw(st.integers(0, 3))
                world.ask(LockRequest(SessionId(session), parse_name(name), mode, quantity, wait=False))
            case "release" if world.held:
                world.release(data.draw(st.sampled_from(world.held)), data.draw(st.booleans()))
            case "die" if world.held:
                world.die(data.draw(st.lists(st.sampled_from(world.held), unique_by=id)))
    assert violations([*world.ended, *map(world.holding, world.held)]) == []
