"""The offset of epochs, and the halt after etcd has gone back."""

from __future__ import annotations

import json

import pytest
import pytest_twisted

from flom.errors import HistoryWentBack
from flom.server.quorum import offset
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.offset import GAP, Halt, ensure_offset, halt, raise_epoch, read_bounds
from flom.server.quorum.wire import Denied, put
from tests.fakes.etcd import FakeEtcd

EPOCH, HALT = "/flom/epoch", "/flom/halt"


@pytest_twisted.ensureDeferred
async def test_the_first_one_puts_the_next_epoch_above_all_that_are_known(etcd: FakeEtcd, gateway: Gateway) -> None:
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=400)
    found = await read_bounds(gateway)
    assert found.epoch >= 500
    won = await gateway.transact([], [put("/flom/leader", b"1")])
    assert found.offset is not None
    assert won.revision + found.offset > 500
    await ensure_offset(gateway, seen=-1, known=7, clock_epoch=10_000)
    assert (await read_bounds(gateway)).offset == found.offset  # what is there is enough


@pytest_twisted.ensureDeferred
async def test_of_a_busy_etcd_it_is_negative(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.store.revision = 3_000_000_000
    await ensure_offset(gateway, seen=-1, known=-1, clock_epoch=200_000_000)
    assert (await read_bounds(gateway)).epoch in range(200_000_000, 200_000_010)


@pytest_twisted.ensureDeferred
async def test_a_host_that_knows_more_raises_it(etcd: FakeEtcd, gateway: Gateway) -> None:
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=0)
    await ensure_offset(gateway, seen=400, known=900, clock_epoch=0)
    assert (await read_bounds(gateway)).epoch >= 900


@pytest_twisted.ensureDeferred
async def test_what_was_seen_and_is_lower_or_has_gone_is_another_history(etcd: FakeEtcd, gateway: Gateway) -> None:
    with pytest.raises(HistoryWentBack, match="/flom/epoch has gone from etcd"):
        await ensure_offset(gateway, seen=7, known=-1, clock_epoch=0)
    await ensure_offset(gateway, seen=-1, known=-1, clock_epoch=500)
    with pytest.raises(HistoryWentBack, match=r"the next one would be 50\d, after 900"):
        await ensure_offset(gateway, seen=900, known=-1, clock_epoch=0)


@pytest_twisted.ensureDeferred
async def test_a_halt_ends_when_the_epoch_is_raised(etcd: FakeEtcd, gateway: Gateway) -> None:
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=0)
    await halt(gateway, 700, "why")
    await halt(gateway, 600, "another why")  # the higher one stays
    assert (await read_bounds(gateway)).halt == Halt(700, "why")
    await halt(gateway, 800, "a third")
    await ensure_offset(gateway, seen=900, known=2000, clock_epoch=0)  # it is not ended by chance
    assert (await read_bounds(gateway)).halt == Halt(800, "a third")
    assert await raise_epoch(gateway, 100) == 801
    found = await read_bounds(gateway)
    assert found.halt is None
    assert found.epoch >= 800
    assert await raise_epoch(gateway, 5000) == 5001
    assert (await read_bounds(gateway)).epoch >= 5000


@pytest_twisted.ensureDeferred
async def test_to_raise_it_again_raises_it_further(etcd: FakeEtcd, gateway: Gateway) -> None:
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=0)
    first = await raise_epoch(gateway)
    assert await raise_epoch(gateway) > first


@pytest.mark.parametrize(
    "value", [b"", b"7", b"{}", b'{"offset": "7"}', b'{"offset": 7.5}', b'{"offset": true}', b"[" * 9999]
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_offset_is_named_and_left_alone(etcd: FakeEtcd, gateway: Gateway, value: bytes) -> None:
    etcd.put(EPOCH, value)
    with pytest.raises(Denied, match=r"^/flom/epoch: .* is no offset of epochs$"):
        await ensure_offset(gateway, seen=-1, known=-1, clock_epoch=0)
    assert etcd.value(EPOCH) == value


@pytest_twisted.ensureDeferred
async def test_what_is_no_halt_halts_too(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.put(HALT, b"by hand")
    assert (await read_bounds(gateway)).halt == Halt(-1, "/flom/halt is by hand")
    etcd.put(HALT, json.dumps({"epoch": 7, "why": "a\nb"}).encode())
    assert (await read_bounds(gateway)).halt == Halt(7, "a\\nb")


async def win(gateway: Gateway) -> int:
    """Win as a daemon does; return its epoch."""
    found = await read_bounds(gateway)
    assert found.offset is not None
    won = await gateway.transact([], [put("/flom/leader", b"1"), put("/flom/last", b"1")])
    return won.revision + found.offset


@pytest_twisted.ensureDeferred
async def test_what_others_write_uses_up_no_epochs(etcd: FakeEtcd, gateway: Gateway) -> None:
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=0)
    first = await win(gateway)
    etcd.store.revision += 2 * GAP
    await ensure_offset(gateway, seen=first, known=500, clock_epoch=0)
    assert (await read_bounds(gateway)).epoch > 2 * GAP  # it is not lowered while a daemon leads
    etcd.delete("/flom/leader")
    await ensure_offset(gateway, seen=first, known=500, clock_epoch=0)
    found = await read_bounds(gateway)
    assert found.last_epoch == first
    assert first <= found.epoch < first + 10
    second = await win(gateway)
    assert first < second < first + 10
    assert (await read_bounds(gateway)).last_epoch == second
    etcd.delete("/flom/leader")
    etcd.store.revision += 2 * GAP
    await ensure_offset(gateway, seen=first, known=500, clock_epoch=0)  # by one that has not seen the second
    assert await win(gateway) in range(second + 1, second + 10)


@pytest_twisted.ensureDeferred
async def test_what_was_raised_on_purpose_is_not_lowered(etcd: FakeEtcd, gateway: Gateway) -> None:
    """Stores have seen such epochs, and no daemon knows of them."""
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=0)
    await win(gateway)
    etcd.delete("/flom/leader")
    await raise_epoch(gateway, 5 * GAP)
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=0)
    high = await win(gateway)
    assert 5 * GAP < high < 5 * GAP + 10
    etcd.delete("/flom/leader")
    etcd.store.revision += 2 * GAP
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=0)
    assert high < await win(gateway) < high + 10


@pytest_twisted.ensureDeferred
async def test_it_is_not_lowered_if_another_has_won_meanwhile(etcd: FakeEtcd, gateway: Gateway) -> None:
    """Also if that one has gone again."""
    await ensure_offset(gateway, seen=-1, known=500, clock_epoch=0)
    await win(gateway)
    etcd.delete("/flom/leader")
    etcd.store.revision += 2 * GAP
    found = await read_bounds(gateway)
    high = await win(gateway)
    etcd.delete("/flom/leader")
    assert not await offset._set(gateway, found, 500, 0, is_lower=True)
    await ensure_offset(gateway, seen=high, known=500, clock_epoch=0)
    assert await win(gateway) > high
