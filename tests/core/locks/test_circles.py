"""Which waits would last for ever, by scripted tables, by a naive search, and by playing each refused wait out."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from flom.codes import Outcome
from flom.core.effects import Converted, Converting, Effect, Granted, Incubated, Instant, NotConverted, Queued, Refused
from flom.core.locks.circles import covers, is_in_the_way
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import Wishes
from flom.core.requests import LockRequest, SessionId
from tests.core.locks.test_cost import cost

NOW: Final = Instant(100.0, 1_700_000_000.0)
"""So that no time passes."""


def strftime(format: str, wall: float) -> str:
    return time.strftime(format, time.gmtime(wall))


def id_of(name: str) -> str:
    """The public id of the command C{name}."""
    return name.encode().hex().rjust(16, "0")


@dataclass
class Scene:
    """
    A table, told in one line a step: who asks for what, and what comes of it.

    C{"a.b.c asks X PR"}: c asks, which runs under b, which runs under a.
    """

    table: LockTable = field(default_factory=lambda: LockTable(strftime))
    names: dict[str, SessionId] = field(default_factory=dict)

    def session(self, name: str) -> SessionId:
        return self.names.setdefault(name, SessionId(len(self.names) + 1))

    def name(self, request: LockRequest) -> str:
        return next(name for name, session in self.names.items() if session == request.session)

    def play(self, line: str) -> str:
        path, verb, resource, *more = line.split()
        name = path.split(".")[-1]
        if verb == "ends":
            return self.tell(self.table.drop(self.session(name), NOW))
        if verb == "converts":
            return self.tell(self.table.convert(self.session(name), parse_name(resource), LockMode[more[0]], NOW))
        if verb == "releases":
            return self.tell(self.table.release(self.session(name), parse_name(resource), NOW))
        mode = next((LockMode[word] for word in more if word in LockMode.__members__), LockMode.EX)
        quantity = next((int(word) for word in more if word.isdigit()), 1)
        nested = next((word for word in more if word in ("share", "wait")), "")
        lineage = () if "alone" in more else tuple(map(id_of, reversed(path.split("."))))
        request = LockRequest(
            self.session(name),
            parse_name(resource),
            mode,
            quantity,
            wait="now" not in more,
            create="later" not in more,
            wishes=Wishes(lineage, nested) if lineage else None,
        )
        return self.tell(self.table.request(request, NOW))

    def tell(self, effects: Iterable[Effect]) -> str:
        words = []
        for effect in effects:
            match effect:
                case Granted(request=request, token=token, element=element):
                    words.append(f"{self.name(request)} has {token & 0xFF}{f' {element}' if element else ''}")
                case Queued(request=request) | Incubated(request=request):
                    words.append(f"{self.name(request)} waits")
                case Refused(request=request, outcome=Outcome.DEADLOCK, circle=circle):
                    steps = [
                        f"{self.name(step.wait)} for {step.wait.name.text} of {self.name(step.holder)}"
                        for step in circle
                    ]
                    words.append(f"{self.name(request)} refused: {', '.join(steps)}")
                case Converted(request=request) | Converting(request=request) | NotConverted(request=request):
                    words.append(f"{self.name(request)} {type(effect).__name__}")
                case Refused(request=request, outcome=outcome):
                    words.append(f"{self.name(request)} {outcome.name}")
        return "; ".join(words)


SCENES: Final = {
    "what the outer command holds": """
        a asks X EX -> a has 1
        a.b asks X EX -> b refused: b for X of a
        a.b asks Y EX -> b has 2
    """,
    "beside the outer command, nothing is in the way": """
        a asks X PR -> a has 1
        a.b asks X PR -> b has 2
        a.b.c asks N[3] 3 -> c has 3
    """,
    "stronger than what the outer command holds": """
        a asks X PR -> a has 1
        a.b asks X EX -> b refused: b for X of a
    """,
    "two commands further out": """
        a asks X EX -> a has 1
        a.b asks Y EX -> b has 2
        a.b.c asks X PR -> c refused: c for X of a
    """,
    "a request that is not to wait is busy": """
        a asks X EX -> a has 1
        a.b asks X EX now -> b BUSY
    """,
    "crossed": """
        a asks A EX -> a has 1
        b asks B EX -> b has 2
        a.c asks B EX -> c waits
        b.d asks A EX -> d refused: d for A of a, c for B of b
        b ends . -> c has 3
    """,
    "three in a circle, of all types": """
        a asks x.y EX -> a has 1 x
        e asks x.y EX -> e has 2 y
        b asks N[4] 3 -> b has 3
        c asks _s_S[1] -> c has 4 1
        a.f asks N[4] 2 -> f waits
        b.g asks _s_S[1] -> g waits
        c.h asks x.y -> h waits
        e.i asks N[4] 2 -> i refused: i for N[4] of b, g for _s_S[1] of c, h for x.y of e
    """,
    "readers: one of them in the circle is enough": """
        a asks X PR -> a has 1
        b asks X PR -> b has 2
        c asks Y EX -> c has 3
        a.d asks Y EX -> d waits
        c.e asks X EX -> e refused: e for X of a, d for Y of c
    """,
    "units: others can free enough": """
        a asks N[4] 2 -> a has 1
        b asks N[4] 2 -> b has 2
        a.c asks N[4] 2 -> c waits
        b ends . -> c has 3
    """,
    "units: others cannot free enough": """
        a asks N[4] 2 -> a has 1
        b asks N[4] 2 -> b has 2
        a.c asks N[4] 3 -> c refused: c for N[4] of a
    """,
    "units: two of the circle have too many together": """
        a asks N[4] 2 -> a has 1
        b asks N[4] 2 -> b has 2
        c asks Y EX -> c has 3
        a.d asks Y EX -> d waits
        b.e asks Y EX -> e waits
        c.f asks N[4] 1 -> f refused: f for N[4] of a, d for Y of c
    """,
    "units: one who is no part of it has enough": """
        a asks N[4] 3 -> a has 1
        b asks N[4] 1 -> b has 2
        c asks Y EX -> c has 3
        a.d asks Y EX -> d waits
        c.f asks N[4] 1 -> f waits
        b ends . -> f has 4
    """,
    "a tree": """
        a asks /t/a EX -> a has 1
        b asks /t/b EX -> b has 2
        a.c asks /t/b/x PR -> c waits
        b.d asks /t/c EX -> d has 3
        b.e asks /t EX -> e refused: e for /t of b
        b.f asks /t/a/x CR -> f refused: f for /t/a/x of a, c for /t/b/x of b
    """,
    "whoever asks to wait waits, and makes no circle": """
        a asks A EX -> a has 1
        a.b asks A EX wait -> b waits
        b2 asks B EX -> b2 has 2
        a.c asks B EX wait -> c waits
        b2.d asks A EX -> d waits
        a ends . -> b has 3
    """,
    "clients without a lineage are no part of circles": """
        a asks A EX alone -> a has 1
        a asks A EX alone -> a waits
        b asks B EX -> b has 2
        b.c asks A EX -> c waits
        a asks B EX alone -> a waits
    """,
    "a session that holds and waits": """
        a asks A EX -> a has 1
        b asks B EX -> b has 2
        a asks B EX -> a waits
        b asks A EX -> b refused: b for A of a, a for B of b
        a asks A EX -> a refused: a for A of a
    """,
    "a waiter that was withdrawn is no part of circles": """
        a asks A EX -> a has 1
        b asks B EX -> b has 2
        a.c asks B EX -> c waits
        c ends . ->
        b.d asks A EX -> d waits
    """,
    "what is to be created by others": """
        a asks A EX -> a has 1
        a.b asks B EX later -> b waits
        c asks B EX -> c has 2; b waits
        c.d asks A EX -> d refused: d for A of a, b for B of c
    """,
    "created by an outer command's other one": """
        a asks A EX -> a has 1
        a.b asks B EX later -> b waits
        a.b.c asks B EX -> c has 2; b waits
    """,
    "shared": """
        a asks X EX -> a has 1
        a.b asks X PR share -> b has 1
        c asks X CR -> c waits
        a ends . ->
        b ends . -> c has 2
    """,
    "shared, and what is not to wait too": """
        a asks X EX -> a has 1
        a.b asks X EX share now -> b has 1
        b ends . ->
        a releases X ->
        c asks X EX -> c has 2
    """,
    "shared once more": """
        a asks X EX -> a has 1
        a.b asks X PR share -> b has 1
        a.b.c asks X EX share -> c has 1
        a ends . ->
        b ends . ->
        d asks X EX -> d waits
        c ends . -> d has 2
    """,
    "not shared: stronger": """
        a asks X PR -> a has 1
        a.b asks X EX share -> b refused: b for X of a
        c asks X PW alone -> c waits
        a.b asks X CW share -> b refused: b for X of a
    """,
    "not shared: what is free is taken": """
        a asks N[4] 2 -> a has 1
        a.b asks N[4] 2 share -> b has 2
        a.c asks N[4] 2 share -> c has 1
        a.c asks N[4] 3 share -> c refused: c for N[4] of a
    """,
    "a node below is shared, one above is not": """
        a asks /t/a PW -> a has 1
        a.b asks /t/a/x CW share -> b has 1
        a.c asks /t EX share -> c refused: c for /t of a
        a ends . ->
        d asks /t/a/y EX -> d waits
        b ends . -> d has 2
    """,
    "the element is shared": """
        a asks u.v EX -> a has 1 u
        a.b asks u.v EX share -> b has 2 v
        a.c asks u.v EX share -> c has 1 u
        a ends . ->
        d asks u.v EX -> d waits
        c ends . -> d has 3 u
    """,
    "the value of a sequence is rolled back as the one has who was given it": """
        a asks _S_s[1] -> a has 1 1
        a.b asks _S_s[1] share -> b has 1 1
        a releases _S_s[1] ->
        b ends . ->
        c asks _S_s[1] -> c has 2 2
        c.d asks _S_s[1] share -> d has 2 2
        c ends . ->
        d ends . ->
        e asks _S_s[1] -> e has 3 2
    """,
    "sharers count once, and each of them in circles": """
        a asks N[4] 3 -> a has 1
        c asks N[4] 1 -> c has 2
        a.b asks N[4] 3 share -> b has 1
        a ends . ->
        d asks Y EX -> d has 3
        a.b.e asks Y EX -> e waits
        d.f asks N[4] 1 -> f waits
        d.g asks N[4] 2 -> g refused: g for N[4] of b, e for Y of d
    """,
    "conversions": """
        a asks X PR -> a has 1
        b asks X PR -> b has 2
        c asks Y EX -> c has 3
        b.d asks Y EX -> d waits
        c.e asks Z EX -> e has 4
        a converts X EX -> a Converting
        e converts Z PR -> e Converted
        c.f asks X EX -> f refused: f for X of b, d for Y of c
        b ends . -> a Converted
    """,
    "a conversion that would wait for its own command": """
        a asks X PR -> a has 1
        a.b asks X PR -> b has 2
        a.b.c asks Y EX -> c has 3
        b converts X EX -> b NotConverted
        a converts X EX -> a Converting
        b ends . -> a Converted
    """,
    "a conversion that closes a circle": """
        a asks X PR -> a has 1
        b asks X PR -> b has 2
        a asks Y EX -> a has 3
        b.d asks Y EX -> d waits
        a converts X EX -> a NotConverted
        a converts X CR -> a Converted
    """,
    "timestamps wait for time": """
        a asks _t_%S[2] -> a has 1 20
        a.b asks _t_%S[2] -> b waits
    """,
}


@pytest.mark.parametrize("script", SCENES.values(), ids=SCENES)
def test_scenes(script: str) -> None:
    scene = Scene()
    for line in filter(None, map(str.strip, script.splitlines())):
        step, _, expected = line.partition(" ->")
        assert (step, scene.play(step)) == (step, expected.strip())


@pytest.mark.parametrize("held", list(LockMode))
@pytest.mark.parametrize("asked", list(LockMode))
def test_a_mode_covers_those_that_exclude_no_more(held: LockMode, asked: LockMode) -> None:
    order = {("PW", "CW"), ("PW", "PR")} | {("CW", "CR"), ("PR", "CR"), ("PW", "CR")}
    expected = held is asked or held is LockMode.EX or asked is LockMode.NL or (held.name, asked.name) in order
    name = parse_name("X")
    one, other = (LockRequest(SessionId(1), name, mode) for mode in (held, asked))
    assert covers(one, other) == expected


# a world at random, in which sessions ask, end, and are looked after by a search that knows nothing of indexes

RESOURCES: Final = ["X", "Y", "N[4]", "u.v", "/t", "/t/a", "/t/a/b", "/t/c", "_s_q[2]"]
PARENTS: Final = {1: [], 2: [], 3: [1], 4: [2], 5: [3, 1], 6: [2], 7: [], 8: [7], 9: [1]}
"""By session: those whose commands it runs under, the nearest first."""


def naively_doomed(held: list[LockRequest], waits: list[LockRequest]) -> set[LockRequest]:
    """The waits that would not fit although all had gone who can; what many hold together is one of C{held} each."""
    doomed = set(waits)
    while True:
        kept = [holding for holding in held if any(_keeps(wait, holding) for wait in doomed)]
        ended = {wait for wait in doomed if not _is_blocked(wait, kept)}
        if not ended:
            return doomed
        doomed -= ended


def _keeps(wait: LockRequest, holding: LockRequest) -> bool:
    return holding.session == wait.session or holding.session in PARENTS[wait.session]


def _is_blocked(wait: LockRequest, kept: list[LockRequest]) -> bool:
    others = [holding for holding in kept if holding.name.key == wait.name.key and is_in_the_way(holding, wait)]
    total = {"N[4]": 4, "u.v": 2, "_s_q[2]": 2}.get(wait.name.text)
    if total is None:
        return bool(others)
    units = sum(holding.quantity if wait.name.has_quantity else 1 for holding in others)
    return units + (wait.quantity if wait.name.has_quantity else 1) > total


class World(RuleBasedStateMachine):
    """A table beside lists of what is held and waited for; a session waits for one thing at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.table = LockTable(strftime)
        self.held: list[LockRequest] = []
        self.waits: list[LockRequest] = []
        self.lengths: Counter[int] = Counter()

    @rule(
        session=st.sampled_from(list(PARENTS)),
        resource=st.sampled_from(RESOURCES),
        mode=st.sampled_from(list(LockMode)),
        quantity=st.integers(0, 4),
        nested=st.sampled_from(["", "", "", "wait"]),
    )
    def ask(self, session: int, resource: str, mode: LockMode, quantity: int, nested: str) -> None:
        busy = {wait.session for wait in self.waits}
        if not busy.isdisjoint([session, *PARENTS[session]]) or any(session in PARENTS[other] for other in busy):
            return  # a command runs when its lock is granted, and is all that its session waits for until it ends
        wishes = Wishes(tuple(id_of(str(number)) for number in (session, *PARENTS[session])), nested)
        request = LockRequest(SessionId(session), parse_name(resource), mode, quantity, wishes=wishes)
        [effect] = self.table.request(request, NOW)
        expected = nested != "wait" and request in naively_doomed(self.held, [*self.told(), request])
        assert (isinstance(effect, Refused) and effect.outcome is Outcome.DEADLOCK) == (
            expected and not isinstance(effect, Granted)
        )
        if isinstance(effect, Refused):
            self.check_circle(request, effect)
        self.note([effect])

    @precondition(lambda self: self.held or self.waits)
    @rule(number=st.integers(0, 1000))
    def end(self, number: int) -> None:
        sessions = sorted({request.session for request in (*self.held, *self.waits)})
        session = sessions[number % len(sessions)]
        self.held = [request for request in self.held if request.session != session]
        self.waits = [request for request in self.waits if request.session != session]
        self.note(self.table.drop(session, NOW))

    def note(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Granted):
                self.held.append(effect.request)
                self.waits = [wait for wait in self.waits if wait is not effect.request]
            elif isinstance(effect, Queued):
                self.waits.append(effect.request)

    def told(self) -> list[LockRequest]:
        return [wait for wait in self.waits if wait.wishes is not None and wait.wishes.nested != "wait"]

    def check_circle(self, request: LockRequest, refused: Refused) -> None:
        circle = refused.circle
        self.lengths[len(circle)] += 1
        assert circle[0].wait is request
        for step, after in zip(circle, (*circle[1:], circle[0]), strict=True):
            assert step.held.name.key == step.wait.name.key
            assert is_in_the_way(step.held, step.wait)
            assert step.holder in self.held
            assert _keeps(after.wait, step.holder)

    @invariant()
    def none_that_waits_is_doomed(self) -> None:
        assert not naively_doomed(self.held, self.told())

    def teardown(self) -> None:
        """All end that nothing keeps, one after another at random: in the end nothing is left."""
        dice = random.Random(len(self.held))
        self.waits = [wait for wait in self.waits if wait in self.told() or not self.leave(wait)]
        while self.held or self.waits:
            free = {holding.session for holding in self.held if not any(_keeps(wait, holding) for wait in self.waits)}
            assert free, "nobody can go on, and no wait was refused"
            session = dice.choice(sorted(free))
            self.held = [request for request in self.held if request.session != session]
            self.note(self.table.drop(session, NOW))
        assert not any(getattr(self.table._circles, index) for index in self.table._circles.__slots__)

    def leave(self, wait: LockRequest) -> bool:
        self.table.withdraw(wait)
        return True


def test_no_refused_wait_could_end_and_all_others_end() -> None:
    run_state_machine_as_test(
        World, settings=settings(max_examples=60, stateful_step_count=30, suppress_health_check=list(HealthCheck))
    )


def test_circles_of_all_lengths_at_random() -> None:
    lengths: Counter[int] = Counter()
    dice = random.Random(21)
    for _ in range(150):
        world = World()
        for _ in range(60):
            if dice.random() < 0.15 and (world.held or world.waits):
                world.end(dice.randrange(1000))
            else:
                nested = "wait" if dice.random() < 0.03 else ""
                mode, quantity = LockMode(dice.choice([1, 3, 3, 5, 5, 5])), dice.randrange(5)
                world.ask(dice.choice(list(PARENTS)), dice.choice(RESOURCES), mode, quantity, nested)
            world.none_that_waits_is_doomed()
        world.teardown()
        lengths += world.lengths
    assert lengths.keys() >= {1, 2, 3}


# what a check costs, in lines of Python, which are the same on every machine

Asking = tuple[str, str, LockMode]
"""The path of a session (see L{Scene}), a resource and a mode."""


def crowd(scene: str, size: int) -> tuple[list[Asking], Asking]:
    """Return what C{size} pairs of an outer and an inner session, and some others, have asked for; and the last."""
    ex, pr = LockMode.EX, LockMode.PR
    outer = [(f"o{i}", f"R{i}", ex) for i in range(size)]
    inner = [(f"o{i}.i{i}", "Y", ex) for i in range(size)]
    match scene:
        case "all wait for the same":
            return [("h", "Y", ex), *outer, *inner], ("o0.last", "Y", ex)
        case "all wait for what the outer command holds":
            return [("h", "Y", ex), ("g", "Z", ex), *outer, *inner], ("h.last", "Z", ex)
        case "readers, one of which is the outer command":
            readers = [(path, "P", pr) for path, _, _ in outer]
            return [("h", "Y", ex), *readers, *inner], ("o0.last", "P", ex)
        case _:  # each waits for what the next one holds, in chains of ten
            chained = [(f"o{i}.i{i}", f"R{i + 1}", ex) for i in range(size) if i % 10 != 9]
            return [*outer, *chained], ("o9.last", "R0", ex)


SIZES: Final = (20, 5_000)

SCENES_OF_MANY: Final = {
    "all wait for the same": Queued,
    "all wait for what the outer command holds": Queued,
    "readers, one of which is the outer command": Refused,
    "chains": Refused,
}


@pytest.mark.parametrize(("scene", "outcome"), SCENES_OF_MANY.items(), ids=SCENES_OF_MANY)
def test_a_check_costs_the_same_among_ten_thousand_sessions(scene: str, outcome: type) -> None:
    costs = []
    for size in SIZES:
        table, numbers = LockTable(strftime), Counter[str]()

        def request(asking: Asking, numbers: Counter[str] = numbers) -> LockRequest:
            path, name, mode = asking
            ids = path.split(".")
            session = SessionId(numbers.setdefault(ids[-1], len(numbers) + 1))
            return LockRequest(session, parse_name(name), mode, wishes=Wishes(tuple(map(id_of, reversed(ids)))))

        asked, last = crowd(scene, size)
        for each in asked:
            table.request(request(each), NOW)
        final = request(last)
        lines, [effect] = cost(lambda table=table, final=final: table.request(final, NOW))  # type: ignore[misc]
        assert type(effect) is outcome
        costs.append(lines)
    assert costs[1] < 1.1 * costs[0]
