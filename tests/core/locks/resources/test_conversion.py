"""
Scripts that show how a holder changes its mode, and what others get meanwhile (docs/howto/convert.md).
L{tests.fakes.script} explains them.
"""

from __future__ import annotations

from typing import Final

import pytest

from flom.core.effects import Converted, Converting, Effect, Granted, Instant, NotConverted
from flom.core.locks.resources.conversion import MODE_OF, OWN, find_circle, held_by, kind_of_conversion
from flom.core.locks.table import LockTable
from flom.core.modes import ONE_HOLDER, LockMode, compatible, excludes_no_more, in_both
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId
from tests.core.locks.test_cost import cost
from tests.fakes.script import Script, check

# rows: held, columns: asked for, both in the order NL CR CW PR PW EX; alone on the resource, all are granted.
# "=" keeps the token, "+" has a new one
TOKENS: Final = (
    "=+++++",
    "==++++",
    "===+++",
    "==+=++",
    "=====+",
    "======",
)

# the same beside another holder in PR; "w" waits, and " " cannot be held beside it
BESIDE_A_READER: Final = (
    "=+w+ww",
    "==w+ww",
    "      ",
    "==w=ww",
    "      ",
    "      ",
)

SCRIPTS: Final = {
    "EX to PR lets waiting readers in": """
        1 lock db EX    -> granted
        2 lock db PR    -> queued
        3 lock db EX    -> queued
        4 lock db PR    -> queued
        1 convert db PR -> converted PR, 2 granted, 4 granted
        1 unlock db     -> nothing
        2 unlock db     -> nothing
        4 unlock db     -> 3 granted
    """,
    "PR to EX waits for the other readers, before all that wait": """
        1 lock db PR    -> granted
        2 lock db PR    -> granted
        3 lock db EX    -> queued
        1 convert db EX -> converting
        2 unlock db     -> 1 converted EX
        1 unlock db     -> 3 granted
    """,
    "of two readers that want to write, the later one is refused, and both hold on": """
        1 lock db PR    -> granted
        2 lock db PR    -> granted
        1 convert db EX -> converting
        2 convert db EX -> not EX: deadlock
        2 convert db PW -> not PW: deadlock
        2 unlock db     -> 1 converted EX
        1 convert db EX -> converted EX
    """,
    "the first conversion that fits comes first": """
        1 lock db NL    -> granted
        2 lock db NL    -> granted
        3 lock db EX    -> granted
        4 lock db PR    -> queued
        1 convert db EX -> converting
        2 convert db PR -> converting
        3 unlock db     -> 1 converted EX
        1 convert db PR -> converted PR, 2 converted PR, 4 granted
    """,
    "a conversion that is not to wait is refused, and nothing has changed": """
        1 lock db PR            -> granted
        2 lock db PR            -> granted
        1 convert db EX nowait  -> not EX: busy
        3 lock db PR            -> granted
        2 unlock db             -> nothing
        3 unlock db             -> nothing
        1 convert db EX nowait  -> converted EX
    """,
    "a conversion is withdrawn by one to the mode that is held": """
        1 lock db PR as=a -> granted
        2 lock db PR as=b -> granted
        1 convert db EX -> converting
        3 lock db PR as=x -> queued
        1 convert db PR -> converted PR, 3 granted
        2 unlock db     -> nothing
        3 unlock db     -> nothing
        4 lock db PR    -> granted
    """,
    "another conversion takes its place; the same one keeps it": """
        1 lock db CR    -> granted
        2 lock db CR    -> granted
        3 lock db PW    -> granted
        1 convert db EX -> converting
        2 convert db PR -> converting
        1 convert db EX -> converting
        1 convert db PR -> converting
        3 unlock db     -> 2 converted PR, 1 converted PR
    """,
    "an unlock ends the lock, and what waits to convert it": """
        1 lock db PR    -> granted
        2 lock db PR    -> granted
        3 lock db EX    -> queued
        1 convert db EX -> converting
        1 unlock db     -> nothing
        2 unlock db     -> 3 granted
        1 convert db EX -> protocol error
    """,
    "so does the end of its session; the other one that wants to write may do so": """
        1 lock db PR    -> granted
        2 lock db PR    -> granted
        1 convert db EX -> converting
        2 convert db EX -> not EX: deadlock
        1 drop          -> nothing
        2 convert db EX -> converted EX
    """,
    "sessions that are not known to be needed wait while a conversion does": """
        1 lock db PR as=a       -> granted
        2 lock db PR as=b       -> granted
        1 convert db EX         -> converting
        3 lock db PR as=x       -> queued
        4 lock db PR as=x nowait -> busy
        5 lock db NL as=x       -> granted
        2 unlock db             -> 1 converted EX
        1 convert db PR         -> converted PR, 3 granted
    """,
    "while somebody unknown holds anything, anybody may run under that, and waits ten seconds at most": """
        1 lock db PR as=a   -> granted
        2 lock db PR        -> granted
        1 convert db EX     -> converting
        3 lock db PR as=x   -> queued
        after 9.9           -> nothing
        4 lock db PR        -> queued
        after 0.1           -> 3 granted, 4 granted
        5 lock db PR        -> queued
        3 unlock db         -> nothing
        4 unlock db         -> nothing
        after 9.9           -> nothing
        2 unlock db         -> 1 converted EX
        1 unlock db         -> 5 granted
        after 60            -> nothing
    """,
    "so it is with a lock of any other resource": """
        1 lock db PR as=a   -> granted
        2 lock db PR as=b   -> granted
        3 lock other EX     -> granted
        1 convert db EX     -> converting
        4 lock db PR as=x   -> queued
        after 10            -> 4 granted
        3 unlock other      -> nothing
        5 lock db PR as=y   -> queued
        4 unlock db         -> nothing
        after 10            -> nothing
        6 lock db PR        -> queued
        after 10            -> 6 granted
        6 unlock db         -> nothing
        2 unlock db         -> 1 converted EX
        1 unlock db         -> 5 granted
    """,
    "who comes to hold something while a conversion holds it back is granted what fits": """
        1 lock db PR as=a   -> granted
        2 lock db PR as=b   -> granted
        1 convert db EX     -> converting
        3 lock db PR as=x   -> queued
        3 lock other EX     -> granted
        after 0             -> 3 granted
    """,
    "so is who waits for a second lock of a holder that ends, once that is granted, in whichever order they end": """
        1 lock other EX as=o    -> granted
        1 lock db PR as=o       -> granted
        2 lock db PR as=a       -> granted
        4 lock db PR as=b       -> granted
        2 convert db EX         -> converting
        3 lock other EX as=x    -> queued
        3 lock db PR as=x       -> queued
        1 drop                  -> 3 granted
        after 0                 -> 3 granted
    """,
    "those that may hold what the conversion waits for are granted what fits": """
        1 lock db PR as=a   -> granted
        2 lock db PR as=b   -> granted
        1 convert db EX     -> converting
        2 lock db PR as=b   -> granted
        3 lock db PR as=c,b -> granted
        3 unlock db         -> nothing
        2 unlock db         -> nothing
        2 unlock db         -> 1 converted EX
    """,
    "who has waited when a conversion begins to is not held back, those that come then are": """
        1 lock db CR as=a   -> granted
        2 lock db CR as=b   -> granted
        3 lock db PW as=c   -> granted
        4 lock db PR as=x   -> queued
        1 convert db EX     -> converting
        5 lock db PR as=y   -> queued
        6 lock db PR        -> queued
        3 unlock db         -> 4 granted
        4 unlock db         -> nothing
        2 unlock db         -> 1 converted EX
        1 unlock db         -> 5 granted, 6 granted
    """,
    "while nothing is granted, a holder may give up a part, and no more": """
        1 lock db EX    -> granted
        2 lock db PR    -> queued
        drain           -> nothing
        1 convert db PW -> converted PW
        1 convert db EX -> not EX: busy
        1 convert db PR -> converted PR
    """,
    "conversions that wait are refused when nothing is granted any more": """
        1 lock db PR        -> granted
        2 lock db PR        -> granted
        1 convert db EX     -> converting
        refuse conversions  -> 1 not EX: busy
        2 unlock db         -> nothing
        1 convert db EX     -> converted EX
    """,
    "what has no modes is not converted": """
        1 lock N[3] x1      -> granted
        1 convert N[3] PR   -> not PR: impossible
        2 lock a.b          -> granted a
        2 convert a.b PR    -> not PR: impossible
        1 convert db PR     -> protocol error
        3 lock db EX nocreate -> incubated
        3 convert db PR     -> protocol error
    """,
    "the lock that was granted last is the one that is converted": """
        1 lock db CR    -> granted
        1 lock db PR    -> granted
        1 convert db EX -> converting
        1 unlock db     -> nothing
        1 convert db EX -> converted EX
    """,
    "hierarchy: nodes above and below matter, others do not": """
        1 lock /h/x EX      -> granted
        2 lock /h PR        -> queued
        3 lock /h/x/y PR    -> queued
        4 lock /h/z EX      -> granted
        1 convert /h/x PR   -> converted PR, 3 granted
        4 convert /h/z PR   -> converted PR, 2 granted
        1 convert /h/x EX   -> converting
        2 unlock /h         -> nothing
        3 unlock /h/x/y     -> 1 converted EX
    """,
    "hierarchy: a conversion above waits for holders below": """
        1 lock /h CR as=a   -> granted
        2 lock /h/x/y PR as=b -> granted
        3 lock /h/z PR as=c -> granted
        1 convert /h EX     -> converting
        4 lock /h/w PR as=d,b -> granted
        5 lock /h/w PR as=x -> queued
        6 lock /h/w CR as=x -> queued
        4 unlock /h/w       -> nothing
        2 unlock /h/x/y     -> nothing
        3 unlock /h/z       -> 1 converted EX
        1 convert /h CR     -> converted CR, 5 granted, 6 granted
    """,
    "hierarchy: a conversion bars its own node, and those above and below": """
        1 lock /h/x PR as=a -> granted
        2 lock /h/x PR as=b -> granted
        1 convert /h/x EX   -> converting
        3 lock /h/x/y PR as=x -> queued
        4 lock /h PR as=x   -> queued
        5 lock /h/z PR as=x -> granted
        1 drop              -> 3 granted, 4 granted
    """,
    "hierarchy: a circle of conversions over nodes that do not concern each other": """
        1 lock /h CR        -> granted
        2 lock /h/x PR      -> granted
        3 lock /h/y PR      -> granted
        2 convert /h/x EX   -> converting
        3 convert /h/y EX   -> converting
        1 convert /h CW     -> not CW: deadlock
        1 convert /h PR     -> converted PR
        1 unlock /h         -> 2 converted EX, 3 converted EX
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_what_follows_from_a_conversion(script: str) -> None:
    check(script)


@pytest.mark.parametrize("name", ["db", "/h/x"])
@pytest.mark.parametrize("held", list(LockMode))
@pytest.mark.parametrize("asked", list(LockMode))
def test_each_pair_of_modes(name: str, held: LockMode, asked: LockMode) -> None:
    expected = TOKENS[held][asked]
    table = Locks(name)
    granted = table.lock(1, held)
    [converted] = table.convert(1, asked)
    assert isinstance(converted, Converted)
    assert converted.request.mode == asked
    assert (converted.token > granted.token) == (expected == "+")
    assert (converted.token == granted.token) == (expected == "=")
    [resource] = table.table.view().resources
    assert [(lock.request.mode, lock.token) for lock in resource.holders] == [(asked, converted.token)]


@pytest.mark.parametrize("name", ["db", "/h/x"])
@pytest.mark.parametrize("held", list(LockMode))
@pytest.mark.parametrize("asked", list(LockMode))
def test_each_pair_of_modes_beside_a_reader(name: str, held: LockMode, asked: LockMode) -> None:
    expected = BESIDE_A_READER[held][asked]
    assert (expected == " ") == (not compatible(held, LockMode.PR))
    if expected == " ":
        return
    table = Locks(name)
    table.lock(2, LockMode.PR)
    granted = table.lock(1, held)
    [effect] = table.convert(1, asked)
    if expected == "w":
        assert isinstance(effect, Converting)
        assert effect.request is granted.request
        [effect] = [each for each in table.unlock(2) if isinstance(each, Converted)]
        assert effect.delayed
    assert isinstance(effect, Converted)
    assert (effect.token > granted.token) == (expected != "=")


def test_who_waits_long_is_told_how_long() -> None:
    table = Locks("db")
    table.lock(1, LockMode.PR)
    table.lock(2, LockMode.PR)
    table.convert(1, LockMode.EX, number=7)
    table.seconds += 5.0
    [converted] = [each for each in table.unlock(2) if isinstance(each, Converted)]
    assert (converted.number, converted.waited, converted.delayed) == (7, 5.0, True)


def test_the_answer_has_the_number_of_the_last_that_has_asked_for_it() -> None:
    table = Locks("db")
    table.lock(1, LockMode.PR)
    table.lock(2, LockMode.PR)
    assert [each.number for each in table.convert(1, LockMode.EX, number=7) if isinstance(each, Converting)] == [7]
    assert [each.number for each in table.convert(1, LockMode.EX, number=8) if isinstance(each, Converting)] == [8]
    assert [each.number for each in table.unlock(2) if isinstance(each, Converted)] == [8]


@pytest.mark.parametrize("name", ["db", "/db"])
def test_one_that_would_wait_for_ever_tells_the_circle(name: str) -> None:
    table = Locks(name)
    table.lock(1, LockMode.PR)
    table.lock(2, LockMode.PR)
    table.convert(1, LockMode.EX)
    [refused] = table.convert(2, LockMode.EX)
    assert isinstance(refused, NotConverted)
    first, second = refused.circle
    assert (first.wait.session, first.wait.mode, first.held.session, first.held.mode) == (
        2,
        LockMode.EX,
        1,
        LockMode.PR,
    )
    assert (second.wait.session, second.wait.mode, second.held.session) == (1, LockMode.EX, 2)


def test_a_circle_is_told_from_the_first_to_the_last() -> None:
    kind = kind_of_conversion(LockMode.PR, LockMode.EX)
    found = find_circle(1, LockMode.PR, LockMode.EX, lambda place: [(place + 1, kind)], lambda one, other: one == 4)
    assert found == ((2, kind), (3, kind), (4, kind))


def test_the_time_of_a_holder_goes_on() -> None:
    table = Locks("db")
    table.lock(1, LockMode.EX)
    table.seconds += 5.0
    table.convert(1, LockMode.PR)
    [resource] = table.table.view().resources
    assert [lock.since for lock in resource.holders] == [0.0]


@pytest.mark.parametrize("name", ["db", "/db/x"])
def test_after_a_takeover_what_is_held_back_stays_so_in_the_new_order(name: str) -> None:
    script = Script()
    for line in (f"1 lock {name} PR as=a", f"2 lock {name} PR as=b", f"1 convert {name} EX"):
        script.run(line)
    assert script.run(f"3 lock {name} PR as=v") == "queued"
    assert script.run(f"4 lock {name} PR as=w") == "queued"
    for session, waited in ((5, 5.0), (6, 5.0), (7, 8.0)):
        script.table.request(LockRequest(SessionId(session), parse_name(name), LockMode.PR, waited=waited), script.now)
    assert script.run("4 lock other EX as=w") == "granted"
    script.table.put_in_order(parse_name(name).key)
    assert script.run("after 0") == "4 granted"  # it holds the other one
    assert script.run(f"4 unlock {name}") == "nothing"
    assert script.run(f"2 unlock {name}") == "1 converted EX"
    assert script.run(f"1 unlock {name}") == "7 granted, 5 granted, 6 granted, 3 granted"


def test_kinds_say_what_is_held_and_asked_for() -> None:
    for held in LockMode:
        for asked in LockMode:
            kind = kind_of_conversion(held, asked)
            assert (held_by(kind), MODE_OF[kind], OWN[kind]) == (held, asked, ONE_HOLDER[held])
            excluded = {mode for mode in LockMode if not compatible(asked, mode)}
            assert excludes_no_more(asked, held) == all(not compatible(held, mode) for mode in excluded)
            less = {mode for mode in LockMode if excludes_no_more(mode, held) and excludes_no_more(mode, asked)}
            assert in_both(held, asked) in less
            assert all(excludes_no_more(mode, in_both(held, asked)) for mode in less)


@pytest.mark.parametrize("name", ["db", "/h/x"])
def test_a_conversion_costs_no_more_among_ten_thousand(name: str) -> None:
    few, many = costs(name, 10), costs(name, 10_000)
    assert {what: (few[what], many[what]) for what in few if many[what] > 1.1 * few[what]} == {}


def costs(name: str, size: int) -> dict[str, int]:
    """Count lines of Python where C{size} requests wait, and as many conversions."""
    table = Locks(name)
    table.lock(1, LockMode.PR)
    table.lock(2, LockMode.PR)
    for n in range(size):
        table.lock(100 + n, LockMode.NL)
        assert isinstance(table.convert(100 + n, LockMode.EX)[0], Converting)
        table.ask(100_000 + n, LockMode.EX)
    spent = {
        "that waits": cost(lambda: table.convert(1, LockMode.EX))[0],
        "refused": cost(lambda: table.convert(2, LockMode.EX))[0],
        "withdrawn": cost(lambda: table.convert(1, LockMode.PR))[0],
        "to less": cost(lambda: table.convert(2, LockMode.CR))[0],
        "end of one that waits": cost(lambda: table.table.drop(SessionId(100 + size // 2), table.now))[0],
    }
    table.convert(1, LockMode.NL)
    spent["granted"], effects = cost(lambda: table.convert(2, LockMode.NL))
    assert len([each for each in effects if isinstance(each, Converted)]) == 2
    return spent


class Locks:
    """A table with one resource."""

    def __init__(self, name: str) -> None:
        self.table = LockTable(lambda format, wall: str(wall))
        self.name = parse_name(name)
        self.seconds = 0.0

    @property
    def now(self) -> Instant:
        return Instant(self.seconds, self.seconds)

    def ask(self, session: int, mode: LockMode) -> list[Effect]:
        return self.table.request(LockRequest(SessionId(session), self.name, mode), self.now)

    def lock(self, session: int, mode: LockMode) -> Granted:
        [granted] = self.ask(session, mode)
        assert isinstance(granted, Granted)
        return granted

    def convert(self, session: int, mode: LockMode, number: int = 0) -> list[Effect]:
        return self.table.convert(SessionId(session), self.name, mode, self.now, number=number)

    def unlock(self, session: int) -> list[Effect]:
        return self.table.release(SessionId(session), self.name, self.now)


def test_a_script_that_is_wrong_fails() -> None:
    script = Script()
    script.run("1 lock db PR")
    script.run("2 lock db PR")
    assert script.run("1 convert db EX") == "converting"
    assert isinstance(script.table.refuse_conversions()[0], NotConverted)
