"""What a command and those under it hold together comes back together at the next daemon, in any order."""

from __future__ import annotations

from itertools import permutations

import pytest

from flom.codes import Outcome
from flom.core.effects import Ended, Granted, Queued, Refused
from flom.core.locks.table import LockTable
from flom.core.modes import CR, CW, EX, PR, LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import Wishes
from flom.core.requests import LockRequest, SessionId
from tests.core.locks.test_circles import NOW, id_of, strftime

OUTER, INNER, THIRD, OTHER = (SessionId(number) for number in range(1, 5))
LINEAGES = {OUTER: ("o",), INNER: ("i", "o"), THIRD: ("t", "i", "o"), OTHER: ("x",)}


def request(
    session: SessionId, name: str, mode: LockMode = EX, quantity: int = 1, *, token: int = 0, element: str | None = None
) -> LockRequest:
    wishes = Wishes(tuple(map(id_of, LINEAGES[session])), "share")
    regains = token > 0
    return LockRequest(
        session,
        parse_name(name),
        mode,
        quantity,
        not regains,
        regains=regains,
        token=token,
        element=element,
        wishes=wishes,
    )


def granted(table: LockTable, wanted: LockRequest) -> Granted:
    effect = table.request(wanted, NOW)[-1]
    assert isinstance(effect, Granted)
    return effect


CASES = {
    "modes": ("X", "X", [(EX, 1), (PR, 1), (CW, 1)]),
    "nodes": ("/t/a", "/t/a/b", [(EX, 1), (PR, 1), (EX, 1)]),
    "units": ("N[3]", "N[3]", [(EX, 3), (EX, 2), (EX, 3)]),
    "elements": ("u", "u", [(EX, 1)] * 3),
    "numbers": ("_s_q[1]", "_s_q[1]", [(EX, 1)] * 3),
}


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize(("name", "inner_name", "wishes"), CASES.values(), ids=CASES)
def test_each_reclaims_in_any_order(
    name: str, inner_name: str, wishes: list[tuple[LockMode, int]], order: tuple[int, ...]
) -> None:
    table = LockTable(strftime)
    sessions, names = [OUTER, INNER, THIRD], [name, inner_name, inner_name]
    had = [granted(table, request(session, names[i], *wishes[i])) for i, session in enumerate(sessions)]
    assert len({grant.token for grant in had}) == 1

    after = LockTable(strftime)
    for i in order:
        again = request(sessions[i], names[i], *wishes[i], token=had[i].token, element=had[i].element)
        assert granted(after, again).token == had[0].token
    assert after.held == 3
    waiting = request(OTHER, name, EX, wishes[0][1])
    after.request(waiting, NOW)
    assert [after.drop(sessions[i], NOW)[1:] for i in order[:2]] == [[], []]
    assert after.drop(sessions[order[2]], NOW)[1].request is waiting


def test_a_stronger_one_that_comes_too_late_is_refused() -> None:
    after = LockTable(strftime)
    token = 5 << 20 | 1
    inner = granted(after, request(INNER, "X", PR, token=token))
    granted(after, request(OTHER, "X", PR))
    [effect] = after.request(request(OUTER, "X", EX, token=token), NOW)
    assert isinstance(effect, Refused)
    assert effect.outcome is Outcome.BUSY
    assert granted(after, request(THIRD, "X", PR, token=token)).token == inner.token
    after.drop(OTHER, NOW)
    assert granted(after, request(OUTER, "X", EX, token=token)).token == inner.token


def test_nodes_that_come_before_the_one_above_them() -> None:
    after = LockTable(strftime)
    token = 5 << 20 | 1
    granted(after, request(INNER, "/t/a/b", EX, token=token))
    granted(after, request(THIRD, "/t/a/c", PR, token=token))
    assert isinstance(after.request(request(OTHER, "/t/a", CR), NOW)[-1], Queued)
    assert granted(after, request(OUTER, "/t/a", EX, token=token)).token == token
    assert isinstance(after.request(request(OTHER, "/t/a/d", CR), NOW)[-1], Queued)
    after.drop(OUTER, NOW)
    after.drop(INNER, NOW)
    assert [type(effect) for effect in after.drop(THIRD, NOW)] == [Ended, Granted, Granted]


def test_others_who_reclaim_share_nothing() -> None:
    after = LockTable(strftime)
    granted(after, request(OUTER, "N[3]", EX, 2, token=5 << 20 | 1))
    granted(after, request(OTHER, "N[3]", EX, 1, token=5 << 20 | 2))
    assert isinstance(after.request(request(THIRD, "N[3]", EX, 1, token=5 << 20 | 3), NOW)[-1], Refused)


def test_the_view_says_what_is_shared() -> None:
    table = LockTable(strftime)
    granted(table, request(OUTER, "X", EX))
    granted(table, request(INNER, "X", PR))
    outer, inner = table.view().resources[0].holders
    assert (outer.shares, inner.shares) == (outer.number, outer.number)
    assert inner.held is outer.request
