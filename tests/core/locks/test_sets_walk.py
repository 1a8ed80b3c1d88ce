"""
Long walks: the table does with several locks at once what a plain reading of docs/howto/several-locks.md does
(tests/core/model.py), and no request for several waits for ever.

Walks are random, and the same in each run. They get further than hypothesis does, which shrinks what it finds.
"""

from __future__ import annotations

from random import Random
from typing import Final

import pytest

from flom.core.effects import Effect, Instant
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import ResourceName, SequenceName, parse_name
from flom.core.protocol.messages import WhyWithdrawn, Wishes
from flom.core.requests import LockRequest, SessionId, SetRequest
from tests.core.locks.test_table_against_model import by_resource, strftime, tokens
from tests.core.model import Model

KINDS: Final = {
    "of one kind": ["A", "B", "C", "D"],
    "of many kinds": ["A", "N[3]", "a.b", "/h/x", "/h/x/y", "/h/z", "_s_a[2]", "_t_%S[2]"],
}
MODES: Final = [LockMode.EX, LockMode.EX, LockMode.EX, LockMode.PR, LockMode.PR, LockMode.CR, LockMode.NL]


class Walk:
    """The table and the model, which are told the same."""

    def __init__(self, seed: int, texts: list[str], sessions: int) -> None:
        self.random = Random(seed)
        self.names = [parse_name(text) for text in texts]
        self.sessions = [SessionId(each) for each in range(1, sessions + 1)]
        self.now = Instant(0.0, 1_700_000_000.0)
        self.table = LockTable(strftime, max_overtaking=2)
        self.model = Model(strftime, max_overtaking=2)

    def step(self) -> None:
        session, name = self.random.choice(self.sessions), self.random.choice(self.names)
        step = self.random.choice(["ask"] * 3 + ["ask all"] * 3 + ["release"] * 2 + ["release all", "rare"])
        if step == "rare":
            step = self.random.choice(["drop", "give up", "time", "order", "withdraw"])
        match step:
            case "ask":
                request = self.request(session, name, self.wishes(session), wait=self.random.random() < 0.9)
                self.compare(self.table.request(request, self.now), self.model.request(request, self.now))
            case "ask all":
                names = {each.key: each for each in self.random.sample(self.names, self.random.choice([2, 2, 3]))}
                wishes, wait = self.wishes(session), self.random.random() < 0.9
                several = SetRequest(tuple(self.request(session, each, wishes, wait=wait) for each in names.values()))
                self.compare(self.table.request_all(several, self.now), self.model.request_all(several, self.now))
            case "release" if not isinstance(name, SequenceName):
                self.compare(self.table.release(session, name, self.now), self.model.release(session, name, self.now))
            case "release all":
                self.compare(self.table.release_all(session, self.now), self.model.release_all(session, self.now))
            case "drop":
                self.compare(self.table.drop(session, self.now), self.model.drop(session, self.now))
            case "time":
                seconds = self.random.choice([0.0, 0.5, 1.0])
                self.now = Instant(self.now.monotonic + seconds, self.now.wall + seconds)
                self.compare(self.table.expire(self.now), self.model.expire(self.now))
            case "order":
                self.table.put_in_order(name.key)
                self.model.put_in_order(name)
            case "give up" | "withdraw":
                waiting = self.model.waiting()
                one = self.random.choice(waiting) if waiting else None
                if one is not None and step == "withdraw":
                    self.table.withdraw(one)
                    self.model.withdraw(one)
                elif one is not None and [
                    each for each in waiting if (each.session, each.name) == (one.session, one.name)
                ] == [one]:
                    effects = self.table.give_up(one.session, one.name, self.now, WhyWithdrawn.GONE)
                    self.compare(effects, self.model.give_up(one, self.now))

    def request(self, session: SessionId, name: ResourceName, wishes: Wishes | None, *, wait: bool) -> LockRequest:
        mode, quantity = self.random.choice(MODES), self.random.choice([1, 1, 2, 3])
        waited = self.random.choice([0.0, 0.0, 0.0, 5.0])
        return LockRequest(session, name, mode, quantity, wait, waited=waited, wishes=wishes)

    def wishes(self, session: SessionId) -> Wishes | None:
        outer = self.random.choice(self.sessions)
        lineage = self.random.choice([(), (session,), (session,), (session,), (session, outer)])
        return Wishes(lineage=tuple(map(str, lineage))) if lineage else None

    def compare(self, actual: list[Effect], expected: list[Effect]) -> None:
        assert by_resource(actual) == by_resource(expected)
        assert tokens(actual) == tokens(expected)


@pytest.mark.parametrize("texts", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("sessions", [5, 12])
def test_a_long_walk_beside_the_model(texts: list[str], sessions: int) -> None:
    for seed in range(20):
        walk = Walk(seed, texts, sessions)
        for _ in range(150):
            walk.step()
