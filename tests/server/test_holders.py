"""The grace period of a daemon that starts where another one was cut short."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.logger import LogEvent

from flom.core.proofs import ProofKey
from flom.core.protocol.messages import Answer
from flom.net import holding
from flom.net.holders import new_start
from flom.net.holding import Holding
from flom.server.holders import LOOK, MOST_SWEPT, TOUCH, WATCH, HoldersService
from flom.server.limits import Limits
from flom.server.options import ServerOptions
from flom.server.proofs import Proofs
from tests.fakes.connections import MemoryClient, MemoryDaemon, first, lock
from tests.fakes.logs import informed, warnings
from tests.fakes.programs import eventually

EXTENDED = lock().replace(b'step="8"', b'step="8" extended="1"')
RECLAIM = EXTENDED.replace(b" lifespan", b' regains="1" lifespan')


class Scene:
    """
    Daemons at one path, each of them in memory.

    @ivar path: of the socket, which is a plain file.
    """

    def __init__(self, path: Path) -> None:
        path.touch(0o777)
        self.path = path

    def daemon(self, seconds: float = 10.0, proofs: Proofs | None = None) -> tuple[MemoryDaemon, HoldersService]:
        daemon = MemoryDaemon(ServerOptions(limits=Limits(session_timeout=seconds)), proofs)
        service = HoldersService(daemon.clock, [UNIXAddress(bytes(self.path))], daemon.factory)
        service.privilegedStartService()
        service.startService()
        return daemon, service

    def files(self) -> list[str]:
        return sorted(each.name for each in self.path.parent.iterdir() if each != self.path)

    def kill(self, service: HoldersService) -> None:
        """End C{service} as SIGKILL does: its descriptors are closed, and that is all."""
        for file in service._files:
            file.close(removes=False)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "s")


def holding_of(scene: Scene, client: MemoryClient) -> Holding:
    """Lock the file that the daemon has told C{client}."""
    [answer] = client.received()
    assert isinstance(answer, Answer)
    return Holding(f"{scene.path}.holders-{answer.start}")


def test_a_client_is_told_the_file_and_one_of_floms_is_not(scene: Scene) -> None:
    daemon, service = scene.daemon()
    [answer] = daemon.connect().send(EXTENDED).received()
    assert isinstance(answer, Answer)
    assert scene.files() == [f"s.holders-{answer.start}"]
    [elsewhere] = daemon.connect("192.0.2.7").send(EXTENDED.replace(b"UjE=", b"UjI=")).received()
    assert isinstance(elsewhere, Answer)
    assert not elsewhere.start
    assert daemon.connect().send(lock("R3")).received() == [first(0)]  # of FLoM's
    daemon.factory.connected.clear()
    service.stopService()
    assert scene.files() == []


def test_a_file_that_is_in_use_for_days_never_looks_old(scene: Scene) -> None:
    """Or else what cleans /tmp would remove it, and the next daemon would not know of holders."""
    daemon, service = scene.daemon()
    [name] = scene.files()
    file = scene.path.parent / name
    for _ in range(2):
        os.utime(file, (0, 0))
        daemon.clock.advance(TOUCH)
        assert file.stat().st_mtime > 0
    service.stopService()
    assert daemon.clock.getDelayedCalls() == []


def test_a_file_that_is_removed_is_made_anew(scene: Scene, log: list[LogEvent]) -> None:
    killed, former = scene.daemon()
    [name] = scene.files()
    held = holding_of(scene, killed.connect().send(EXTENDED))
    (scene.path.parent / name).unlink()
    killed.clock.advance(WATCH)
    assert scene.files() == [name]
    assert warnings(log) == [f"{scene.path.parent / name} was removed: made anew"]
    scene.kill(former)
    daemon, _ = scene.daemon()
    assert daemon.arbiter.is_in_grace
    held.release()

    def is_over() -> bool:
        daemon.clock.advance(LOOK)
        return not daemon.arbiter.is_in_grace

    eventually(is_over, "the end of the grace period")


def test_where_it_cannot_be_made_anew_it_says_so_once(scene: Scene, log: list[LogEvent]) -> None:
    daemon, service = scene.daemon()
    [name] = scene.files()
    file = scene.path.parent / name
    file.unlink()
    file.mkdir()
    daemon.clock.pump([WATCH] * 2)
    unknown = "file exists: if this daemon is killed, the next one does not know who holds a lock"
    assert warnings(log) == [f"{file}: {unknown}"]
    file.rmdir()
    daemon.clock.advance(WATCH)
    assert warnings(log)[1:] == [f"{file} was removed: made anew"]
    service.stopService()


def test_where_no_process_can_stand_in_it_says_so(
    scene: Scene, log: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("flom.net.stand_in.StandIn", fail)
    daemon, service = scene.daemon()
    [name] = scene.files()
    held = holding_of(scene, daemon.connect().send(EXTENDED))
    (scene.path.parent / name).unlink()
    daemon.clock.pump([WATCH] * 2)
    assert scene.files() == [name]
    [warning] = warnings(log)
    assert warning.endswith("if this daemon is killed, the next one does not know who holds a lock by now")
    held.release()
    service.stopService()


def test_a_start_where_nobody_holds_waits_for_nothing(scene: Scene) -> None:
    _, former = scene.daemon()
    scene.kill(former)
    daemon, service = scene.daemon()
    assert len(scene.files()) == 1
    assert not daemon.arbiter.is_in_grace
    assert service._timer is None
    assert daemon.connect().send(RECLAIM).received()[0].code == 4  # type: ignore[union-attr]


def test_others_are_served_when_the_holder_has_come(scene: Scene, log: list[LogEvent]) -> None:
    killed, former = scene.daemon()
    held = holding_of(scene, killed.connect().send(EXTENDED))
    scene.kill(former)
    daemon, _ = scene.daemon()
    other = daemon.connect().send(EXTENDED)
    daemon.clock.advance(5.0)
    assert other.received() == []
    holder = daemon.connect().send(RECLAIM)
    again = holding_of(scene, holder)
    daemon.clock.advance(LOOK)
    assert other.received() == []  # until the holder has left the file of the first
    held.release()
    daemon.clock.advance(LOOK)
    assert [answer.code for answer in other.received()] == [1]  # type: ignore[union-attr]
    assert len(scene.files()) == 1
    assert informed(log) == [
        "holders of the last daemon are expected back: grace for 10 s",
        "R1 (EX) is reclaimed by 127.0.0.1:40000, unproven",
        "all holders of the last daemon have come back, or are gone",
    ]
    again.release()


KEY = ProofKey(b"the key of some daemons", "/run/flom.sock")


def test_after_a_daemon_with_our_key_reclaims_have_to_be_proven(scene: Scene) -> None:
    killed, former = scene.daemon(proofs=Proofs(KEY))
    held = holding_of(scene, killed.connect().send(EXTENDED))
    scene.kill(former)
    daemon, _ = scene.daemon(proofs=Proofs(KEY))
    assert daemon.connect().send(RECLAIM).received()[0].code == 4  # type: ignore[union-attr]
    held.release()


@pytest.mark.parametrize("key", [None, ProofKey(b"another key", "")])
def test_after_a_daemon_of_another_key_they_are_believed(scene: Scene, key: ProofKey | None) -> None:
    """Also if one of ours has been there before that, and some of its holders have not come yet."""
    holdings = []
    for proofs in (Proofs(KEY), Proofs(key)):
        killed, former = scene.daemon(proofs=proofs)
        killed.arbiter.end_grace()
        holdings.append(holding_of(scene, killed.connect().send(EXTENDED.replace(b"UjE=", b"UjI="))))
        scene.kill(former)
        killed.arbiter.close()
    daemon, _ = scene.daemon(proofs=Proofs(KEY))
    assert daemon.connect().send(RECLAIM).received()[0].code == 0  # type: ignore[union-attr]
    for held in holdings:
        held.release()


def test_a_file_of_another_key_that_nobody_holds_does_not_count(scene: Scene) -> None:
    killed, former = scene.daemon(proofs=Proofs(KEY))
    held = holding_of(scene, killed.connect().send(EXTENDED))
    scene.kill(former)
    (scene.path.parent / "s.holders-0123456789abcdef").touch()
    daemon, _ = scene.daemon(proofs=Proofs(KEY))
    assert daemon.connect().send(RECLAIM).received()[0].code == 4  # type: ignore[union-attr]
    held.release()


def test_a_holder_that_has_ended_is_not_waited_for(scene: Scene) -> None:
    killed, former = scene.daemon()
    held = holding_of(scene, killed.connect().send(EXTENDED))
    scene.kill(former)
    daemon, _ = scene.daemon()
    other = daemon.connect().send(EXTENDED)
    held.close()
    daemon.clock.advance(LOOK)
    assert [answer.code for answer in other.received()] == [0]  # type: ignore[union-attr]


def test_a_holder_that_does_not_come_is_waited_for_so_long(scene: Scene, log: list[LogEvent]) -> None:
    killed, former = scene.daemon()
    held = holding_of(scene, killed.connect().send(EXTENDED))
    scene.kill(former)
    daemon, service = scene.daemon(seconds=3.0)
    other = daemon.connect().send(EXTENDED)
    daemon.clock.pump([LOOK] * int(2.99 / LOOK))
    assert other.received() == []
    daemon.clock.pump([LOOK] * 2)
    assert [answer.code for answer in other.received()] == [0]  # type: ignore[union-attr]
    assert warnings(log) == ["not all holders of the last daemon have come back: others are served now"]
    assert daemon.connect().send(RECLAIM).received()[0].code == 4  # type: ignore[union-attr]
    assert service._timer is None
    held.release()


def test_the_end_of_a_daemon_leaves_the_file_to_its_holders(scene: Scene) -> None:
    daemon, service = scene.daemon()
    held = holding_of(scene, daemon.connect().send(EXTENDED))
    service.stopService()
    assert len(scene.files()) == 1
    held.release()


def test_where_no_file_can_be_made_it_says_so(
    scene: Scene, log: list[LogEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("flom.server.holders.HoldersFile", fail)
    scene.daemon()
    assert "read-only file system: if this daemon is killed" in warnings(log)[0]


@pytest.mark.parametrize(("socket", "file"), [(0o777, 0o644), (0o660, 0o640), (0o600, 0o600)])
def test_clients_that_can_connect_can_read_the_file(scene: Scene, socket: int, file: int) -> None:
    scene.path.chmod(socket)
    scene.daemon()
    assert (scene.path.parent / scene.files()[0]).stat().st_mode & 0o777 == file


def test_old_files_of_daemons_at_other_addresses_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of network namespaces that have gone, for example. Who has locked one keeps it."""
    monkeypatch.setattr(holding, "PLACE", str(tmp_path))
    old = [tmp_path / f"flom-6edd000000000000-127.0.0.1-{port}.holders-{new_start()}" for port in range(MOST_SWEPT + 1)]
    for file in old:
        file.touch()
        os.utime(file, (0, 0))
    held = Holding(str(old[7]))
    daemon = MemoryDaemon()
    service = HoldersService(daemon.clock, [IPv4Address("TCP", "127.0.0.1", 28015)], daemon.factory)
    service.startService()
    daemon.clock.advance(WATCH)
    assert sum(file.exists() for file in old) in (1, 2)  # a few at a time, of which the locked one may be one
    daemon.clock.advance(WATCH)
    assert [file for file in old if file.exists()] == [old[7]]
    held.release()
    service.stopService()
    assert os.listdir(tmp_path) == [old[7].name]
