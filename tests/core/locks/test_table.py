"""
Scripts that show, one rule each, what the lock table grants, queues and refuses (docs/compatibility.md, "Locks").

A line is a call and, after the arrow, all that follows from it::

    1 lock db EX        -> granted            session 1 asks; more words: a quantity as x3, nowait, nocreate, lifespan=3
    2 lock db EX        -> queued
    1 unlock db         -> 2 granted          an effect for another session says which; "rollback" may follow the name
    2 withdraw db       -> nothing            gives up the request for db that it waits for
    2 drop              -> nothing            its connection is gone
    after 1.5           -> 3 granted :02      so many seconds later; what was granted stands last

Time begins at noon.
"""

from __future__ import annotations

import re
import time
from typing import Final

import pytest

from flom.core.effects import Effect, Ended, Granted, Incubated, Instant, Queued, Refused
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId
from flom.errors import RemoteProtocolError

NOON: Final = 1_699_963_200  # 2023-11-14 12:00:00 UTC

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
    "who must not wait is told busy": """
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
    "barging: who fits beside the holders does not queue": """
        1 lock db PR    -> granted
        2 lock db EX    -> queued
        3 lock db PR    -> granted
        1 unlock db     -> nothing
        4 lock db PR    -> granted
        3 unlock db     -> nothing
        4 unlock db     -> 2 granted
    """,
    "batch grant: a release serves everybody who fits, and skips those who do not": """
        1 lock db EX    -> granted
        2 lock db PR    -> queued
        3 lock db EX    -> queued
        4 lock db PR    -> queued
        5 lock db CW    -> queued
        6 lock db CR    -> queued
        1 unlock db     -> 2 granted, 4 granted, 6 granted
        2 unlock db     -> nothing
        4 unlock db     -> 5 granted
        5 unlock db     -> nothing
        6 unlock db     -> 3 granted
    """,
    "a null lock stops nobody and is stopped by nobody": """
        1 lock db EX    -> granted
        2 lock db EX    -> queued
        3 lock db NL    -> granted
        1 unlock db     -> 2 granted
    """,
    "numeric: first fit, not best fit and not the first alone": """
        1 lock N[5] x5  -> granted
        2 lock N[5] x3  -> queued
        3 lock N[5] x2  -> queued
        4 lock N[5] x1  -> queued
        5 lock N[5] x1  -> queued
        1 unlock N[5]   -> 2 granted, 3 granted
        3 unlock N[5]   -> 4 granted, 5 granted
        3 lock N[5] x4  -> queued
        2 unlock N[5]   -> nothing
        4 unlock N[5]   -> 3 granted
    """,
    "numeric: more than all is impossible, none is always possible": """
        1 lock N[3] x4          -> impossible
        1 lock N[3] x4 nowait   -> impossible
        1 lock N[3] x3          -> granted
        2 lock N[3] x4          -> impossible
        2 lock N[3] x1 nowait   -> busy
        2 lock N[3] x0          -> granted
        3 lock N[0] x1          -> impossible
        3 lock N[0] x0          -> granted
    """,
    "numeric: a total beyond 31 bits is negative, so that everything is impossible": """
        1 lock N[2147483647] x2147483647 -> granted
        1 lock N[2147483648] x1          -> impossible
    """,
    "numeric: the mode does not matter": """
        1 lock N[2] x1 EX   -> granted
        2 lock N[2] x1 EX   -> granted
        3 lock N[2] x1 NL   -> queued
    """,
    "set: everybody gets an element, in turn": """
        1 lock red.green.blue   -> granted red
        1 unlock red.green.blue -> nothing
        1 lock red.green.blue   -> granted green
        1 unlock red.green.blue -> nothing
        1 lock red.green.blue   -> granted blue
        1 unlock red.green.blue -> nothing
        1 lock red.green.blue   -> granted red
    """,
    "set: the index goes on by one with each grant, whichever element was taken": """
        1 lock a.b.c    -> granted a
        2 lock a.b.c    -> granted b
        1 unlock a.b.c  -> nothing
        3 lock a.b.c    -> granted c
        3 unlock a.b.c  -> nothing
        4 lock a.b.c    -> granted a
        5 lock a.b.c    -> granted c
        6 lock a.b.c    -> queued
        7 lock a.b.c nowait -> busy
        2 unlock a.b.c  -> 6 granted b
        4 unlock a.b.c  -> nothing
        5 unlock a.b.c  -> nothing
        4 lock a.b.c    -> granted a
    """,
    "set: elements may have the same name": """
        1 lock u.u  -> granted u
        2 lock u.u  -> granted u
        3 lock u.u  -> queued
        1 drop      -> 3 granted u
    """,
    "set: of several elements, an unlock gives back the lowest": """
        1 lock a.b.c    -> granted a
        2 lock a.b.c    -> granted b
        3 lock a.b.c    -> granted c
        1 unlock a.b.c  -> nothing
        2 unlock a.b.c  -> nothing
        3 lock a.b.c    -> granted a
        3 unlock a.b.c  -> nothing
        2 lock a.b.c    -> granted b
        1 lock a.b.c    -> granted a
    """,
    "sequence: the next number, so many at a time": """
        1 lock _s_a[2]      -> granted 1
        2 lock _s_a[2]      -> granted 2
        3 lock _s_a[2]      -> queued
        4 lock _s_a[2] nowait -> busy
        2 unlock _s_a[2]    -> 3 granted 3
        3 unlock _s_a[2]    -> nothing
        4 lock _s_a[2]      -> granted 4
    """,
    "sequence: a plain one never repeats a number": """
        1 lock _s_a[1]              -> granted 1
        1 unlock _s_a[1] rollback   -> nothing
        1 lock _s_a[1]              -> granted 2
        1 drop                      -> nothing
        1 lock _s_a[1]              -> granted 3
    """,
    "sequence: rolled back numbers come again in the order of their rollback, before any new one": """
        1 lock _S_a[4]              -> granted 1
        2 lock _S_a[4]              -> granted 2
        3 lock _S_a[4]              -> granted 3
        4 lock _S_a[4]              -> granted 4
        5 lock _S_a[4]              -> queued
        3 unlock _S_a[4] rollback   -> 5 granted 3
        2 drop                      -> nothing
        4 unlock _S_a[4]            -> nothing
        1 unlock _S_a[4] rollback   -> nothing
        6 lock _S_a[4]              -> granted 2
        7 lock _S_a[4]              -> granted 1
        8 lock _S_a[4]              -> granted 5
    """,
    "sequence: an unlock without a holding breaks the protocol": """
        1 lock _s_a[1]      -> granted 1
        2 lock _s_a[1]      -> queued
        2 unlock _s_a[1]    -> protocol error
        1 unlock _s_a[1]    -> 2 granted 2
        1 unlock _s_a[1]    -> protocol error
    """,
    "sequence: without slots nobody is ever granted": """
        1 lock _s_a[0]          -> queued
        2 lock _s_a[0] nowait   -> busy
    """,
    "hierarchy: a lock concerns the nodes above and below, and no others": """
        1 lock /h/x/y EX            -> granted
        2 lock /h CR nowait         -> busy
        2 lock /h/x CR nowait       -> busy
        2 lock /h/x/y CR nowait     -> busy
        2 lock /h/x/y/z CR nowait   -> busy
        2 lock /h/x/z EX nowait     -> granted
        2 lock /h/x/yy EX nowait    -> granted
        2 lock /h/y EX nowait       -> granted
        2 lock /i EX nowait         -> granted
        2 lock /h NL nowait         -> granted
        3 lock /h/x/y/z EX          -> queued
        4 lock /h/x CR              -> queued
        1 unlock /h/x/y             -> 3 granted
        2 drop                      -> nothing
        3 drop                      -> 4 granted
    """,
    "hierarchy: one queue for the tree": """
        1 lock /h EX            -> granted
        2 lock /h/x EX          -> queued
        3 lock /h/x/y EX        -> queued
        4 lock /h/z EX          -> queued
        5 lock /h CR            -> queued
        1 unlock /h             -> 2 granted, 4 granted
        2 unlock /h/x           -> 3 granted
        4 unlock /h/z           -> nothing
        3 unlock /h/x/y         -> 5 granted
    """,
    "hierarchy: an unlock of another node of the tree does nothing": """
        1 lock /h/x EX          -> granted
        2 lock /h/x EX          -> queued
        1 unlock /h             -> nothing
        1 unlock /h/x/y         -> nothing
        2 unlock /h/y           -> nothing
        1 unlock /h/x           -> 2 granted
    """,
    # docs/compatibility.md, "A vanished holder keeps its node of a tree"
    "hierarchy: whoever vanishes frees its node, whatever was unlocked before": """
        1 lock /h/x EX  -> granted
        2 lock /h/y EX  -> granted
        3 lock /h/y EX  -> queued
        1 unlock /h     -> nothing
        2 drop          -> 3 granted
    """,
    "hierarchy: creation looks at the tree": """
        1 lock /h/x EX                  -> granted
        2 lock /h/y EX nocreate nowait  -> granted
        3 lock /i/y EX nocreate nowait  -> cannot wait
        4 lock /i/y EX nocreate         -> incubated
        5 lock /i/z EX                  -> granted, 4 granted
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
    "incubator: who does not create is told so or waits for the creator": """
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
    "idle lifespan: who was refused is connected all the same": """
        1 lock a.b          -> granted a
        2 lock a.b          -> granted b
        3 lock a.b nowait   -> busy
        1 drop              -> nothing
        2 drop              -> nothing
        after 100           -> nothing
        3 lock a.b          -> granted a
    """,
    "timestamp: a microsecond": """
        1 lock _t_%S#ffffff[9]          -> granted 00.000000
        1 lock _t_%S#ffffff[9] nowait   -> busy
        after 0.000001                  -> nothing
        1 lock _t_%S#ffffff[9] nowait   -> granted 00.000001
    """,
    "timestamp: ten microseconds": """
        after 0.000019                  -> nothing
        1 lock _t_%S#fffff[9]           -> granted 00.00001
        1 lock _t_%S#fffff[9]           -> queued
        after 0.000001                  -> 1 granted 00.00002
    """,
    "timestamp: a hundred microseconds": """
        1 lock _t_%S#ffff[9]            -> granted 00.0000
        1 lock _t_%S#ffff[9]            -> queued
        after 0.000099                  -> nothing
        after 0.000001                  -> 1 granted 00.0001
    """,
    "timestamp: a millisecond": """
        1 lock _t_%S#fff[9]             -> granted 00.000
        1 lock _t_%S#fff[9]             -> queued
        after 0.000999                  -> nothing
        after 0.000001                  -> 1 granted 00.001
    """,
    "timestamp: ten milliseconds": """
        1 lock _t_%S#ff[9]              -> granted 00.00
        1 lock _t_%S#ff[9]              -> queued
        after 0.009999                  -> nothing
        after 0.000001                  -> 1 granted 00.01
    """,
    "timestamp: a hundred milliseconds": """
        1 lock _t_%S#f[9]               -> granted 00.0
        1 lock _t_%S#f[9]               -> queued
        after 0.099999                  -> nothing
        after 0.000001                  -> 1 granted 00.1
    """,
    "timestamp: a second, by any of its names": """
        1 lock _t_%S[9]                 -> granted 00
        1 lock _t_%S[9]                 -> queued
        2 lock _t_%T[9]                 -> granted 12:00:00
        2 lock _t_%T[9]                 -> queued
        3 lock _t_%c[9]                 -> granted Tue Nov 14 12:00:00 2023
        3 lock _t_%c[9]                 -> queued
        4 lock _t_%X[9]                 -> granted 12:00:00
        4 lock _t_%X[9]                 -> queued
        5 lock _t_%r[9]                 -> granted 12:00:00 PM
        after 0.999999                  -> nothing
        after 0.000001                  -> 1 granted 01, 2 granted 12:00:01, 3 granted Tue Nov 14 12:00:01 2023, \
4 granted 12:00:01
    """,
    "timestamp: a minute": """
        1 lock _t_%H:%M[9]              -> granted 12:00
        1 lock _t_%H:%M[9]              -> queued
        2 lock _t_%R[9]                 -> granted 12:00
        2 lock _t_%R[9] nowait          -> busy
        after 59.999999                 -> nothing
        after 0.000001                  -> 1 granted 12:01
        2 lock _t_%R[9] nowait          -> granted 12:01
    """,
    "timestamp: an hour": """
        1 lock _t_%I%p[9]               -> granted 12PM
        1 lock _t_%I%p[9]               -> queued
        2 lock _t_%H[9]                 -> granted 12
        2 lock _t_%H[9] nowait          -> busy
        after 3599.999999               -> nothing
        after 0.000001                  -> 1 granted 01PM
        2 lock _t_%H[9] nowait          -> granted 13
    """,
    "timestamp: the surplus of a long fraction stays as text": """
        after 0.123456                  -> nothing
        1 lock _t_%S#fffffff[1]         -> granted 00.123456f
    """,
    "timestamp: one waiter a second, as long as there are slots": """
        1 lock _t_%S[3]     -> granted 00
        2 lock _t_%S[3]     -> queued
        3 lock _t_%S[3]     -> queued
        4 lock _t_%S[3]     -> queued
        after 1             -> 2 granted 01
        after 1             -> 3 granted 02
        after 1             -> nothing
        1 unlock _t_%S[3]   -> 4 granted 03
    """,
    "timestamp: a release within the unit serves nobody until it is over": """
        1 lock _t_%S[1]     -> granted 00
        2 lock _t_%S[1]     -> queued
        after 0.5           -> nothing
        1 unlock _t_%S[1]   -> nothing
        after 0.5           -> 2 granted 01
    """,
    "timestamp: a format that changes less often than hourly is invalid": """
        1 lock _t_%Y[1]     -> invalid timestamp format
        1 lock _t_foo[1]    -> invalid timestamp format
        1 lock _t_%D[1]     -> invalid timestamp format
        1 lock _t_%k[1]     -> invalid timestamp format
        1 lock _t_%ES[1]    -> invalid timestamp format
        1 lock _t_%%S[1]    -> invalid timestamp format
        1 lock _t_%D%S[1]   -> granted 11/14/2300
    """,
}


class Script:
    """Reads the lines to a table."""

    def __init__(self) -> None:
        self.table = LockTable(lambda format, wall: time.strftime(format, time.gmtime(wall)))
        self.microseconds = 0
        self.waiting: dict[tuple[str, str], LockRequest] = {}

    def run(self, call: str) -> str:
        """Make one call; write what follows from it as the script would."""
        match call.split():
            case ["after", seconds]:
                self.microseconds += round(float(seconds) * 1e6)
                return self.write("", self.table.expire(self.now))
            case [session, "lock", name, *words]:
                request = read_request(session, name, words)
                self.waiting[session, name] = request
                return self.write(session, self.table.request(request, self.now))
            case [session, "withdraw", name]:
                return self.write(session, self.table.withdraw(self.waiting[session, name]))
            case [session, "unlock", name, *words]:
                rollback = words == ["rollback"]
                try:
                    effects = self.table.release(SessionId(int(session)), parse_name(name), self.now, rollback=rollback)
                except RemoteProtocolError:
                    return "protocol error"
                return self.write(session, effects)
            case [session, "drop"]:
                return self.write(session, self.table.drop(SessionId(int(session)), self.now))
        raise AssertionError(call)

    @property
    def now(self) -> Instant:
        return Instant(self.microseconds / 1e6, (NOON * 1_000_000 + self.microseconds) / 1e6)

    def write(self, caller: str, effects: list[Effect]) -> str:
        texts = []
        for effect in effects:
            if isinstance(effect, Ended):
                continue  # nobody is told
            session = str(effect.request.session)
            texts.append(f"{session} {what(effect)}" if session != caller else what(effect))
        return ", ".join(texts) or "nothing"


def read_request(session: str, name: str, words: list[str]) -> LockRequest:
    mode, quantity, lifespan = LockMode.EX, 1, 0.0
    for word in words:
        if word in LockMode.__members__:
            mode = LockMode[word]
        elif re.fullmatch(r"x\d+", word):
            quantity = int(word[1:])
        elif word.startswith("lifespan="):
            lifespan = float(word.removeprefix("lifespan="))
        else:
            assert word in ("nowait", "nocreate"), word
    return LockRequest(
        SessionId(int(session)),
        parse_name(name),
        mode,
        quantity,
        "nowait" not in words,
        "nocreate" not in words,
        lifespan,
    )


def what(effect: Effect) -> str:
    match effect:
        case Granted(element=element):
            return "granted" if element is None else f"granted {element}"
        case Queued():
            return "queued"
        case Incubated():
            return "incubated"
        case Refused(outcome=outcome):
            return outcome.name.lower().replace("_", " ")
    raise AssertionError(effect)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    table = Script()
    for line in script.strip().splitlines():
        call, _, expected = line.partition("->")
        assert f"{call.strip()} -> {table.run(call)}" == f"{call.strip()} -> {expected.strip()}"


def test_tokens_grow_with_every_grant_of_any_resource() -> None:
    table, now = Script().table, Instant(0.0, 0.0)
    names = [parse_name(text) for text in ("db", "a.b", "/h/x", "db")]
    effects = [effect for n, name in enumerate(names) for effect in table.request(LockRequest(SessionId(n), name), now)]
    effects += table.drop(SessionId(0), now)
    assert [effect.token for effect in effects if isinstance(effect, Granted)] == [1, 2, 3, 4]
