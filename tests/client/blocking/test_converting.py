"""The mode of a lock that is held changes, with a daemon that a test plays; tests/ctl/test_convert.py has real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from flom.client.blocking.acquire import Acquirer, Hooks
from flom.client.blocking.connection import Conversation
from flom.client.blocking.converting import Conversions
from flom.codes import Outcome
from flom.config import Config
from flom.core.modes import CR, EX, PR, LockMode
from flom.core.protocol.messages import Answer, Convert, ConvertAnswer, Lock
from flom.core.requests import AskedToConvert
from flom.errors import LockBusy, LockDeadlock, Unsupported
from flom.lean import start_thread
from tests.fakes.peers import FakeDaemon, SocketConversation
from tests.fakes.programs import eventually

TO_EX, TO_PR = AskedToConvert(EX, True, None), AskedToConvert(PR, True, None)


class Scene:
    """A lock of R1 in PR, by token 5, and the daemon's end of its connection."""

    def __init__(self, fake: FakeDaemon, path: Path, *, converts: bool = True) -> None:
        config = Config(socket_name=str(path), lifespan_ms=0)
        self.message = Lock("R1", PR, wait=True, create=True)
        accepted: list[SocketConversation] = []

        def grant() -> None:
            daemon, _ = fake.accept()
            daemon.say(Answer(16, 0, None, "0" * 32, extended=True, token=5, proof="5" * 32, converts=converts))
            accepted.append(daemon)

        start_thread(grant)
        self.acquirer = Acquirer(config, Hooks(), None, may_start=False)
        self.conversation, _ = self.acquirer.acquire(self.message)
        eventually(lambda: bool(accepted), "the daemon's end")
        [self.daemon] = accepted
        self.conversions = Conversions(self.acquirer, self.message)

    def answer(self, code: int, mode: LockMode, number: int, token: int = 0) -> None:
        """Send an answer of the daemon."""
        self.daemon.say(ConvertAnswer(16, code, mode, number, token, f"{token:x}" * 32 if token else ""))

    def read(self, conversation: Conversation) -> bool:
        return not conversation.is_lost


@pytest.fixture
def scene(fake: FakeDaemon, tmp_path: Path) -> Scene:
    return Scene(fake, tmp_path / "fake.sock")


def wait_until_decided(scene: Scene) -> None:
    eventually(lambda: scene.read(scene.conversation) and not scene.conversions.is_waiting, "the decision")


def test_a_conversion_that_is_granted_is_what_is_reclaimed(scene: Scene) -> None:
    scene.conversions.ask(scene.conversation, TO_EX)
    assert scene.daemon.read() == Convert("R1", EX, True, 1)
    scene.answer(Outcome.QUEUED, EX, 1)
    assert scene.read(scene.conversation)
    assert scene.conversions.message.mode == PR, "which is held in either case"
    scene.answer(Outcome.GRANTED, EX, 1, 7)
    wait_until_decided(scene)
    held = scene.conversions
    assert (held.mode, held.token, held.message.mode, held.refusal) == (EX, 7, EX, None)
    assert (scene.acquirer.granted.token, scene.acquirer.granted.proof) == (7, "7" * 32)


@pytest.mark.parametrize(("outcome", "error"), [(Outcome.BUSY, LockBusy), (Outcome.DEADLOCK, LockDeadlock)])
def test_one_that_is_refused_leaves_the_lock_as_it_was(scene: Scene, outcome: Outcome, error: type[Exception]) -> None:
    scene.conversions.ask(scene.conversation, TO_EX)
    scene.answer(outcome, EX, 1)
    wait_until_decided(scene)
    assert isinstance(scene.conversions.refusal, error)
    assert (scene.conversions.mode, scene.conversions.message.mode, scene.acquirer.granted.token) == (PR, PR, 5)


def test_while_it_is_not_decided_the_lesser_mode_is_reclaimed(scene: Scene) -> None:
    scene.conversions.ask(scene.conversation, AskedToConvert(CR, True, None))
    assert scene.conversions.message.mode == CR
    scene.answer(Outcome.GRANTED, CR, 1, 5)
    wait_until_decided(scene)
    assert (scene.conversions.mode, scene.conversions.message.mode) == (CR, CR)


def test_one_that_is_withdrawn_may_have_been_granted_before(scene: Scene) -> None:
    scene.conversions.ask(scene.conversation, TO_EX)
    scene.conversions.stay(scene.conversation)
    assert [scene.daemon.read(), scene.daemon.read()] == [Convert("R1", EX, True, 1), Convert("R1", PR, True, 2)]
    scene.answer(Outcome.GRANTED, EX, 1, 7)
    scene.answer(Outcome.GRANTED, PR, 2, 7)
    eventually(lambda: scene.read(scene.conversation) and scene.acquirer.granted.token == 7, "both answers")
    held = scene.conversions
    assert (held.mode, held.message.mode, held.token, held.is_waiting) == (PR, PR, 7, False)


def test_it_is_asked_for_once_more_by_another_connection(scene: Scene) -> None:
    scene.conversions.ask(scene.conversation, TO_EX)
    assert scene.daemon.read() == Convert("R1", EX, True, 1)
    scene.conversions.resume(scene.conversation)
    assert scene.daemon.read() == Convert("R1", EX, True, 2)
    scene.answer(Outcome.GRANTED, EX, 2, 7)
    wait_until_decided(scene)
    scene.conversions.resume(scene.conversation)
    assert scene.daemon.is_open()


def test_a_daemon_that_knows_nothing_of_it_is_not_asked(fake: FakeDaemon, tmp_path: Path) -> None:
    scene = Scene(fake, tmp_path / "fake.sock", converts=False)
    scene.conversions.ask(scene.conversation, TO_EX)
    assert isinstance(scene.conversions.refusal, Unsupported)
    assert scene.daemon.is_open()
