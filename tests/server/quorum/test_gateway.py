"""Calls of etcd: what is certain, what is doubtful, and which member is asked."""

from __future__ import annotations

from time import monotonic

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogEvent, LogLevel, formatEvent

from flom.errors import HistoryWentBack
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.wire import Denied, Doubtful, NoLease, created_at, delete, put, read
from tests.fakes.etcd import FakeEtcd
from tests.server.quorum.conftest import MakeGateway

KEY = "/flom/leader"


@pytest_twisted.ensureDeferred
async def test_a_key_under_a_lease(etcd: FakeEtcd, gateway: Gateway) -> None:
    lease = await gateway.grant_lease(3)
    assert lease.ttl == 3
    won = await gateway.transact([created_at(KEY, 0)], [put(KEY, b"1", lease.id), read("/flom/epoch"), delete("/x")])
    assert won.has_succeeded
    assert won.found == ((), (), ())
    assert not (await gateway.transact([created_at(KEY, 0)], [put(KEY, b"2", lease.id)])).has_succeeded
    [[found]] = (await gateway.read(KEY)).found
    assert (found.key, found.value, found.created, found.lease) == (KEY, b"1", won.revision, lease.id)
    assert await gateway.keep_alive(lease.id) == 3
    assert await gateway.revoke(lease.id)
    assert (await gateway.read(KEY)).found == ((),)


@pytest_twisted.ensureDeferred
async def test_a_lease_that_has_ended(etcd: FakeEtcd, gateway: Gateway) -> None:
    lease = await gateway.grant_lease(2)
    etcd.end_leases()
    assert await gateway.keep_alive(lease.id) == 0
    assert not await gateway.revoke(lease.id)
    with pytest.raises(NoLease):
        await gateway.transact([], [put(KEY, b"1", lease.id)])
    assert etcd.value(KEY) is None


@pytest_twisted.ensureDeferred
async def test_the_time_of_the_lease_is_the_one_in_the_answer(etcd: FakeEtcd, gateway: Gateway) -> None:
    """With a long election time-out, etcd makes leases longer."""
    etcd.least_ttl = 8
    assert (await gateway.grant_lease(3)).ttl == 8


@pytest.mark.parametrize("fault", ["lose", "late", "refuse", "hang up", "nonsense"])
@pytest_twisted.ensureDeferred
async def test_after_doubt_the_next_member_is_asked(etcd: FakeEtcd, gateway: Gateway, fault: str) -> None:
    first, second, _ = etcd.address.endpoints
    etcd.members[0].fail("kv/txn", fault)
    with pytest.raises(Doubtful, match=first):
        await gateway.transact([], [put(KEY, b"1")])
    assert gateway.endpoint == second
    assert gateway.problems[first]
    assert ((await gateway.read(KEY)).found != ((),)) == (fault == "lose")
    etcd.carry_out()
    assert (etcd.value(KEY) is not None) == (fault in ("lose", "late"))


@pytest_twisted.ensureDeferred
async def test_a_member_that_hangs_is_left_in_time(etcd: FakeEtcd, make_gateway: MakeGateway) -> None:
    gateway = make_gateway(limit=0.2)
    etcd.members[0].is_hung = True
    began = monotonic()
    with pytest.raises(Doubtful, match=r"no answer within 0\.2 s"):
        await gateway.read(KEY)
    assert monotonic() - began < 1.5
    assert (await gateway.read(KEY)).found == ((),)


@pytest_twisted.ensureDeferred
async def test_a_member_that_is_not_there(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.members[0].close()
    with pytest.raises(Doubtful, match="Connection was refused"):
        await gateway.read(KEY)
    assert (await gateway.read(KEY)).found == ((),)


@pytest_twisted.ensureDeferred
async def test_a_member_without_a_leader_says_so_at_once_if_asked_to(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.members[0].is_cut_off = True
    with pytest.raises(Doubtful, match="no leader"):
        await gateway.keep_alive(1)
    assert etcd.members[0].headers[0]["Grpc-Metadata-Hasleader"] == "true"
    assert (await gateway.status(etcd.members[0].url)).version == "3.5.1"  # which it answers all the same


@pytest_twisted.ensureDeferred
async def test_one_connection_serves_one_call_after_the_other(etcd: FakeEtcd, gateway: Gateway) -> None:
    for _ in range(5):
        await gateway.read(KEY)
    assert len({headers["port"] for headers in etcd.members[0].headers}) == 1


@pytest_twisted.ensureDeferred
async def test_many_keys_are_read_in_pages_of_one_revision(
    etcd: FakeEtcd, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flom.server.quorum.gateway.PAGE", 2)
    for number in range(5):
        etcd.put(f"/flom/sequences/{number}", b"1")
    etcd.put("/flom/sequencesx", b"1")
    [found] = (await gateway.read_all("/flom/sequences/")).found
    assert [each.key for each in found] == [f"/flom/sequences/{number}" for number in range(5)]
    assert etcd.asked["kv/range"] == 3


@pytest_twisted.ensureDeferred
async def test_connections_leave_no_lines_in_the_log(etcd: FakeEtcd, gateway: Gateway, log: list[LogEvent]) -> None:
    await gateway.read(KEY)
    await gateway.close()
    assert [formatEvent(event) for event in log if event["log_level"] is not LogLevel.debug] == []


@pytest_twisted.ensureDeferred
async def test_a_member_that_does_not_end_tls_is_not_waited_for(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flom.server.quorum.gateway.CLOSE_LIMIT", 0.02)
    monkeypatch.setattr(gateway._pool, "closeCachedConnections", lambda: Deferred())
    await gateway.close()


# the history


@pytest_twisted.ensureDeferred
async def test_a_lower_revision_is_another_history(etcd: FakeEtcd, gateway: Gateway) -> None:
    backup = etcd.snapshot()
    etcd.put(KEY, b"1")
    await gateway.read(KEY)
    etcd.restore(backup)
    with pytest.raises(HistoryWentBack, match="from revision 2 to 1"):
        await gateway.read(KEY)
    assert await gateway.keep_alive(7) == 0  # a keepalive may be answered by a member that is behind
    gateway.forget_history()
    await gateway.read(KEY)


@pytest_twisted.ensureDeferred
async def test_another_cluster_is_another_history(etcd: FakeEtcd, gateway: Gateway) -> None:
    await gateway.read(KEY)
    etcd.cluster = 7
    with pytest.raises(HistoryWentBack, match="cluster was cdf818194e3a8c9, and is 7 now"):
        await gateway.read(KEY)


# users


@pytest_twisted.ensureDeferred
async def test_a_token_is_taken_and_taken_anew_when_a_member_has_forgotten_it(
    etcd: FakeEtcd, make_gateway: MakeGateway
) -> None:
    etcd.users["flom"] = "secret"
    gateway = make_gateway(user="flom", password="secret")
    await gateway.read(KEY)
    await gateway.read(KEY)
    assert etcd.asked["auth/authenticate"] == 1
    assert etcd.members[0].headers[-1]["Authorization"].startswith("token")  # bare, without a word before it
    etcd.forget_tokens()
    await gateway.read(KEY)
    assert etcd.asked["auth/authenticate"] == 2


@pytest_twisted.ensureDeferred
async def test_a_wrong_password_and_none(etcd: FakeEtcd, make_gateway: MakeGateway) -> None:
    etcd.users["flom"] = "secret"
    with pytest.raises(Denied, match=r"invalid user ID or password \(user 'flom'\)"):
        await make_gateway(user="flom", password="other").read(KEY)
    with pytest.raises(Denied, match="user name is empty"):
        await make_gateway().read(KEY)


@pytest_twisted.ensureDeferred
async def test_without_authentication_a_user_needs_no_token(etcd: FakeEtcd, make_gateway: MakeGateway) -> None:
    gateway = make_gateway(user="flom", password="secret")
    await gateway.read(KEY)
    await gateway.read(KEY)
    assert etcd.asked["auth/authenticate"] == 1
    etcd.users["flom"] = "secret"  # it is enabled
    await gateway.read(KEY)


@pytest_twisted.ensureDeferred
async def test_what_is_not_permitted_is_certain(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.forbidden = "/flom"
    with pytest.raises(Denied, match="permission denied"):
        await gateway.transact([], [put(KEY, b"1")])
    assert etcd.value(KEY) is None


@pytest_twisted.ensureDeferred
async def test_a_call_that_is_cancelled_is_not_taken_for_a_doubtful_one(etcd: FakeEtcd, gateway: Gateway) -> None:
    """Nor for a host whose name cannot be found, as Twisted says."""
    for member in etcd.members:
        member.is_hung = True
    asking = Deferred.fromCoroutine(gateway.keep_alive(1))
    asking.cancel()
    with pytest.raises(CancelledError):
        await asking
