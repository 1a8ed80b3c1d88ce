"""The mark on disk: the next daemon waits for holders on other hosts if there may be some, and for nobody otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.logger import LogEvent

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Answer, Lock, Unlock
from flom.net import holding
from flom.server.holders import LOOK, HoldersService
from flom.server.limits import DEFAULT_LIMITS
from flom.server.mark import KEPT
from flom.server.snapshot import take_status
from flom.server.state import Epochs, StateDirectory
from tests.fakes.connections import MemoryClient, MemoryDaemon, TcpTransport, lock
from tests.fakes.logs import informed, warnings

TIMEOUT = DEFAULT_LIMITS.session_timeout
ELSEWHERE = "192.0.2.7"
HERE = "127.0.0.1"
MARK = "held-0.0.0.0-28015"


class Daemon(MemoryDaemon):
    """A daemon at one TCP address or more, whose clients are on other hosts unless something else is said."""

    def __init__(self, state: Path | None, *hosts: str, port: int = 28015) -> None:
        super().__init__()
        if state is not None:
            self.arbiter.epochs = Epochs(StateDirectory(str(state)))
        addresses = [IPv4Address("TCP", host, port) for host in hosts or ["0.0.0.0"]]
        self.service = HoldersService(self.clock, addresses, self.factory)
        self.service.privilegedStartService()
        self.service.startService()

    def kill(self) -> None:
        """End as SIGKILL does: descriptors are closed, and that is all."""
        for file in self.service._files:
            file.close(removes=True)  # but for what nobody has locked

    def stop(self) -> None:
        """End in good order."""
        mark = self.arbiter.mark
        assert mark is not None
        self.arbiter.close()
        self.factory.disconnect_all()
        self.service.stopService()
        assert mark._timer is None

    def ask(self, host: str = ELSEWHERE, name: str = "R", **wanted: Any) -> MemoryClient:
        """Return a client from C{host} that has asked for a lock, and waits for it if it must."""
        client = self.connect(host, TcpTransport)
        return client.send(encode(Lock(name, LockMode.EX, 1, wait=True, create=True, extended=True).replace(**wanted)))

    def reclaim(self, name: str = "R", **wanted: Any) -> MemoryClient:
        return self.ask(name=name, regains=True, wait=False, **wanted)

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([LOOK] * round(seconds / LOOK))


def codes(client: MemoryClient) -> list[int | None]:
    """Return what C{client} was answered since the last call."""
    return [answer.code for answer in client.received() if isinstance(answer, Answer)]


def says_waits(client: MemoryClient) -> bool:
    [answer] = client.received()
    assert isinstance(answer, Answer)
    return answer.terms.waits


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of /dev/shm."""
    path = tmp_path / "shm"
    path.mkdir()
    monkeypatch.setattr(holding, "PLACE", str(path))
    return path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(0o700)
    return path


def files(state: Path) -> list[str]:
    return sorted(name for name in os.listdir(state) if name != "epoch")


# when there is one


def test_there_is_one_while_a_client_of_another_host_holds(state: Path) -> None:
    daemon = Daemon(state)
    holder = daemon.ask()
    assert says_waits(holder)
    assert files(state) == [MARK]
    daemon.pass_time(60.0)
    assert files(state) == [MARK]
    holder.send(encode(Unlock("R")))
    daemon.pass_time(KEPT - 1.0)
    assert files(state) == [MARK]
    daemon.pass_time(7.0)
    assert files(state) == []


def test_clients_of_this_host_and_of_flom_leave_none(state: Path) -> None:
    daemon = Daemon(state)
    assert not says_waits(daemon.ask(HERE))
    assert codes(daemon.connect(ELSEWHERE, TcpTransport).send(lock("R2"))) == [0]
    assert codes(daemon.connect(HERE).send(lock("R3"))) == [0]
    assert files(state) == []


def test_a_look_takes_the_same_time_with_many_holders(state: Path) -> None:
    daemon = Daemon(state)
    clients = [daemon.ask(name=f"R{number}") for number in range(1200)]
    daemon.pass_time(20.0)
    for client in clients[:-1]:
        client.leave()
    daemon.pass_time(20.0)
    assert files(state) == [MARK]
    clients[-1].leave()
    daemon.pass_time(KEPT - 1.0)
    assert files(state) == [MARK]
    daemon.pass_time(7.0)
    assert files(state) == []


def test_a_waiter_leaves_none_before_it_is_granted_the_lock(state: Path) -> None:
    daemon = Daemon(state)
    holder, waiter = daemon.ask(HERE), daemon.ask()
    daemon.pass_time(0.1)
    assert says_waits(waiter)
    assert files(state) == []
    holder.send(encode(Unlock("R")))
    assert codes(waiter) == [0]
    assert files(state) == [MARK]


def test_a_busy_period_takes_one_write_whatever_is_granted(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    replace = StateDirectory.replace

    def note(state: StateDirectory, name: str, data: bytes) -> None:
        written.append(name)
        replace(state, name, data)

    monkeypatch.setattr(StateDirectory, "replace", note)
    daemon = Daemon(state)
    for _ in range(30):
        client = daemon.ask()
        daemon.pass_time(3.0)
        client.send(encode(Unlock("R")))
        client.leave()
    assert [name for name in written if name != "epoch"] == [MARK]


def test_who_may_come_back_counts_as_a_holder(state: Path) -> None:
    daemon = Daemon(state)
    daemon.ask().leave(ConnectionLost())
    daemon.pass_time(TIMEOUT - 0.1)
    daemon.kill()
    assert Daemon(state).arbiter.is_in_grace


def test_who_comes_back_to_what_was_granted_meanwhile_is_one(state: Path) -> None:
    daemon = Daemon(state)
    holder, waiter = daemon.ask(HERE), daemon.ask()
    daemon.pass_time(0.1)
    [answer] = waiter.received()
    assert isinstance(answer, Answer)
    waiter.leave(ConnectionLost())
    holder.send(encode(Unlock("R")))
    assert codes(daemon.ask(session=answer.session)) == [0]
    assert files(state) == [MARK]


def test_each_address_that_other_hosts_can_reach_has_one(state: Path) -> None:
    Daemon(state, "192.0.2.1", "127.0.0.1", "192.0.2.2").ask()
    assert files(state) == ["held-192.0.2.1-28015", "held-192.0.2.2-28015"]


def test_a_daemon_that_listens_on_loopback_alone_has_none(state: Path, log: list[LogEvent]) -> None:
    daemon = Daemon(None, "127.0.0.1")
    assert daemon.arbiter.mark is None
    assert not daemon.arbiter.is_in_grace
    assert informed(log) == []


# the next daemon


def test_after_a_daemon_that_was_killed_others_wait_for_the_holders(state: Path, log: list[LogEvent]) -> None:
    killed = Daemon(state)
    killed.ask()
    killed.kill()
    daemon = Daemon(state)
    other, holder = daemon.ask(HERE), daemon.reclaim(token=7)
    assert codes(holder) == [0]
    daemon.pass_time(TIMEOUT - 0.1)
    assert codes(other) == []
    daemon.pass_time(0.2)
    assert codes(other) == [1]
    assert [line for line in informed(log) if "grace" in line] == [
        "clients of other hosts held locks when the last daemon here ended: grace for 10 s",
        "grace is over: others are served now",
    ]
    holder.send(encode(Unlock("R")))
    assert codes(other) == [0]


def test_what_was_reclaimed_by_another_one_is_refused(state: Path) -> None:
    killed = Daemon(state)
    killed.ask()
    killed.kill()
    daemon = Daemon(state)
    assert codes(daemon.reclaim()) == [0]
    assert codes(daemon.reclaim()) == [4]


def test_who_comes_too_late_is_refused(state: Path) -> None:
    killed = Daemon(state)
    killed.ask()
    killed.kill()
    daemon = Daemon(state)
    other = daemon.ask(HERE)
    daemon.pass_time(TIMEOUT + 0.1)
    assert codes(other) == [0]
    assert codes(daemon.reclaim()) == [4]


def test_the_mark_of_a_daemon_that_was_killed_stands_until_nobody_holds(state: Path) -> None:
    """Also if its successor is killed, or ends in good order, before all had time to come."""
    killed = Daemon(state)
    killed.ask()
    killed.kill()
    for end in Daemon.kill, Daemon.stop:
        daemon = Daemon(state)
        assert daemon.arbiter.is_in_grace
        daemon.pass_time(TIMEOUT - 0.1)
        end(daemon)
    daemon = Daemon(state)
    daemon.pass_time(TIMEOUT + KEPT + 5.1)
    assert files(state) == []


def test_an_end_in_good_order_leaves_none_if_nobody_holds(state: Path, log: list[LogEvent]) -> None:
    daemon = Daemon(state)
    daemon.ask().send(encode(Unlock("R")))
    daemon.stop()
    assert files(state) == []
    daemon = Daemon(state)
    assert not daemon.arbiter.is_in_grace
    assert codes(daemon.ask()) == [0]
    assert informed(log) == warnings(log) == []


def test_an_end_in_good_order_leaves_the_mark_for_those_that_hold(state: Path) -> None:
    daemon = Daemon(state)
    daemon.ask()
    daemon.stop()
    daemon = Daemon(state)
    assert codes(daemon.reclaim()) == [0]


@pytest.mark.parametrize(
    ("former", "next_one", "waits"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "0.0.0.0", True),
        ("0.0.0.0", "192.0.2.1", True),
        ("::", "192.0.2.1", True),
    ],
)
def test_it_is_one_of_a_daemon_with_the_same_clients(state: Path, former: str, next_one: str, waits: bool) -> None:
    killed = Daemon(state, former)
    killed.ask()
    killed.kill()
    daemon = Daemon(state, next_one)
    assert daemon.arbiter.is_in_grace == waits
    assert not Daemon(state, next_one, port=28016).arbiter.is_in_grace
    daemon.pass_time(30.0)
    assert files(state) == ([] if waits else [f"held-{former}-28015"])


# where it cannot be made, or read


def test_a_directory_that_is_full_is_told_once_and_locks_are_granted(
    state: Path, monkeypatch: pytest.MonkeyPatch, log: list[LogEvent]
) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    daemon = Daemon(state)
    daemon.ask(HERE, "R0")  # which begins an epoch
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fill)
        clients = [daemon.ask(name=f"R{number}") for number in (1, 2)]
        assert [says_waits(client) for client in clients] == [False, False]
        daemon.pass_time(20.0)
    problem = f"{state}/{MARK}: no space left on device"
    assert take_status(daemon.arbiter, daemon.factory.counters).daemon.state_problem == problem
    assert warnings(log) == [
        f"{problem}: if this daemon is killed, the next one may not wait for clients of other hosts"
    ]
    daemon.pass_time(5.1)  # it has room again
    assert daemon.arbiter.state_problem == ""
    assert files(state) == [MARK]


def test_where_none_can_be_made_there_may_have_been_one(
    state: Path, monkeypatch: pytest.MonkeyPatch, log: list[LogEvent]
) -> None:
    def fail(path: str, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT and path.startswith(str(state)):
            raise OSError(30, "Read-only file system")
        return really_open(path, flags, *mode)

    really_open = os.open
    monkeypatch.setattr("flom.server.state.os.open", fail)
    daemon = Daemon(state)
    assert daemon.arbiter.is_in_grace
    assert (
        f"{state}: read-only file system: it is not known whether clients of other hosts hold locks: grace for 10 s"
        in informed(log)
    )
    assert daemon.arbiter.state_problem == f"{state}: read-only file system"


def test_a_mark_that_is_none_is_named_and_left_alone(state: Path, log: list[LogEvent]) -> None:
    (state / MARK).mkdir()
    daemon = Daemon(state)
    assert daemon.arbiter.is_in_grace
    assert informed(log) == [
        f"{state}/{MARK}: is a directory: it is not known whether clients of other hosts hold locks: grace for 10 s"
    ]
    assert codes(daemon.reclaim()) == [0]
    daemon.pass_time(30.0)
    assert (state / MARK).is_dir()
    assert daemon.arbiter.state_problem == f"{state}/{MARK}: is a directory"


# without a state directory


def test_without_a_directory_the_first_one_since_the_boot_waits(place: Path, log: list[LogEvent]) -> None:
    daemon = Daemon(None)
    assert daemon.arbiter.is_in_grace
    [line] = informed(log)
    assert line == (
        "no state directory (--state), and no daemon here since the boot: it is not known whether clients of other "
        "hosts hold locks: grace for 10 s"
    )
    daemon.pass_time(TIMEOUT - 0.1)
    daemon.kill()
    daemon = Daemon(None)
    assert daemon.arbiter.is_in_grace  # they had no time to come
    daemon.pass_time(TIMEOUT + KEPT + 5.1)
    daemon.stop()
    assert not Daemon(None).arbiter.is_in_grace
    assert Daemon(None, port=28016).arbiter.is_in_grace


def test_without_a_directory_it_is_known_since_the_boot(place: Path) -> None:
    daemon = Daemon(None)
    daemon.pass_time(TIMEOUT + KEPT + 5.1)
    assert says_waits(daemon.ask())
    daemon.kill()
    daemon = Daemon(None)
    assert codes(daemon.reclaim()) == [0]


def test_a_place_that_another_user_has_taken_is_of_no_use(place: Path, log: list[LogEvent]) -> None:
    (place / f"{holding.prefix()}marks-{os.geteuid()}").write_text("")
    for _ in range(2):
        daemon = Daemon(None)
        assert daemon.arbiter.is_in_grace
        assert not says_waits(daemon.reclaim())
