"""What an Acquirer does at a daemon that a test plays; tests of flom.lock, flom-run and libflom do the rest."""

from __future__ import annotations

import site
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any
from unittest.mock import Mock

import pytest

import flom
from flom.client.blocking import launch
from flom.client.blocking.acquire import Acquirer, Hooks
from flom.client.blocking.connection import Conversation
from flom.client.blocking.dial import NoDaemon
from flom.client.blocking.launch import campaign_of, daemon_words
from flom.codes import Outcome, ReturnCode
from flom.config import Config
from flom.core.modes import EX
from flom.core.protocol.events import Granted, Refused
from flom.core.protocol.messages import Lock
from flom.errors import DaemonLost, DaemonUnreachable, FlomError, LockBusy, LockTimeout, RemoteProtocolError
from tests.fakes.peers import FakeDaemon

REQUEST = Lock("R", EX, 1, True, True, lifespan=2.0, peer_id="id")


class Heard(Hooks):
    """
    Notes what it is told.

    @ivar asked: the connections over which the lock was asked for.
    @ivar problem: raised when one is about to be.
    """

    def __init__(self) -> None:
        self.asked: list[Conversation] = []
        self.problem: FlomError | None = None

    def asks(self, conversation: Conversation) -> None:
        self.asked.append(conversation)
        if self.problem is not None:
            raise self.problem


class Taking:
    """An L{Acquirer} at work in a thread."""

    def __init__(self, path: str, pool: ThreadPoolExecutor) -> None:
        self.path = path
        self.hooks = Heard()
        self._pool = pool

    def acquirer(self, timeout: float | None = None, *, may_start: bool = False, **config: Any) -> Acquirer:
        return Acquirer(Config(socket_name=self.path, **config), self.hooks, timeout, may_start=may_start)

    def start(self, acquirer: Acquirer) -> Future[tuple[Conversation, Granted]]:
        return self._pool.submit(acquirer.acquire, REQUEST)


@pytest.fixture
def taking(tmp_path: Path) -> Iterator[Taking]:
    """Where C{fake} is, if the test has it."""
    with ThreadPoolExecutor(1) as pool:
        yield Taking(str(tmp_path / "fake.sock"), pool)


def test_the_connection_and_the_element_are_returned(taking: Taking, fake: FakeDaemon) -> None:
    taken = taking.start(taking.acquirer())
    conversation, asked = fake.accept()
    assert (asked.name, asked.mode, asked.wait, asked.lifespan) == ("R", EX, True, 2.0)
    conversation.answer(Outcome.GRANTED, element="red", token=2**62)
    connection, granted = taken.result()
    assert granted == Granted("red", 2**62)
    assert taking.hooks.asked == [connection]
    connection.close()


def test_a_refusal_closes_the_connection(taking: Taking, fake: FakeDaemon) -> None:
    taken = taking.start(taking.acquirer())
    conversation, _ = fake.accept()
    conversation.answer(Outcome.BUSY)
    with pytest.raises(LockBusy):
        taken.result()
    assert conversation.read() is None


def test_a_daemon_that_goes_without_a_word_is_asked_once_more(taking: Taking, fake: FakeDaemon) -> None:
    taken = taking.start(taking.acquirer())
    for _ in range(2):
        conversation, _ = fake.accept()
        conversation.close()
    with pytest.raises(DaemonLost):
        taken.result()
    assert len(taking.hooks.asked) == 2


def test_a_hook_can_keep_the_lock_from_being_asked_for(taking: Taking, fake: FakeDaemon) -> None:
    acquirer = taking.acquirer()
    taking.hooks.problem = FlomError("no")
    with pytest.raises(FlomError, match=r"^no$"):
        acquirer.acquire(REQUEST)
    acquirer.give_up()
    assert acquirer.conversation is not None
    assert acquirer.conversation.fileno() < 0


def test_the_timeout_ends_the_wait(taking: Taking, fake: FakeDaemon) -> None:
    began = monotonic()
    taken = taking.start(taking.acquirer(0.1))
    conversation, _ = fake.accept()
    conversation.answer(Outcome.QUEUED)
    with pytest.raises(LockTimeout):
        taken.result()
    assert 0.1 <= monotonic() - began < 5.0


def test_one_that_steps_out_leaves_the_queue_and_asks_anew(taking: Taking, fake: FakeDaemon) -> None:
    acquirer = taking.acquirer()
    acquirer.step_out()  # of no queue yet
    taken = taking.start(acquirer)
    for _ in range(3):
        conversation, _ = fake.accept()
        conversation.answer(Outcome.QUEUED)
        acquirer.step_out()
        assert conversation.read() is None
    conversation, _ = fake.accept()
    conversation.answer(Outcome.GRANTED)
    connection, _ = taken.result()
    acquirer.step_out()  # too late: the lock is there
    assert not connection.is_lost
    connection.close()


def test_what_is_granted_while_one_steps_out_is_given_back(
    taking: Taking, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquirer = taking.acquirer()
    lock = Conversation.lock

    def lock_and_step_out(self: Conversation, *arguments: Any) -> Granted | Refused:
        monkeypatch.setattr(Conversation, "lock", lock)
        decision = lock(self, *arguments)
        acquirer.step_out()
        return decision

    monkeypatch.setattr(Conversation, "lock", lock_and_step_out)
    taken = taking.start(acquirer)
    for color in "red", "green":
        conversation, _ = fake.accept()
        conversation.answer(Outcome.GRANTED, element=color)
    connection, granted = taken.result()
    assert granted.element == "green"
    connection.close()


def test_to_reclaim_is_not_to_wait_and_has_no_timeout(taking: Taking, fake: FakeDaemon) -> None:
    acquirer = taking.acquirer(0.1)
    taken = taking.start(acquirer)
    conversation, _ = fake.accept()
    conversation.answer(Outcome.GRANTED, token=7)
    taken.result()[0].close()
    reclaimed = taking._pool.submit(acquirer.reclaim, REQUEST)
    conversation, asked = fake.accept()
    assert (asked.wait, asked.create, asked.regains, asked.lifespan, asked.token) == (False, True, True, 2.0, 7)
    assert 0 < asked.holder < 2**32
    conversation.answer(Outcome.GRANTED)
    reclaimed.result().close()


def test_to_reclaim_is_to_get_the_same_element(taking: Taking, fake: FakeDaemon) -> None:
    acquirer = taking.acquirer()
    taken = taking.start(acquirer)
    fake.accept()[0].answer(Outcome.GRANTED, element="red")
    taken.result()[0].close()
    for element in "red", "red", "green":
        reclaimed = taking._pool.submit(acquirer.reclaim, REQUEST)
        conversation, asked = fake.accept()
        assert asked.element == "red"
        conversation.answer(Outcome.GRANTED, element=element)
        if element == "red":
            reclaimed.result().close()
    with pytest.raises(RemoteProtocolError, match="would grant 'green' in the place of 'red'"):
        reclaimed.result()
    assert conversation.read() is None


def test_without_a_daemon_it_says_so_if_none_may_be_started(taking: Taking) -> None:
    with pytest.raises(NoDaemon):
        taking.acquirer().acquire(REQUEST)


def test_a_lifespan_of_0_forbids_to_start_one(taking: Taking) -> None:
    with pytest.raises(DaemonUnreachable, match="no daemon is listening, and daemon-lifespan 0 forbids") as caught:
        taking.acquirer(may_start=True, lifespan_ms=0).acquire(REQUEST)
    assert caught.value.code == ReturnCode.CONNECT_ERROR


def test_starts_count_only_until_there_is_a_connection(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a group, a long job may see many daemons come and go."""
    granting = Mock(lock=Mock(return_value=Granted(None)))
    attempts = cycle([NoDaemon(ReturnCode.CONNECT_ERROR, "none"), granting])
    monkeypatch.setattr("flom.client.blocking.acquire.connect", Mock(side_effect=attempts))
    start_daemon = Mock()
    monkeypatch.setattr(launch, "start_daemon", start_daemon)
    acquirer = taking.acquirer(may_start=True)
    for _ in range(launch.MOST_STARTS + 1):
        acquirer.acquire(REQUEST)
    assert start_daemon.call_count == launch.MOST_STARTS + 1


# what a daemon is told that is started


def test_it_is_told_where_this_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundled application has a folder of its own that is called site-packages too."""
    spawn = Mock(side_effect=OSError)
    monkeypatch.setattr("os.posix_spawn", spawn)
    for package, is_told in [(str(tmp_path / "site-packages"), True), (site.getsitepackages()[0], False)]:
        monkeypatch.setattr(launch, "_PACKAGE", package)
        with pytest.raises(DaemonUnreachable):
            launch.Launch(Config(), [], [])
        _, _, environment = spawn.call_args.args
        assert environment.get("PYTHONPATH", "").startswith(package) == is_told


def test_a_daemon_is_told_what_it_wants_to_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(
        lifespan_ms=-1,
        socket_name="relative",
        keepalive_time=7,
        resource_name="R",
        timeout_ms=0,
        ignored_signals=(1,),
        command_trace_file="trace",
        daemon_trace_file="daemon.trace",
        verbose=True,
    )
    assert daemon_words(config, ["--inherit", "3"])[1:] == [
        str(Path(flom.__file__).parent / "daemon" / "__main__.py"),
        *("--daemon-lifespan", "-1"),
        *("--inherit", "3"),
        *("--daemon-trace-file", str(tmp_path / "daemon.trace")),
        *("--tcp-keepalive-time", "7"),
    ]


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        (Config(), 0.5),
        (Config(election_time_ms=2000), 2.0),
        (Config(discovery_attempts=4, discovery_timeout_ms=1000), 2.0),
        (Config(discovery_attempts=1000, discovery_timeout_ms=1000), 60.0),
    ],
)
def test_a_candidate_announces_itself_for_half_of_what_a_search_takes(config: Config, seconds: float) -> None:
    assert campaign_of(config) == seconds
