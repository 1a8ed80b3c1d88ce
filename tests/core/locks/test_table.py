"""
Scripts that show, one rule each, what the lock table grants, queues and refuses, whatever the type of the resource
(docs/compatibility.md, "Locks"). L{tests.fakes.script} explains them; the rules of each type are tested in resources/.
"""

from __future__ import annotations

from typing import Final

import pytest

from flom.core.effects import Effect, Ended, Granted, Instant, Queued
from flom.core.locks.table import LockTable
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId
from tests.fakes.script import Script, check

SCRIPTS: Final = {
    "a lock is held until it is unlocked": """
        1 lock db EX    -> granted
        2 lock db EX    -> queued
        3 lock db EX    -> queued
        1 unlock db     -> 2 granted
        1 unlock db     -> nothing
        2 unlock db     -> 3 granted
        3 unlock db     -> nothing
        1 lock db EX    -> granted
    """,
    "a lost connection unlocks": """
        1 lock db EX    -> granted
        2 lock db EX    -> queued
        1 drop          -> 2 granted
        1 drop          -> nothing
    """,
    "a request that must not wait is refused as busy": """
        1 lock db EX            -> granted
        2 lock db EX nowait     -> busy
        1 unlock db             -> nothing
        2 lock db EX nowait     -> granted
    """,
    "a waiter leaves the queue by withdrawing, unlocking or vanishing": """
        1 lock db EX    -> granted
        2 lock db EX    -> queued
        3 lock db EX    -> queued
        4 lock db EX    -> queued
        5 lock db EX    -> queued
        2 withdraw db   -> nothing
        3 unlock db     -> nothing
        4 drop          -> nothing
        1 unlock db     -> 5 granted
    """,
    "an unlock of what is neither held nor waited for is ignored": """
        1 lock db EX    -> granted
        2 lock db EX nowait -> busy
        2 unlock db     -> nothing
        3 unlock db     -> nothing
        4 drop          -> nothing
        2 lock db EX nowait -> busy
    """,
    "mixed: every lock of a session takes one unlock, the latest first": """
        1 lock db CR    -> granted
        1 lock db PR    -> granted
        2 lock db CW    -> queued
        3 lock db EX    -> queued
        1 unlock db     -> 2 granted
        1 unlock db     -> nothing
        2 unlock db     -> 3 granted
    """,
    "mixed: there is no conversion, a holder may wait for itself": """
        1 lock db PR    -> granted
        1 lock db EX    -> queued
        2 lock db PR    -> granted
        1 unlock db     -> nothing
        2 unlock db     -> 1 granted
        1 unlock db     -> nothing
        2 lock db EX    -> granted
    """,
    # docs/compatibility.md, "Of two holdings, a disconnect releases one"
    "two holdings and one disconnect: both are freed, then the queue is served": """
        1 lock db PR        -> granted
        1 lock db PR        -> granted
        2 lock db EX        -> queued
        1 drop              -> 2 granted
        3 lock N[3] x1      -> granted
        3 lock N[3] x2      -> granted
        4 lock N[3] x3      -> queued
        5 lock N[3] x1      -> queued
        3 drop              -> 4 granted
    """,
    # docs/compatibility.md, "A holder that also waits leaves a dead waiter"
    "holder and waiter at once: a disconnect leaves no dead waiter": """
        1 lock db EX    -> granted
        1 lock db EX    -> queued
        2 lock db EX    -> queued
        1 drop          -> 2 granted
        2 unlock db     -> nothing
        3 lock db EX nowait -> granted
    """,
    "incubator: a request that does not create is refused or waits for the creator": """
        1 lock db EX nocreate nowait    -> cannot wait
        2 lock db PR nocreate           -> incubated
        3 lock db PR nocreate           -> incubated
        4 lock db EX nocreate           -> incubated
        5 lock DB PR                    -> granted
        6 lock db PR                    -> granted, 2 granted, 3 granted, 4 queued
        2 drop                          -> nothing
        3 drop                          -> nothing
        6 drop                          -> 4 granted
    """,
    "incubator: the creator comes first": """
        1 lock db EX nocreate   -> incubated
        2 lock db EX            -> granted, 1 queued
        2 unlock db             -> 1 granted
    """,
    "incubator: an impossible request is told so when the resource comes": """
        1 lock N[2] x3 nocreate -> incubated
        2 lock N[2] x1          -> granted, 1 impossible
    """,
    "incubator: a session leaves by withdrawing, unlocking or vanishing": """
        1 lock db EX nocreate   -> incubated
        2 lock db EX nocreate   -> incubated
        3 lock db EX nocreate   -> incubated
        4 lock db EX nocreate   -> incubated
        1 withdraw db           -> nothing
        2 unlock db             -> nothing
        3 drop                  -> nothing
        5 lock db EX            -> granted, 4 queued
    """,
    "idle lifespan: two seconds, of which any newcomer begins a new count": """
        1 lock _s_a[1]              -> granted 1
        1 drop                      -> nothing
        after 1.9                   -> nothing
        2 lock _s_a[1] nocreate     -> granted 2
        2 drop                      -> nothing
        after 1.9                   -> nothing
        3 lock _s_a[1] nocreate nowait -> granted 3
        3 drop                      -> nothing
        after 2                     -> nothing
        4 lock _s_a[1] nocreate nowait -> cannot wait
        4 lock _s_a[1]              -> granted 1
    """,
    "idle lifespan: the creator's counts, and a second more": """
        1 lock _s_a[1] lifespan=3   -> granted 1
        2 lock _s_a[1] lifespan=9   -> queued
        1 drop                      -> 2 granted 2
        2 drop                      -> nothing
        after 3.9                   -> nothing
        2 lock _s_a[1] nowait       -> granted 3
        2 drop                      -> nothing
        after 4                     -> nothing
        2 lock _s_a[1]              -> granted 1
    """,
    "idle lifespan: less than a second is less than none": """
        1 lock a.b lifespan=0.5     -> granted a
        1 drop                      -> nothing
        after 1.4                   -> nothing
        1 lock a.b                  -> granted b
        1 drop                      -> nothing
        after 1.5                   -> nothing
        1 lock a.b                  -> granted a
    """,
    "idle lifespan: a connected session keeps the resource, even if it holds nothing": """
        1 lock _s_a[1]      -> granted 1
        1 unlock _s_a[1]    -> nothing
        after 100           -> nothing
        2 lock _s_a[1] nocreate -> granted 2
    """,
    "idle lifespan: a session that was refused is connected all the same": """
        1 lock a.b          -> granted a
        2 lock a.b          -> granted b
        3 lock a.b nowait   -> busy
        1 drop              -> nothing
        2 drop              -> nothing
        after 100           -> nothing
        3 lock a.b          -> granted a
    """,
    "drain: what is held goes on, and nothing else is granted": """
        1 lock db           -> granted
        2 lock db           -> queued
        3 lock new nocreate -> incubated
        drain               -> nothing
        4 lock db nowait    -> busy
        5 lock N[3] x2      -> queued
        5 unlock N[3]       -> nothing
        6 lock N[3] x5      -> impossible
        7 lock new          -> queued, 3 queued
        7 drop              -> nothing
        8 lock /h/x PR      -> queued
        9 lock red.green    -> queued
        10 lock _s_a[1]     -> queued
        11 lock _t_%S[1]    -> queued
        after 2             -> nothing
        1 unlock db         -> nothing
        12 lock db          -> queued
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)


def test_a_table_that_drains_grants_what_is_reclaimed() -> None:
    table, now = Script().table, Instant(0.0, 0.0)
    table.is_draining = True
    effects = [
        *table.request(LockRequest(SessionId(1), parse_name("db"), regains=True), now),
        *table.request(LockRequest(SessionId(2), parse_name("db")), now),
    ]
    assert [type(effect) for effect in effects] == [Granted, Queued]
    assert table.held == 1
    assert [type(effect) for effect in table.drop(SessionId(1), now)] == [Ended]
    assert table.held == 0


def test_tokens_grow_with_every_grant_of_any_resource() -> None:
    table, now = Script().table, Instant(0.0, 0.0)
    names = [parse_name(text) for text in ("db", "a.b", "/h/x", "db")]
    effects = [effect for n, name in enumerate(names) for effect in table.request(LockRequest(SessionId(n), name), now)]
    effects += table.drop(SessionId(0), now)
    assert tokens(effects) == [1, 2, 3, 4]


def tokens(effects: list[Effect]) -> list[int]:
    return [effect.token for effect in effects if isinstance(effect, Granted)]


def test_a_reclaimed_lock_keeps_its_token_and_later_ones_are_higher() -> None:
    table, now, had = Script().table, Instant(0.0, 0.0), (5 << 32) + 9
    session = SessionId(1)
    assert tokens(table.request(LockRequest(session, parse_name("a")), now)) == [1]
    assert tokens(table.request(LockRequest(session, parse_name("b"), regains=True, token=had), now)) == [had]
    assert tokens(table.request(LockRequest(session, parse_name("c")), now)) == [(6 << 32) + 1]
    assert tokens(table.request(LockRequest(session, parse_name("d"), regains=True, token=3), now)) == [3]
    assert tokens(table.request(LockRequest(session, parse_name("e")), now)) == [(6 << 32) + 2]
    assert [holder.token for resource in table.view().resources for holder in resource.holders][:2] == [1, had]


def test_when_an_epoch_is_used_up_the_next_one_begins() -> None:
    seen: list[int] = []

    def begin(epoch: int) -> int:
        seen.append(epoch)
        return (7 << 32) + 2**32 - 1 if epoch < 7 else (8 << 32) + 1

    table, now = LockTable(lambda format, wall: "", begin_epoch=begin), Instant(0.0, 0.0)
    names = [parse_name(text) for text in ("a", "b", "c")]
    assert table.epoch == 0
    granted = [tokens(table.request(LockRequest(SessionId(1), name), now))[0] for name in names]
    assert granted == [(7 << 32) + 2**32 - 1, (8 << 32) + 1, (8 << 32) + 2]
    assert (seen, table.epoch) == ([-1, 7], 8)


def test_another_table_is_outranked_once() -> None:
    table = LockTable(lambda format, wall: "")
    table.outrank(41)
    assert table.epoch == 42
    table.outrank(41)
    assert table.epoch == 42


def test_the_last_grant_of_what_a_session_holds_is_known() -> None:
    table, session = LockTable(lambda format, wall: ""), SessionId(1)
    table.request(LockRequest(session, parse_name("R")), Instant(5.0, 0.0))
    table.request(LockRequest(session, parse_name("R")), Instant(6.0, 0.0))
    assert table.last_grant(session) == 5.0
    table.request(LockRequest(session, parse_name("S")), Instant(7.0, 0.0))
    assert table.last_grant(session) == 7.0
    table.drop(session, Instant(8.0, 0.0))
    assert table.last_grant(session) is None
