"""The heartbeat of a lock; tests/scenarios/lan/test_heartbeat.py has it between real hosts."""

from __future__ import annotations

from flom.core.heartbeat import Heartbeat
from flom.core.lease import NEVER, Lease


class Scene:
    """
    A lease of 6 s, asked for every 3 s, and its connection.

    @ivar now: seconds of the clock.
    @ivar sent: how many pings were.
    """

    def __init__(self, *, believes_kernel: bool = True, asks_late: bool = True) -> None:
        self.now = 100.0
        self.pongs = 0
        self.sent = 0
        self.is_confirmed = self.is_broken = False
        self.lease = Lease(6.0, 3.0)
        self.lease.sent(self.now)
        self.lease.answered()
        self.heartbeat = Heartbeat(self.lease, believes_kernel=believes_kernel, asks_late=asks_late)

    def ping(self) -> None:
        self.sent += 1

    def break_off(self) -> None:
        self.is_broken = True

    def tend(self) -> None:
        self.heartbeat.tend(self, self.now)

    def left(self) -> float:
        """Return the seconds in which the lock can be reclaimed."""
        return self.heartbeat.left_to_lose(self.now)

    def pass_time(self, seconds: float, *, late: float = 0.0) -> None:
        """Tend the heartbeat whenever it wants that, for C{seconds}, and then once, C{late} seconds later."""
        end = self.now + seconds
        while (due := max(self.now, self.heartbeat.due())) <= end and not self.is_broken:
            self.now = due
            self.tend()
        self.now = end + late
        if late:
            self.tend()


def test_a_daemon_that_answers_is_asked_now_and_then() -> None:
    scene = Scene()
    for _ in range(10):
        scene.pass_time(3.0)
        scene.pongs += 1
        scene.tend()
    assert (scene.sent, scene.is_broken, scene.pongs) == (10, False, 0)
    assert scene.left() == 6.0


def test_what_is_not_answered_is_broken_while_there_is_time() -> None:
    scene = Scene()
    scene.pass_time(5.0)
    assert (scene.sent, scene.is_broken) == (1, True)
    assert 0 < scene.left() < 2


def test_what_the_kernel_confirms_is_not_broken() -> None:
    scene = Scene()
    scene.is_confirmed = True
    scene.pass_time(60.0)
    assert not scene.is_broken
    assert scene.left() > 0


def test_where_another_daemon_takes_over_the_kernel_does_not_matter() -> None:
    scene = Scene(believes_kernel=False)
    scene.is_confirmed = True
    scene.pass_time(5.0)
    assert scene.is_broken


def test_a_program_that_was_stopped_asks_first() -> None:
    scene = Scene()
    scene.pass_time(1.0, late=1000.0)
    assert (scene.sent, scene.is_broken) == (1, False)
    assert scene.left() == 1.0
    scene.pongs = 1
    scene.tend()
    assert scene.left() == 6.0


def test_a_program_that_is_stopped_on_its_way_back_has_time_too() -> None:
    scene = Scene()
    assert scene.left() == 6.0
    scene.now += 1000.0
    assert scene.left() == 1.0
    scene.now += 1.0
    assert scene.left() == 0.0


def test_what_is_ended_has_its_time_after_the_loss() -> None:
    scene = Scene()
    scene.lease.kill_after = 2.5
    assert scene.heartbeat.left_to_kill(scene.now + 1.0) == 7.5


def test_under_a_quorum_it_is_too_late_then() -> None:
    scene = Scene(believes_kernel=False, asks_late=False)
    scene.pass_time(1.0, late=1000.0)
    assert scene.is_broken
    assert scene.left() < 0


def test_what_was_answered_before_it_was_stopped_counts() -> None:
    scene = Scene(believes_kernel=False, asks_late=False)
    scene.pass_time(3.0)
    scene.pongs = 1
    scene.pass_time(0.0, late=4.0)
    assert not scene.is_broken
    assert scene.left() == 2.0


def test_a_daemon_that_does_not_understand_the_question_is_not_asked() -> None:
    scene = Scene()
    scene.lease.interval = NEVER
    assert scene.heartbeat.due() == NEVER
