"""
Scripts that show what a request for several locks at once gets, and for how long it can be overtaken
(docs/howto/several-locks.md). L{tests.fakes.script} explains them.
"""

from __future__ import annotations

from typing import Final

import pytest

from flom.codes import Outcome
from flom.core.effects import Granted, Instant, Limit, Queued, Refused, Withdrawn
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import WhyWithdrawn
from flom.core.requests import LockRequest, SessionId, SetRequest
from tests.fakes.script import Script, check

SCRIPTS: Final = {
    "all that is free is granted, in the order of the parts": """
        1 lock b EX + a.c EX + N[3] x2 + /d/e PR + _s_n[1]  -> granted, granted a, granted, granted, granted 1
        2 lock N[3] x2 nowait                               -> busy
        1 unlock N[3]                                       -> nothing
        2 lock N[3] x2 nowait                               -> granted
        3 lock b EX nowait                                  -> busy
        1 unlock                                            -> nothing
        3 lock b EX nowait                                  -> granted
    """,
    "a set that waits holds nothing": """
        1 lock a EX         -> granted
        2 lock a EX + b EX  -> queued
        3 lock b EX nowait  -> granted
        3 unlock b          -> nothing
        1 unlock a          -> 2 granted, 2 granted
        3 lock b EX nowait  -> busy
    """,
    "it is granted when its last part is free": """
        1 lock a EX                 -> granted
        2 lock b EX                 -> granted
        3 lock c EX                 -> granted
        4 lock a EX + b EX + c EX   -> queued
        2 unlock b                  -> nothing
        1 unlock a                  -> nothing
        3 unlock c                  -> 4 granted, 4 granted, 4 granted
    """,
    "two sets in opposite order never wait for each other": """
        1 lock a EX + b EX  -> granted, granted
        2 lock b EX + a EX  -> queued
        1 unlock a          -> nothing
        1 unlock b          -> 2 granted, 2 granted
    """,
    "it must not wait": """
        1 lock b EX                         -> granted
        2 lock a EX nowait + b EX nowait    -> busy
        3 lock a EX nowait                  -> granted
    """,
    "a part that no daemon can grant refuses all of it": """
        1 lock N[3] x4 + a EX       -> impossible
        2 lock a EX nowait          -> granted
        1 lock N[3] x4 + a EX       -> impossible
    """,
    "a part that must not create what is missing refuses all of it": """
        1 lock a EX nocreate + b EX nocreate    -> cannot wait
        2 lock b EX nowait nocreate             -> cannot wait
        3 lock a EX                             -> granted
        1 lock a EX nocreate + b EX nocreate    -> cannot wait
        4 lock b EX                             -> granted
        1 lock a EX nocreate + b EX nocreate    -> queued
        3 unlock a                              -> nothing
        4 unlock b                              -> 1 granted, 1 granted
    """,
    "a timestamp that cannot be refuses all of it, and creates nothing": """
        1 lock a EX + _t_x[1]       -> invalid timestamp format
        2 lock a EX nowait nocreate -> cannot wait
    """,
    "who has waited for a resource to be created follows": """
        1 lock a EX nocreate    -> incubated
        2 lock a PR nocreate    -> incubated
        3 lock a PR + b EX      -> granted, granted, 1 queued, 2 granted
    """,
    "waiters are served in the order of arrival, alone or for several": """
        1 lock a EX         -> granted
        2 lock a EX         -> queued
        3 lock a EX + b EX  -> queued
        4 lock a EX         -> queued
        1 unlock a          -> 2 granted
        2 unlock a          -> 3 granted, 3 granted
        3 unlock            -> 4 granted
    """,
    "a waiter that fits is not kept by a set that does not": """
        1 lock a EX         -> granted
        2 lock b EX         -> granted
        3 lock a EX + b EX  -> queued
        4 lock a EX         -> queued
        1 unlock a          -> 4 granted
    """,
    "only the first of the sets that hold nothing is looked at": """
        1 lock a EX as=p                -> granted
        2 lock b EX as=q                -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        4 lock a EX as=y + c EX as=y    -> queued
        1 unlock a                      -> nothing
        2 unlock b                      -> 3 granted, 3 granted
        3 unlock a                      -> 4 granted, 4 granted
    """,
    "when it gives up, the next one is": """
        1 lock a EX as=p                -> granted
        2 lock b EX as=q                -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        4 lock a EX as=y + c EX as=y    -> queued
        1 unlock a                      -> nothing
        3 gives up b                    -> 4 granted, 4 granted
        2 unlock b                      -> nothing
    """,
    "when its connection is lost, the next one is": """
        1 lock a EX as=p                -> granted
        2 lock b EX as=q                -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        4 lock a EX as=y + c EX as=y    -> queued
        1 unlock a                      -> nothing
        3 drop                          -> 4 granted, 4 granted
    """,
    "a lost connection frees all that it held before the next is looked at": """
        1 lock a EX + b EX              -> granted, granted
        2 lock b EX as=x + a EX as=x    -> queued
        3 lock a EX as=y + b EX as=y    -> queued
        1 drop                          -> 2 granted, 2 granted
        2 unlock                        -> 3 granted, 3 granted
    """,
    "who holds something is looked at behind others, which may wait for it": """
        1 lock a EX                     -> granted
        2 lock b EX as=h                -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        2 lock a EX as=h + c EX as=h    -> queued
        1 unlock a                      -> 2 granted, 2 granted
        2 unlock                        -> 3 granted, 3 granted
    """,
    "so is, after ten seconds, who may be needed, because it has no lineage": """
        1 lock a EX                     -> granted
        2 lock b EX                     -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        4 lock a EX + c EX              -> queued
        1 unlock a                      -> nothing
        after 9.9                       -> nothing
        after 0.1                       -> 4 granted, 4 granted
    """,
    "so is who may run under a holder that has none, but nobody while there is no such holder": """
        1 lock a EX as=p                -> granted
        2 lock b EX as=q                -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        4 lock a EX as=y + c EX as=y    -> queued
        1 unlock a                      -> nothing
        after 10                        -> nothing
        5 lock d EX                     -> granted
        after 9                         -> nothing
        after 1                         -> 4 granted, 4 granted
    """,
    "who comes to hold something while it waits is looked at from then on": """
        1 lock a EX as=p                -> granted
        2 lock b EX as=q                -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        4 lock a EX as=y + c EX as=y    -> queued
        1 unlock a                      -> nothing
        4 lock d EX as=y                -> granted
        after 0                         -> 4 granted, 4 granted
    """,
    "a timestamp is waited for": """
        1 lock _t_%S[2]             -> granted 00
        2 lock _t_%S[2] + a EX      -> queued
        after 0.5                   -> nothing
        after 0.5                   -> 2 granted 01, 2 granted
    """,
    "while another part is held, time is not": """
        1 lock a EX                 -> granted
        2 lock _t_%S[2]             -> granted 00
        3 lock _t_%S[2] + a EX      -> queued
        after 5                     -> nothing
        4 lock _t_%S[2]             -> granted 05
        1 unlock a                  -> nothing
        4 unlock _t_%S[2]           -> nothing
        after 1                     -> 3 granted 06, 3 granted
    """,
    "two timestamps are waited for, one after the other": """
        1 lock _t_%S[2]             -> granted 00
        2 lock _t_%M[2]             -> granted 00
        3 lock _t_%S[2] + _t_%M[2]  -> queued
        after 1                     -> nothing
        after 58.5                  -> nothing
        after 0.5                   -> 3 granted 00, 3 granted 01
    """,
    "all is reclaimed, or nothing": """
        1 lock a EX had + b.c had=c + _S_n[2] had=7 -> granted, granted c, granted 7
        2 lock d EX had + a EX had                  -> busy
        2 lock _S_n[2] had=8 + a EX had             -> busy
        3 lock d EX nowait                          -> granted
        4 lock _S_n[2]                              -> granted 9
    """,
    "a daemon that drains grants none": """
        1 lock a EX             -> granted
        drain                   -> nothing
        2 lock a EX + b EX      -> queued
        3 lock b EX + c EX      -> queued
        1 unlock a              -> nothing
        2 gives up a            -> nothing
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_about_several_locks(script: str) -> None:
    check(script)


OVERTAKING: Final = {
    "two that came later go before a set, and the third waits for it": """
        1 lock a PR as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        3 lock a PR as=q                -> granted
        4 lock b EX as=r                -> granted
        5 lock a PR as=s                -> queued
        6 lock b EX as=t nowait         -> busy
        1 drop                          -> nothing
        3 drop                          -> nothing
        4 drop                          -> 2 granted, 2 granted
        2 unlock                        -> 5 granted
    """,
    "who waits behind others already is counted when it comes": """
        1 lock a EX as=p                -> granted
        2 lock b EX as=q                -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        4 lock a EX as=r                -> queued
        5 lock a EX as=s                -> queued
        6 lock a EX as=t                -> queued
        1 unlock a                      -> 4 granted
        4 unlock a                      -> 5 granted
        5 unlock a                      -> nothing
        2 unlock b                      -> 3 granted, 3 granted
        3 unlock                        -> 6 granted
    """,
    "who came before is not": """
        1 lock a EX as=p                -> granted
        2 lock a EX as=q                -> queued
        3 lock a EX as=r                -> queued
        4 lock a EX as=s                -> queued
        5 lock a EX as=x + b EX as=x    -> queued
        6 lock b EX as=t                -> granted
        1 drop                          -> 2 granted
        2 drop                          -> 3 granted
        3 drop                          -> 4 granted
        6 drop                          -> nothing
        7 lock b EX as=u                -> granted
    """,
    "a set that came later goes before one that waits no oftener": """
        1 lock a EX as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        3 lock b EX as=q + c EX as=q    -> granted, granted
        4 lock c EX as=r + b EX as=r    -> queued
        3 unlock                        -> 4 granted, 4 granted
        4 unlock                        -> nothing
        5 lock b EX as=s + d EX as=s    -> queued
        1 unlock a                      -> 2 granted, 2 granted
        2 unlock                        -> 5 granted, 5 granted
    """,
    "a set that gives up holds nobody back": """
        1 lock a PR as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        3 lock a PR as=q                -> granted
        4 lock a PR as=r                -> granted
        5 lock a PR as=s                -> queued
        2 gives up b                    -> 5 granted
    """,
    "who has gone is not held back any more": """
        1 lock a PR as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        3 lock a PR as=q                -> granted
        4 lock a PR as=r                -> granted
        5 lock a PR as=s                -> queued
        6 lock a PR as=t                -> queued
        5 drop                          -> nothing
        2 drop                          -> 6 granted
    """,
    "who holds something passes, because the set might wait for it": """
        1 lock b EX as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        3 lock a EX as=q                -> granted
        3 unlock a                      -> nothing
        4 lock a EX as=r                -> granted
        4 unlock a                      -> nothing
        5 lock a EX as=s nowait         -> busy
        1 lock a EX as=p                -> granted
        1 drop                          -> 2 granted, 2 granted
    """,
    "who has no lineage passes after ten seconds": """
        1 lock b EX as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        3 lock a EX as=q                -> granted
        3 unlock a                      -> nothing
        4 lock a EX as=r                -> granted
        4 unlock a                      -> nothing
        5 lock a EX nowait              -> busy
        5 lock a EX                     -> queued
        after 9.9                       -> nothing
        6 lock a EX                     -> queued
        after 0.1                       -> 5 granted
        5 unlock a                      -> 6 granted
        7 lock a EX                     -> queued
        6 unlock a                      -> nothing
        after 9.9                       -> nothing
        after 0.1                       -> 7 granted
    """,
    "while a lock is held under which any may run, all pass after ten seconds": """
        1 lock c EX                     -> granted
        2 lock b EX as=p                -> granted
        3 lock a EX as=x + b EX as=x    -> queued
        4 lock a EX as=q                -> granted
        4 unlock a                      -> nothing
        5 lock a EX as=r                -> granted
        5 unlock a                      -> nothing
        6 lock a EX as=s                -> queued
        after 5                         -> nothing
        7 lock a EX as=t                -> queued
        after 5                         -> 6 granted
        6 unlock a                      -> 7 granted
        7 unlock a                      -> nothing
        1 unlock c                      -> nothing
        8 lock a EX as=u                -> queued
        after 10                        -> nothing
        9 lock c EX                     -> granted
        after 9.9                       -> nothing
        after 0.1                       -> 8 granted
    """,
    "a set that gives up meanwhile lets all go, and a later one that waits holds back for its own time": """
        1 lock b EX                     -> granted
        2 lock a EX + b EX              -> queued
        3 lock a EX                     -> granted
        4 lock a PR                     -> queued
        3 unlock a                      -> 4 granted
        5 lock a PR                     -> queued
        after 4                         -> nothing
        2 gives up b                    -> 5 granted
        after 60                        -> nothing
    """,
    "among locks of programs, a set is granted as soon as those end that are held": """
        1 lock a PR                     -> granted
        2 lock a EX + b EX              -> queued
        3 lock a PR                     -> granted
        4 lock a PR                     -> granted
        5 lock a PR                     -> queued
        1 unlock a                      -> nothing
        after 3                         -> nothing
        3 unlock a                      -> nothing
        4 unlock a                      -> 2 granted, 2 granted
        2 unlock                        -> 5 granted
    """,
    "who comes to hold something while it is held back passes": """
        1 lock b EX as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        3 lock a EX as=q                -> granted
        3 unlock a                      -> nothing
        4 lock a EX as=r                -> granted
        4 unlock a                      -> nothing
        5 lock a EX as=s                -> queued
        5 lock c EX as=s                -> granted
        after 0                         -> 5 granted
    """,
    "of those that were held back, so many go before the next set": """
        1 lock a EX as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        9 lock c EX as=v                -> granted
        3 lock a EX as=y + c EX as=y    -> queued
        4 lock a EX as=q                -> queued
        5 lock a EX as=r                -> queued
        6 lock a EX as=s                -> queued
        7 lock a EX as=t                -> queued
        8 lock a EX as=u                -> queued
        1 unlock a                      -> 2 granted, 2 granted
        2 unlock a                      -> 4 granted
        4 unlock a                      -> 5 granted
        5 unlock a                      -> 6 granted
        6 unlock a                      -> 7 granted
        7 unlock a                      -> nothing
        9 unlock c                      -> 3 granted, 3 granted
        3 unlock a                      -> 8 granted
    """,
    "what is reclaimed is not held back": """
        1 lock b EX as=p                -> granted
        2 lock a EX as=x + b EX as=x    -> queued
        3 lock a PR as=q                -> granted
        4 lock a PR as=r                -> granted
        5 lock a PR as=s had            -> granted
    """,
}


@pytest.mark.parametrize("script", OVERTAKING.values(), ids=OVERTAKING)
def test_a_script_about_overtaking(script: str) -> None:
    check(script, max_overtaking=2)


NOW: Final = Instant(0.0, 0.0)


def part(session: int, name: str) -> LockRequest:
    return LockRequest(SessionId(session), parse_name(name))


def test_what_is_in_the_way_is_named() -> None:
    table = LockTable(lambda format, wall: "")
    table.request(part(1, "b"), NOW)
    both = SetRequest((part(2, "a"), part(2, "b")))
    assert table.request_all(both, NOW) == [Queued(both.parts[1])]
    other = SetRequest(tuple(LockRequest(SessionId(3), parse_name(name), wait=False) for name in ("c", "b")))
    assert table.request_all(other, NOW) == [Refused(other.parts[1], Outcome.BUSY)]


def test_a_set_is_withdrawn_as_one_and_counts_once() -> None:
    table = LockTable(lambda format, wall: "")
    table.request(part(1, "b"), NOW)
    both = SetRequest((part(2, "a"), part(2, "b")))
    table.request_all(both, NOW)
    assert table.waiting(SessionId(2)) == [both.parts[0]]
    assert table.standing(SessionId(2), parse_name("b")) == Queued(both.parts[1])
    effects = table.give_up(SessionId(2), parse_name("b"), Instant(3.0, 3.0), WhyWithdrawn.TIMEOUT)
    assert effects == [Withdrawn(both.parts[0], WhyWithdrawn.TIMEOUT, 3.0)]
    assert table.statistics.withdrawn[WhyWithdrawn.TIMEOUT] == 1
    assert not table.has_locks(SessionId(2))


def test_what_has_become_of_a_set_is_told() -> None:
    table = LockTable(lambda format, wall: "")
    both = SetRequest((part(2, "b"), part(2, "a")))
    table.request(part(1, "b"), NOW)
    table.request_all(both, NOW)
    assert table.standing_of_all(SessionId(2)) == Queued(both.parts[0])
    [*_, first, second] = table.release(SessionId(1), parse_name("b"), NOW)
    assert isinstance(first, Granted)
    assert isinstance(second, Granted)
    assert [first.request, second.request] == list(both.parts)
    assert second.token == first.token + 1
    standing = table.standing_of_all(SessionId(2))
    assert isinstance(standing, list)
    assert [grant.request for grant in standing] == list(both.parts)
    assert table.standing_of_all(SessionId(1)) is None
    assert table.standing_of_all(SessionId(3)) is None


def test_a_set_is_granted_among_locks_of_programs_that_overlap_without_end() -> None:
    table = LockTable(lambda format, wall: "", max_overtaking=2)
    table.request(part(1, "b"), NOW)
    table.request_all(SetRequest((part(2, "a"), part(2, "b"))), NOW)
    granted: dict[int, int] = {}
    for second in range(1, 60):
        now = Instant(float(second), float(second))
        effects = table.expire(now)
        for session in [each for each in granted if granted[each] + 4 == second]:
            effects += table.release(SessionId(session), parse_name("a"), now)
        if second == 25:
            effects += table.release(SessionId(1), parse_name("b"), now)
        effects += table.request(LockRequest(SessionId(100 + second), parse_name("a"), LockMode.PR), now)
        granted |= {each.request.session: second for each in effects if isinstance(each, Granted)}
    assert 25 <= granted[2] <= 35


def test_limits_count_each_part() -> None:
    table = LockTable(lambda format, wall: "", max_waiters=1, max_resources=3, max_locks=2)
    table.request(part(1, "a"), NOW)
    table.request_all(SetRequest((part(2, "a"), part(2, "b"))), NOW)
    third = SetRequest((part(3, "c"), part(3, "a")))
    assert table.request_all(third, NOW) == [Refused(third.parts[1], Outcome.BUSY, limit=Limit.WAITERS)]
    fourth = SetRequest((part(4, "d"), part(4, "e")))
    assert table.request_all(fourth, NOW) == [Refused(fourth.parts[0], Outcome.BUSY, limit=Limit.RESOURCES)]
    again = SetRequest((part(6, "a"), part(6, "c")))
    table.release(SessionId(1), parse_name("a"), NOW)
    table.release_all(SessionId(2), NOW)
    modes = [LockRequest(SessionId(6), parse_name("c"), LockMode.NL) for _ in range(2)]
    assert [type(table.request(each, NOW)[0]) for each in modes] == [Granted, Granted]
    assert table.request_all(again, NOW) == [Refused(again.parts[1], Outcome.BUSY, limit=Limit.LOCKS)]


def test_after_a_takeover_sets_have_the_order_in_which_they_asked_first() -> None:
    script = Script()
    table = script.table
    table.request(part(1, "a"), NOW)
    for session, waited in ((2, 1.0), (3, 9.0)):
        names = (parse_name("a"), parse_name(f"b{session}"))
        table.request_all(
            SetRequest(tuple(LockRequest(SessionId(session), name, waited=waited) for name in names)), NOW
        )
    table.put_in_order("a")
    assert table.next_deadline() is not None
    granted = [each for each in table.release(SessionId(1), parse_name("a"), NOW) if isinstance(each, Granted)]
    assert [each.request.session for each in granted] == [3, 3]
