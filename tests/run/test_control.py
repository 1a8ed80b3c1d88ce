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
from flom.errors import FlomError, not_converted
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
        self.control = Control(self.ours, self.waiting, fake, begin, decided)

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
    assert scene.command.recv(1000) == b"converted PR 5\nerror 'nonsense' is no question: convert MODE [SECONDS]\n"


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


def test_several_locks_are_not_converted() -> None:
    scene = Scene(None)
    with scene.ours, scene.command, scene.ask("convert EX\n") as answer:
        scene.look()
        assert answer.recv(100) == b"error several locks are held at once: none of them can be converted\n"
