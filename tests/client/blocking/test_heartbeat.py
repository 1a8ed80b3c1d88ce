"""The heartbeat of a lock over TCP; tests/scenarios/lan/test_heartbeat.py has it between real hosts."""

from __future__ import annotations

import pytest

from flom.client.blocking.heartbeat import Heartbeat
from flom.core.lease import NEVER, Lease


class Scene:
    """
    A lease of 6 s, asked for every 3 s, and a connection, of which this is what the heartbeat sees.

    @ivar now: seconds of the clock.
    @ivar is_confirmed: whether the kernel at the other end confirms what is sent.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, believes_kernel: bool = True) -> None:
        self.now = 100.0
        self.pongs = 0
        self.sent = 0
        self.is_confirmed = self.is_broken = False
        monkeypatch.setattr("flom.client.blocking.heartbeat.boottime", lambda: self.now)
        self.lease = Lease(6.0, 3.0)
        self.lease.sent(self.now)
        self.lease.answered()
        self.heartbeat = Heartbeat(self.lease, believes_kernel=believes_kernel)

    def ping(self) -> None:
        self.sent += 1

    def break_off(self) -> None:
        self.is_broken = True

    def pass_time(self, seconds: float, *, late: float = 0.0) -> None:
        """Tend the heartbeat whenever it wants that, for C{seconds}, and then once, C{late} seconds later."""
        end = self.now + seconds
        while (left := self.heartbeat.left()) <= end - self.now and not self.is_broken:
            self.now += left
            self.heartbeat.tend(self)  # type: ignore[arg-type]
        self.now = end + late
        if late:
            self.heartbeat.tend(self)  # type: ignore[arg-type]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_a_daemon_that_answers_is_asked_now_and_then(scene: Scene) -> None:
    for _ in range(10):
        scene.pass_time(3.0)
        scene.pongs += 1
        scene.heartbeat.tend(scene)  # type: ignore[arg-type]
    assert (scene.sent, scene.is_broken, scene.pongs) == (10, False, 0)
    assert scene.heartbeat.left_to_lose() == 6.0


def test_what_is_not_answered_is_broken_while_there_is_time(scene: Scene) -> None:
    scene.pass_time(5.0)
    assert (scene.sent, scene.is_broken) == (1, True)
    assert 0 < scene.heartbeat.left_to_lose() < 2


def test_what_the_kernel_confirms_is_not_broken(scene: Scene) -> None:
    scene.is_confirmed = True
    scene.pass_time(60.0)
    assert not scene.is_broken
    assert scene.heartbeat.left_to_lose() > 0


def test_where_another_daemon_takes_over_the_kernel_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, believes_kernel=False)
    scene.is_confirmed = True
    scene.pass_time(5.0)
    assert scene.is_broken


def test_a_program_that_was_stopped_asks_first(scene: Scene) -> None:
    scene.pass_time(1.0, late=1000.0)
    assert (scene.sent, scene.is_broken) == (1, False)
    assert scene.heartbeat.left_to_lose() == 1.0
    scene.pongs = 1
    scene.heartbeat.tend(scene)  # type: ignore[arg-type]
    assert scene.heartbeat.left_to_lose() == 6.0


def test_a_program_that_is_stopped_on_its_way_back_has_time_too(scene: Scene) -> None:
    assert scene.heartbeat.left_to_lose() == 6.0
    scene.now += 1000.0
    assert scene.heartbeat.left_to_lose() == 1.0
    scene.now += 1.0
    assert scene.heartbeat.left_to_lose() == 0.0


def test_a_daemon_that_does_not_understand_the_question_is_not_asked(scene: Scene) -> None:
    scene.lease.interval = NEVER
    assert scene.heartbeat.left() == NEVER
