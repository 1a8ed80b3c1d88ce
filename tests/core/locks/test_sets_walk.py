"""
Long walks: the table does with several locks at once what a plain reading of docs/howto/several-locks.md does
(tests/core/model.py), and no request for several waits for ever.

Walks are random, and the same in each run. They get further than hypothesis does, which shrinks what it finds.
"""

from __future__ import annotations

from random import Random
from typing import Final

import pytest

from flom.core.effects import Effect, Granted, Instant
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
        self.all_tell = seed % 4 > 0  # under which commands they run
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
                seconds = self.random.choice([0.0, 0.5, 1.0, 4.0, 10.0])
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
        lineage = self.random.choice([(), (session,), (session,), (session,), (session, outer)][self.all_tell :])
        return Wishes(lineage=tuple(map(str, lineage)), nested="wait") if lineage else None

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


class Crowd:
    """Clients that hold nothing when they ask, and release everything some turns after they were granted it."""

    def __init__(self, max_overtaking: int) -> None:
        self.table = LockTable(strftime, max_overtaking=max_overtaking)
        self.turn = 0
        self.clients = 0
        self.holding: dict[SessionId, int] = {}  # in which turn each was granted something
        self.asked: dict[SessionId, int] = {}  # likewise, those that wait

    @property
    def now(self) -> Instant:
        return Instant(float(self.turn), float(self.turn))

    def ask(self, *wanted: tuple[str, LockMode]) -> SessionId:
        self.clients += 1
        session = SessionId(self.clients)
        wishes = Wishes(lineage=(str(session),))
        parts = tuple(LockRequest(session, parse_name(name), mode, wishes=wishes) for name, mode in wanted)
        self.asked[session] = self.turn
        one = len(parts) == 1
        self.note(
            self.table.request(parts[0], self.now) if one else self.table.request_all(SetRequest(parts), self.now)
        )
        return session

    def note(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Granted):
                self.holding[effect.request.session] = self.turn
                self.asked.pop(effect.request.session, None)

    def go_on(self, turns: int) -> None:
        """End the turn: those release that were granted something so many turns ago."""
        self.turn += 1
        for session in [session for session, since in self.holding.items() if since <= self.turn - turns]:
            del self.holding[session]
            self.note(self.table.release_all(session, self.now))


@pytest.mark.parametrize("max_overtaking", [1, 4, 16])
def test_a_set_is_granted_although_its_resources_are_never_free(max_overtaking: int) -> None:
    crowd = Crowd(max_overtaking)
    for _ in range(4):
        crowd.ask(("A", LockMode.PR))
        crowd.ask(("B", LockMode.PR))
        crowd.go_on(3)
    several = crowd.ask(("A", LockMode.EX), ("B", LockMode.EX))
    turns = 0
    while several in crowd.asked:
        crowd.ask(("A", LockMode.PR))
        crowd.ask(("B", LockMode.PR))
        crowd.go_on(3)
        turns += 1
    assert turns <= max_overtaking / 2 + 4
    for _ in range(6):
        crowd.go_on(3)
    assert not crowd.asked  # those that were held back have had their turn


def test_without_the_limit_it_would_wait_for_ever() -> None:
    crowd = Crowd(max_overtaking=0)
    several = None
    for _ in range(1000):
        crowd.ask(("A", LockMode.PR))
        crowd.ask(("B", LockMode.PR))
        several = several or crowd.ask(("A", LockMode.EX), ("B", LockMode.EX))
        crowd.go_on(3)
    assert several in crowd.asked


@pytest.mark.parametrize("seed", range(6))
def test_all_are_granted_what_they_want_in_the_end(seed: int) -> None:
    """No circle of waits comes of several locks, and each is overtaken by so many at most."""
    random, crowd, longest = Random(seed), Crowd(max_overtaking=4), 0
    for _ in range(400):
        names = random.sample("ABCDE", random.choice([1, 1, 2, 2, 3]))
        crowd.ask(*((name, random.choice([LockMode.EX, LockMode.EX, LockMode.PR])) for name in names))
        for _ in range(random.choice([0, 1, 2, 3])):
            crowd.go_on(2)
            longest = max([longest, *(crowd.turn - since for since in crowd.asked.values())])
    while crowd.holding:
        crowd.go_on(2)
    assert not crowd.asked
    assert longest < 150
