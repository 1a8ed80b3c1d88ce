"""What a client reads whose wait would never have ended."""

from __future__ import annotations

from socket import gethostname

import pytest

from flom.codes import Outcome
from flom.core.effects import Refused, Step
from flom.core.modes import CW, EX, PR, LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import Wishes
from flom.core.requests import LockRequest, SessionId
from flom.server.circles import spell_circle
from flom.server.peer import Peer

PEERS = {
    1: Peer("localhost/", None, 11, 0, "root", "make"),
    2: Peer("192.0.2.7/40000", None, None, None, "ann", "backup"),
    3: Peer("localhost/", None, None, 0),
    4: Peer("192.0.2.8/40001"),
}

HERE = gethostname()


def request(session: int, name: str, mode: LockMode = EX, quantity: int = 1, nested: str = "") -> LockRequest:
    return LockRequest(SessionId(session), parse_name(name), mode, quantity, wishes=Wishes(("f" * 16,), nested))


def step(wait: LockRequest, holder: LockRequest) -> Step:
    return Step(wait, holder, holder)


MINE = request(9, "X")

CASES = {
    "what can be shared": (
        [step(MINE, request(1, "X"))],
        (
            f"X (EX) is held by pid 11 on {HERE} (root, make), under whose command this one runs: "
            "it would wait for ever; --nested=share shares the lock with it"
        ),
    ),
    "what cannot": (
        [step(MINE, request(2, "X", PR))],
        "X (PR) is held by 192.0.2.7/40000 (ann, backup), under whose command this one runs: it would wait for ever",
    ),
    "what was to be shared, and cannot": (
        [step(request(9, "X", CW, nested="share"), request(3, "X", PR))],
        (
            f"X (PR) is held by a process on {HERE}, under whose command this one runs: "
            "X (CW) is more than that, and cannot be shared with it"
        ),
    ),
    "its own session": (
        [step(MINE, request(9, "X"))],
        "it would wait for ever: X (EX) is held by a former client, which is the client itself",
    ),
    "a circle": (
        [
            step(MINE, request(1, "X")),
            step(request(2, "N[3]", quantity=2), request(3, "N[3]", quantity=3)),
            step(request(3, "a.b"), request(4, "a.b")),
        ],
        (
            f"it would wait for ever: X (EX) is held by pid 11 on {HERE} (root, make), under whose command "
            "192.0.2.7/40000 (ann, backup) waits for 2 of N[3]; "
            f"3 of N[3] is held by a process on {HERE}, which waits for a.b; "
            "a.b is held by 192.0.2.8/40001, under whose command this one runs"
        ),
    ),
}


@pytest.mark.parametrize(("circle", "line"), CASES.values(), ids=CASES)
def test_one_line_says_who_holds_what_and_waits_for_what(circle: list[Step], line: str) -> None:
    refused = Refused(circle[0].wait, Outcome.DEADLOCK, circle=tuple(circle))
    assert spell_circle(refused, lambda session: PEERS.get(int(session))) == line


def test_the_middle_of_a_long_circle_is_counted() -> None:
    circle = [step(MINE, request(100, "R0"))]
    circle += [step(request(200 + i, f"R{i}"), request(300 + i, f"R{i + 1}")) for i in range(1, 20)]
    line = spell_circle(Refused(MINE, Outcome.DEADLOCK, circle=tuple(circle)), lambda session: None)
    assert "and so on over 15 more" in line
    assert "R20" in line
    assert len(line) < 700
