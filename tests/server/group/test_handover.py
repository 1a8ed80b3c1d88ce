"""The standby's part in a handover, line by line; both parts meet in tests/scenarios/lan/test_handover.py."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.core.group.addresses import Group
from flom.core.group.key import GroupKey
from flom.core.locks.handover import Estate
from flom.errors import FlomError, RemoteProtocolError
from flom.server.group.handover import LEAD_WITHIN, Heir, Lines

GROUP = Group("ff02::1", 28015)
KEYED = Group("ff02::1", 28015, key=GroupKey(b"a secret of some bytes", lambda: "00"))
ESTATE = Estate(3, [], [], [])


class Standby:
    """
    A daemon that stands by, and its connection to the leader.

    @ivar led: what it has taken over.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.said: list[tuple[str, str]] = []
        self.led: list[tuple[Estate, list[str]]] = []
        self.has_hung_up = False
        self.problem: FlomError | ValueError | None = None
        self._leader = Lines(GROUP, "nonce")
        self.heir = Heir(Lines(GROUP, "nonce"), self.clock, self._hear, self._hang_up, self._check, self._lead)
        self.heir.begin("")

    def hear(self, word: str, text: str = "") -> tuple[str, str]:
        """Receive a line of the leader; return what is said last."""
        self.heir.receive(self._leader.write(word, text))
        return self.said[-1]

    def _hear(self, data: bytes) -> None:
        self.said += self._leader.receive(data)

    def _hang_up(self) -> None:
        self.has_hung_up = True

    def _check(self, estate: Estate) -> None:
        if self.problem is not None:
            raise self.problem

    def _lead(self, estate: Estate, gone: list[str]) -> None:
        self.led.append((estate, gone))


def test_it_leads_when_the_leader_says_so() -> None:
    standby = Standby()
    assert standby.said == [("ready", "")]
    assert standby.hear("estate", ESTATE.write()) == ("prepared", "")
    assert standby.led == []
    assert standby.hear("lead", "aa bb") == ("leads", "")
    assert standby.led == [(ESTATE, ["aa", "bb"])]
    assert standby.has_hung_up


def test_lines_may_come_in_pieces() -> None:
    standby = Standby()
    for byte in Lines(GROUP, "nonce").write("estate", ESTATE.write()):
        standby.heir.receive(bytes([byte]))
    assert standby.said[-1] == ("prepared", "")


def test_one_that_cannot_says_why() -> None:
    standby = Standby()
    standby.heir.begin("it is busy")
    assert standby.said[-1] == ("no", "it is busy")
    assert standby.has_hung_up


def test_an_order_that_comes_too_late_is_refused() -> None:
    """The leader may have given up, and grants again."""
    standby = Standby()
    standby.hear("estate", ESTATE.write())
    standby.clock.advance(LEAD_WITHIN + 0.1)
    assert standby.hear("lead")[0] == "no"
    assert standby.led == []


@pytest.mark.parametrize("words", [["lead"], ["estate", "estate"], ["hello"]])
def test_lines_in_another_order_are_refused(words: list[str]) -> None:
    standby = Standby()
    for word in words:
        standby.hear(word, ESTATE.write())
    assert standby.said[-1][0] == "no"
    assert standby.led == []


def test_what_cannot_be_taken_over_is_refused() -> None:
    standby = Standby()
    standby.problem = ValueError("a sequence cannot be at that")
    assert standby.hear("estate", ESTATE.write()) == ("no", "a sequence cannot be at that")
    assert standby.hear("lead")[0] == "no"
    assert standby.led == []


@pytest.mark.parametrize(
    "line",
    [
        Lines(KEYED, "nonce").write("estate", ESTATE.write()),
        Lines(GROUP, "other").write("estate", ESTATE.write()),
        Lines(GROUP, "nonce").write("estate", ESTATE.write()).replace(b"3", b"4", 1),
        b"estate\n",
        b"\xff\n",
    ],
)
def test_a_line_without_the_seal_is_refused(line: bytes) -> None:
    standby = Standby()
    standby.heir.receive(line)
    assert standby.said[-1][0] == "no"


def test_a_line_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.server.group.handover.MAX_ESTATE", 100)
    with pytest.raises(RemoteProtocolError, match="a line of more than 100 bytes"):
        Lines(GROUP, "nonce").receive(b"x" * 101)
