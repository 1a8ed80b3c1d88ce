"""What a command asks for by its control descriptor, and the answers; tests/ctl/test_convert.py has real commands."""

from __future__ import annotations

import socket
from array import array
from collections.abc import Iterator
from select import POLLIN, poll
from typing import Any

import pytest

from flom.codes import Outcome
from flom.core.modes import EX, PR
from flom.core.protocol.messages import Lock
from flom.core.requests import AskedToConvert
from flom.errors import FlomError, InvalidRequest, not_converted
from flom.run.control import Control


class FakeConversions:
    """Conversions that a test decides."""

    def __init__(self) -> None:
        self.message = Lock("R1", PR)
        self.mode, self.token = PR, 5
        self.is_waiting = False
        self.refusal: FlomError | None = None
        self.asked: list[AskedToConvert] = []
        self.stayed = 0

    def ask(self, conversation: object, asked: AskedToConvert) -> None:
        self.asked.append(asked)
        self.is_waiting = True

    def stay(self, conversation: object) -> None:
        self.stayed += 1
        self.is_waiting = False

    def decide(self, refusal: FlomError | None = None) -> None:
        self.is_waiting, self.refusal = False, refusal


class Scene:
    """Both ends of a control descriptor."""

    def __init__(self, conversions: FakeConversions | None) -> None:
        self.ours, self.command = socket.socketpair()
        self.command.settimeout(20.0)
        self.waiting = poll()
        self.waiting.register(self.ours, POLLIN)
        self.changes: list[str] = []
        conversation: Any = None
        self._conversation = conversation
        fake: Any = conversions
        begin, decided = (lambda: self.changes.append("begin")), (lambda: self.changes.append("decided"))
        self.values: list[str] = []
        self.control = Control(self.ours, self.waiting, fake, begin, decided, self._set_value)

    def _set_value(self, text: str) -> str:
        if text == "refused":
            raise InvalidRequest("R1: no")
        self.values.append(text)
        return "R1"

    def look(self, why_lost: str = "") -> None:
        self.control.look([number for number, _ in self.waiting.poll(0)], self._conversation, why_lost)

    def ask(self, line: str) -> socket.socket:
        """Ask as C{flomctl} does; return where the answer comes."""
        answer, theirs = socket.socketpair()
        answer.settimeout(20.0)
        with theirs:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [theirs.fileno()]))]
            self.command.sendmsg([line.encode()], rights)
        return answer


@pytest.fixture
def conversions() -> FakeConversions:
    return FakeConversions()


@pytest.fixture
def scene(conversions: FakeConversions) -> Iterator[Scene]:
    scene = Scene(conversions)
    with scene.ours, scene.command:
        yield scene


def test_questions_are_answered_one_after_another(scene: Scene, conversions: FakeConversions) -> None:
    first, second = scene.ask("convert EX\n"), scene.ask("convert PW 5s\n")
    scene.look()
    assert conversions.asked == [AskedToConvert(EX, True, None)]
    conversions.mode, conversions.token = EX, 7
    conversions.decide()
    scene.look()
    assert first.recv(100) == b"converted EX 7\n"
    assert first.recv(100) == b""
    conversions.decide(not_converted(Outcome.DEADLOCK, "R1", "the daemon"))
    scene.look()
    assert second.recv(100).startswith(b"deadlock R1 at the daemon: another holder waits")
    assert scene.changes == ["begin", "decided"] * 2
    for each in (first, second):
        each.close()


def test_a_process_that_ends_withdraws_its_question(scene: Scene, conversions: FakeConversions) -> None:
    first, second, third = (scene.ask("convert EX\n") for _ in range(3))
    scene.look()
    second.close()
    first.close()
    scene.look()
    assert (conversions.stayed, len(conversions.asked)) == (1, 2)
    conversions.decide()
    scene.look()
    assert third.recv(100) == b"converted PR 5\n"
    third.close()


def test_its_time_is_over(scene: Scene, conversions: FakeConversions) -> None:
    with scene.ask("convert EX 1ms\n") as answer:
        scene.look()
        while scene.control.left:
            pass
        scene.look()
        assert answer.recv(100) == b"busy R1: not converted within 1ms\n"
    assert conversions.stayed == 1


def test_a_line_may_come_in_pieces_or_with_others(scene: Scene, conversions: FakeConversions) -> None:
    scene.command.send(b"conv")
    scene.look()
    scene.command.send(b"ert EX\nnonsense\n")
    scene.look()
    conversions.decide()
    scene.look()
    assert scene.command.recv(1000) == (
        b"converted PR 5\nerror 'nonsense' is no question: convert MODE [SECONDS], or value TEXT\n"
    )


@pytest.mark.parametrize("end", [b"", b"convert EX"])
def test_when_the_command_has_closed_it_nothing_more_is_read(scene: Scene, end: bytes) -> None:
    scene.command.send(end)
    scene.command.close()
    scene.look()
    assert scene.waiting.poll(0) == []


def test_a_lost_lock_is_not_converted(scene: Scene, conversions: FakeConversions) -> None:
    with scene.ask("convert EX\n") as waiting, scene.ask("convert EX\n") as late:
        scene.look()
        scene.look("the daemon has gone")
        for each in (waiting, late):
            assert each.recv(100) == b"error the lock was lost: the daemon has gone\n"
    assert len(conversions.asked) == 1


def test_a_value_is_set_as_it_stands(scene: Scene) -> None:
    """Blanks and bytes that are no text too; a conversion that waits is decided before."""
    scene.command.send(b"value tape7\nvalue  a \tb\\ \nvalue \xff\nvalue \nvalue\nvalue refused\n")
    scene.look()
    assert scene.values == ["tape7", " a \tb\\ ", "\udcff", "", ""]
    assert scene.command.recv(1000) == b"set R1\n" * 5 + b"error R1: no\n"
    scene.command.send(b"values x\n")
    scene.look()
    assert scene.command.recv(1000).startswith(b"error 'values x' is no question: ")
    assert scene.changes == []


def test_a_value_waits_for_the_conversion_before_it(scene: Scene, conversions: FakeConversions) -> None:
    with scene.ask("convert EX\n") as first, scene.ask("value x\n") as second:
        scene.look()
        assert scene.values == []
        conversions.decide()
        scene.look()
        assert first.recv(100) == b"converted PR 5\n"
        assert second.recv(100) == b"set R1\n"
    assert scene.values == ["x"]


def test_of_a_lost_lock_no_value_is_set(scene: Scene) -> None:
    with scene.ask("value x\n") as answer:
        scene.look("the daemon has gone")
        assert answer.recv(100) == b"error the lock was lost: the daemon has gone\n"
    assert scene.values == []


def test_several_locks_are_not_converted() -> None:
    scene = Scene(None)
    with scene.ours, scene.command, scene.ask("convert EX\n") as answer:
        scene.look()
        assert answer.recv(100) == b"error several locks are held at once: none of them can be converted\n"
