"""One tenure: keepalives that come in any order, and what ends it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import QuorumTimes
from flom.errors import HistoryWentBack
from flom.server.quorum.reign import Reign
from flom.server.quorum.wire import Answer, Doubtful, KeyValue

TIMES = QuorumTimes(lease=3.0, session=5.0, margin=1.0, patience=2.5, kill_after=1.5, interval=0.8)


class Members:
    """
    A gateway whose answers come when the test says so.

    @ivar keepalives: that are not answered, the first one first.
    @ivar reads: likewise.
    """

    def __init__(self) -> None:
        self.keepalives: list[Deferred[int]] = []
        self.reads: list[Deferred[Answer]] = []
        self.endpoint = "http://h1:2379"
        self.limit = 2.0
        self.went_on = 0

    def go_on(self, endpoint: str) -> None:
        self.went_on += 1

    async def keep_alive(self, lease: int) -> int:
        self.keepalives.append(Deferred())
        return await self.keepalives[-1]

    async def transact(self, compare: object, then: object) -> Answer:
        """Read the key, and that of a halt, which is not there."""
        self.reads.append(Deferred())
        answer = await self.reads[-1]
        return Answer(answer.revision, True, (*answer.found, ()))


class Scene:
    """A leader that has asked for its lease at 0 s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("flom.server.quorum.reign.Watch", lambda *arguments: self)
        self.clock = Clock()
        self.members = Members()
        self.tenure = Tenure(TIMES, won_at=0.0, sent_at=0.0, ttl=3.0, has_no_holders=False)
        self.told: list[str] = []
        gateway: Any = self.members
        self.reign = Reign(
            self.clock,
            gateway,
            TIMES,
            self.tenure,
            self.clock.seconds,
            key="/flom/leader",
            halt="/flom/halt",
            value=b"mine",
            created=7,
            lease=12,
            on_change=lambda: self.told.append("paused" if self.reign.is_paused else "on"),
            on_kept=lambda: self.told.append("kept"),
            on_error=lambda error: self.told.append(str(error)) if error else None,
        )
        self.ended: Deferred[str] = Deferred.fromCoroutine(self.reign.run())

    def begin(self) -> None:
        """Stand in for a watch, which tells nothing."""

    def close(self) -> None:
        """Likewise."""

    def answer_read(self, value: bytes = b"mine", created: int = 7) -> None:
        found = (KeyValue("/flom/leader", value, created, created, 12),) if value else ()
        self.members.reads.pop(0).callback(Answer(9, True, (found,)))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_the_end_is_counted_from_when_a_keepalive_was_sent(scene: Scene) -> None:
    scene.clock.advance(0.6)
    first, second = scene.members.keepalives
    scene.clock.advance(0.5)
    second.callback(3)
    assert scene.tenure.ends_at == pytest.approx(0.6 + 2.4)
    first.callback(3)  # an older one, later
    assert scene.tenure.ends_at == pytest.approx(0.6 + 2.4)
    assert scene.told == ["kept", "kept"]


def test_the_next_keepalive_goes_elsewhere_if_the_last_is_not_answered(scene: Scene) -> None:
    assert scene.members.went_on == 0
    scene.clock.advance(0.6)
    assert scene.members.went_on == 1


def test_a_late_keepalive_counts_once_the_key_was_read(scene: Scene) -> None:
    for _ in range(5):
        scene.clock.advance(0.6)
    assert scene.told == ["paused"]
    scene.answer_read()  # the first one, of the beginning
    late = scene.members.keepalives[-1]
    late.callback(3)
    assert scene.tenure.ends_at == pytest.approx(2.4)
    scene.answer_read()
    assert scene.tenure.ends_at == pytest.approx(3.0 + 2.4)
    assert scene.told == ["paused", "on", "kept"]


def test_another_ones_key_ends_it(scene: Scene) -> None:
    scene.answer_read(b"other", 8)
    assert scene.ended.result == "another daemon leads"


def test_a_key_of_the_same_value_that_was_made_anew_is_not_ours(scene: Scene) -> None:
    scene.answer_read(created=8)
    assert scene.ended.result == "another daemon leads"


def test_a_lease_that_is_unknown_ends_it(scene: Scene) -> None:
    scene.members.keepalives[0].callback(0)
    assert scene.ended.result == "etcd has ended the lease"


def test_a_machine_that_slept_for_long_does_not_even_ask(scene: Scene) -> None:
    scene.clock.advance(60)
    assert scene.ended.result == "etcd has not confirmed the lease for 60.0 s"
    assert len(scene.members.keepalives) == 1


def test_doubt_ends_nothing_before_its_time(scene: Scene) -> None:
    scene.members.reads.pop().errback(Doubtful("h1: no leader"))
    scene.members.keepalives.pop().errback(Doubtful("h1: no leader"))
    assert scene.told == ["h1: no leader"] * 2
    assert not scene.ended.called
    scene.clock.advance(2.0)
    assert len(scene.members.reads) == 1  # again


def test_another_history_ends_it(scene: Scene) -> None:
    scene.members.reads.pop().errback(HistoryWentBack("etcd has gone back from revision 9 to 3"))
    failed: list[Any] = []
    scene.ended.addErrback(failed.append)
    assert failed[0].check(HistoryWentBack)
    assert scene.clock.getDelayedCalls() == []


def test_nothing_goes_on_after_the_end(scene: Scene) -> None:
    scene.reign.end("resigned")
    assert scene.ended.result == "resigned"
    assert scene.clock.getDelayedCalls() == []
    assert all(each.called for each in scene.members.keepalives)
    assert all(each.called for each in scene.members.reads)
    scene.reign.end("again")


def test_a_reign_that_is_cancelled_leaves_nothing(scene: Scene) -> None:
    scene.ended.cancel()
    scene.ended.addErrback(lambda _: None)
    assert scene.clock.getDelayedCalls() == []
