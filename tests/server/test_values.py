"""What a daemon keeps of resources: it is durable before a release is confirmed, and refused where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import LogEvent

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode, split
from flom.core.protocol.messages import Answer, Lock, Message, Note, Told, Unlock, Unlocked, Wishes
from flom.errors import DaemonLost
from flom.server.arbiter import DeferredArbiter
from flom.server.state import StateError
from flom.server.store import NO_DIRECTORY, NO_QUORUM, Store
from tests.fakes.connections import MemoryClient, MemoryDaemon, TcpTransport
from tests.fakes.kept import MemoryStore
from tests.fakes.logs import warnings

ONCE = Wishes(value=True, key="")
DONE = Note(key="", period=3600.0, by="one")


class Client:
    """A client that wishes, at a daemon in memory."""

    def __init__(self, daemon: MemoryDaemon, **connection: Any) -> None:
        self.connection: MemoryClient = daemon.connect(**connection)

    def ask(self, name: str = "R1", mode: LockMode = LockMode.EX, wishes: Wishes = ONCE, **more: Any) -> Message:
        """Ask for a lock; return the last answer."""
        data, [following] = split(Lock(name, mode, 1, True, True, extended=2, wishes=wishes, **more))
        self.connection.send(data)
        assert self.connection.received()
        self.connection.send(encode(following))
        return self.heard()

    def heard(self) -> Message:
        """Return the last message that has come."""
        *_, message = self.connection.received()
        return message

    def release(self, note: Note | None = None, name: str = "R1") -> None:
        self.connection.send(encode(Unlock(name, note=note)))


def told(answer: Message) -> Told | None:
    assert isinstance(answer, Answer)
    assert answer.code == Outcome.GRANTED, answer
    return answer.told


def daemon_with(store: Store) -> MemoryDaemon:
    daemon = MemoryDaemon()
    daemon.arbiter.store = store
    return daemon


def test_a_job_that_was_finished_is_told_to_the_next_holder() -> None:
    daemon = daemon_with(MemoryStore())
    one, two = Client(daemon), Client(daemon)
    assert told(one.ask()) == Told()
    two.ask()
    daemon.clock.advance(5)
    one.release(DONE)
    assert one.heard() == Unlocked(kept=True)
    assert told(two.heard()) == Told("", 0.0, "one")
    two.release()
    assert two.heard() == Unlocked()
    daemon.clock.advance(60)
    assert told(two.ask()) == Told("", 60.0, "one")


def test_each_job_has_its_own_key_and_each_resource_its_own_jobs() -> None:
    daemon = daemon_with(MemoryStore())
    client = Client(daemon)
    client.ask(wishes=Wishes(key="monday"))
    client.release(Note(key="monday", by="one"))
    assert client.heard() == Unlocked(kept=True)
    assert told(client.ask(wishes=Wishes(key="tuesday"))) == Told()
    client.release()
    client.heard()
    assert told(client.ask(wishes=Wishes(key="monday"))) == Told("", 0.0, "one")
    assert told(Client(daemon).ask("R2", wishes=Wishes(key="monday"))) == Told()


def test_the_lock_is_released_when_it_is_durable_and_not_before() -> None:
    store = MemoryStore(is_slow=True)
    daemon = daemon_with(store)
    one, two = Client(daemon), Client(daemon)
    one.ask()
    two.ask()
    one.release(Note("tape7"))
    assert store.undone == [("value R1", '{"value": "tape7", "done": []}')]
    assert one.connection.received() == two.connection.received() == []
    store.finish()
    assert one.heard() == Unlocked(kept=True)
    assert told(two.heard()) == Told("tape7")


def test_a_lock_whose_note_cannot_be_kept_is_released_and_why_is_told(log: list[LogEvent]) -> None:
    store = MemoryStore(is_slow=True)
    daemon = daemon_with(store)
    client = Client(daemon)
    client.ask()
    client.release(DONE)
    store.fail(StateError("/state: no space left on device"))
    assert client.heard() == Unlocked(why="/state: no space left on device")
    assert daemon.arbiter.held == 0
    assert warnings(log) == ["R1: what is to be kept is not durable: /state: no space left on device"]
    assert told(client.ask()) == Told("", 0.0, "one"), "this daemon knows it"


def test_a_client_that_leaves_while_its_note_is_written_has_done_its_job() -> None:
    store = MemoryStore(is_slow=True)
    daemon = daemon_with(store)
    one, two = Client(daemon), Client(daemon)
    one.ask()
    two.ask()
    one.release(DONE)
    one.connection.leave()
    assert told(two.heard()) == Told("", 0.0, "one")
    store.finish()


def test_a_client_whose_connection_breaks_meanwhile_says_it_again() -> None:
    store = MemoryStore(is_slow=True)
    daemon = daemon_with(store)
    one = Client(daemon, kind=TcpTransport)
    granted = one.ask()
    assert isinstance(granted, Answer)
    one.release(DONE)
    one.connection.leave(ConnectionResetError())
    store.finish()
    assert daemon.arbiter.held == 1
    again = Client(daemon, kind=TcpTransport)
    again.ask(session=granted.session, regains=True, token=granted.token, proof=granted.proof)
    again.release(DONE)
    store.finish()
    assert again.heard() == Unlocked(kept=True)
    assert daemon.arbiter.held == 0


@pytest.mark.parametrize("mode", [LockMode.NL, LockMode.CR, LockMode.CW, LockMode.PR])
def test_a_value_can_be_read_in_all_modes_and_set_in_two(mode: LockMode) -> None:
    daemon = daemon_with(MemoryStore({"value R1": '{"value": "tape7", "done": []}'}))
    client = Client(daemon)
    assert told(client.ask(mode=mode, wishes=Wishes(value=True))) == Told("tape7")
    client.release(Note("tape8"))
    assert client.heard() == Unlocked(why=f"the value can be set in mode EX or PW, not {mode.name}")
    client.ask(mode=LockMode.PW)
    client.release(Note("tape9"))
    assert client.heard() == Unlocked(kept=True)
    assert told(client.ask(mode=mode)) == Told("tape9")


def test_nodes_of_a_hierarchy_have_values_of_their_own() -> None:
    daemon = daemon_with(MemoryStore())
    client = Client(daemon)
    client.ask("/a/b")
    client.release(Note("x"), "/a/b")
    client.heard()
    assert told(client.ask("/a")) == Told()
    client.release(None, "/a")
    client.heard()
    assert told(client.ask("/a/b")) == Told("x")


def test_the_next_daemon_has_what_the_one_before_has_kept() -> None:
    texts: dict[str, str] = {"hold x": "another's"}
    client = Client(daemon_with(MemoryStore(texts)))
    client.ask()
    client.release(DONE.replace(value="tape7"))
    client.heard()
    next_one = daemon_with(MemoryStore(texts))
    next_one.clock.advance(7)
    assert told(Client(next_one).ask()) == Told("tape7", 7.0, "one")


def test_a_daemon_that_leads_again_reads_what_others_have_kept_meanwhile() -> None:
    daemon = daemon_with(MemoryStore())
    client = Client(daemon)
    assert told(client.ask()) == Told()
    client.release()
    client.heard()
    daemon.arbiter.store = MemoryStore({"value R1": '{"value": "tape7", "done": []}'})
    assert told(client.ask()) == Told("tape7")


@pytest.mark.parametrize("why_not", [NO_DIRECTORY, NO_QUORUM])
@pytest.mark.parametrize("wishes", [ONCE, Wishes(value=True), Wishes(key="monday")])
def test_where_nothing_can_be_kept_nothing_is_locked(why_not: str, wishes: Wishes) -> None:
    daemon = daemon_with(Store(why_not))
    client = Client(daemon)
    answer = client.ask(wishes=wishes)
    assert isinstance(answer, Answer)
    assert (answer.code, answer.why) == (Outcome.IMPOSSIBLE, f"the daemon keeps nothing beyond its end: {why_not}")
    assert daemon.arbiter.held == 0
    assert told(client.ask(wishes=Wishes(max_hold=60.0))) is None, "what is no matter of the store is granted"


def test_a_note_that_comes_without_a_wish_is_kept_or_why_not_is_told() -> None:
    """After a restart, the daemon that gets it may be another one than the daemon that has promised to keep it."""
    daemon = daemon_with(Store(NO_DIRECTORY))
    client = Client(daemon)
    client.ask(wishes=Wishes(max_hold=60.0))
    client.release(DONE)
    assert client.heard() == Unlocked(why=f"the daemon keeps nothing beyond its end: {NO_DIRECTORY}")


@pytest.mark.parametrize("name", ["N[3]", "red.green", "_s_q[2]"])
def test_resources_without_modes_have_nothing(name: str) -> None:
    client = Client(daemon_with(MemoryStore()))
    answer = client.ask(name)
    assert isinstance(answer, Answer)
    assert answer.code == Outcome.IMPOSSIBLE
    assert answer.why.startswith("nothing is kept of a resource that is ")


def test_a_resource_with_too_many_keys_is_refused_before_it_is_locked() -> None:
    done = ",".join(f'["{number}", 1000.0, 3600.0, "one"]' for number in range(64))
    daemon = daemon_with(MemoryStore({"value R1": f'{{"value": "", "done": [{done}]}}'}))
    daemon.clock.advance(1000)
    answer = Client(daemon).ask(wishes=Wishes(key="another"))
    assert isinstance(answer, Answer)
    assert answer.why == "it has 64 keys within their periods already; others need another resource"
    assert told(Client(daemon).ask(wishes=Wishes(key="7"))) == Told("", 0.0, "one")


def test_a_resource_too_many_is_refused_to_a_job_and_not_to_a_reader() -> None:
    daemon = daemon_with(MemoryStore({f"value A{number}": '{"value": "x", "done": []}' for number in range(1000)}))
    answer = Client(daemon).ask("R1", wishes=Wishes(key=""))
    assert isinstance(answer, Answer)
    assert answer.why == "something is kept of 1000 resources already; flomctl value shows them"
    client = Client(daemon)
    assert told(client.ask("R1", wishes=Wishes(value=True))) == Told()
    client.release(Note("x"))
    assert client.heard() == Unlocked(why="something is kept of 1000 resources already; flomctl value shows them")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"value": 7, "done": []}', '{"value": "x"}', '{"value": "", "done": [[]]}']
)
def test_what_no_daemon_has_written_is_not_guessed_at(log: list[LogEvent], text: str) -> None:
    daemon = daemon_with(MemoryStore({"value R1": text}))
    answer = Client(daemon).ask("R2")
    assert isinstance(answer, Answer)
    assert answer.why.endswith("what is kept of R1 is nothing that a daemon has written")
    assert warnings(log) == ["what is kept of R1 is nothing that a daemon has written"]


def test_a_host_may_be_called_anything() -> None:
    client = Client(daemon_with(MemoryStore()))
    client.ask()
    client.release(Note(key="", by="a\nb" + "&" * 50))
    client.heard()
    answered = told(client.ask())
    assert answered is not None
    assert answered.by == "a b" + "&" * 50


def test_all_that_is_kept_can_be_seen() -> None:
    arbiter = DeferredArbiter(MemoryDaemon().clock, store=MemoryStore({"value R1": '{"value": "x", "done": []}'}))
    assert [(name, kept.value) for name, kept in arbiter.values.view().items()] == [("R1", "x")]


def test_the_end_of_a_leader_is_a_reason_too(log: list[LogEvent]) -> None:
    store = MemoryStore(is_slow=True)
    daemon = daemon_with(store)
    client = Client(daemon)
    client.ask()
    client.release(DONE)
    store.fail(DaemonLost("another daemon leads"))
    assert client.heard() == Unlocked(why="another daemon leads")
    assert warnings(log) == ["R1: what is to be kept is not durable: another daemon leads"]
