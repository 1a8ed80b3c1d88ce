"""
All that grant locks grant, refuse, wait and forget alike: the arbiter in this process, the Twisted client over every
transport, the blocking client, the one for tasks of asyncio, and FLoM's library.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredList, FirstError, TimeoutError, fail
from zope.interface.verify import verifyObject

import flom
from flom.acquisition import Held
from flom.client import connect
from flom.core.modes import LockMode
from flom.errors import (
    CannotWait,
    InvalidName,
    InvalidRequest,
    LockBusy,
    LockDeadlock,
    LockImpossible,
    LockOverdue,
    LockTimeout,
    Misuse,
    ValueNotKept,
)
from flom.interfaces import IArbiter, IHeld
from flom.net.claim import claim_tcp, claim_unix
from flom.net.clock import system_instant
from flom.reactor.ports import ClaimedEndpoint
from flom.server.arbiter import DeferredArbiter
from flom.server.service import build_daemon
from flom.server.state import StateError
from tests.contract.clients import Blocking, FlomLibrary, Tasks
from tests.fakes.kept import MemoryStore

loop: Any = reactor

DEFERRED: Final = ("local", "unix", "tcp4", "tcp6")
"""The arbiters that provide L{IArbiter}."""

OURS: Final = (*DEFERRED, "blocking", "tasks")
"""The ones that refuse what makes no sense; FLoM's library makes something of it."""

ALL: Final = (*OURS, "flom")


@pytest_twisted.async_yield_fixture(params=ALL)
async def arbiter(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """An arbiter with nothing in it."""
    local = DeferredArbiter(loop, system_instant, store=SmallStore())
    path = str(tmp_path / "flom.sock")
    claims = [claim_unix(path, 0o600), claim_tcp("127.0.0.1", 0), claim_tcp("::1", 0)]
    ports = [claim.socket.getsockname()[1] for claim in claims[1:]]
    daemon = build_daemon(loop, local, [ClaimedEndpoint(loop, claim) for claim in claims])
    daemon.privilegedStartService()
    daemon.startService()
    endpoints = {"unix": f"unix:{path}", "tcp4": f"tcp:127.0.0.1:{ports[0]}", "tcp6": rf"tcp:\:\:1:{ports[1]}"}
    match request.param:
        case "local":
            yield local
        case "blocking":
            yield Blocking(path)
        case "tasks":
            tasks = Tasks(path)
            yield tasks
            tasks.close()
        case "flom":
            yield FlomLibrary(path)
        case transport:
            async with await connect(loop, endpoints[transport]) as client:
                yield client
    await daemon.stopService()


class SmallStore(MemoryStore):
    """Keeps all texts but one."""

    def write(self, key: str, text: str | None) -> Deferred[None]:
        return fail(StateError("no space left on device")) if "too much" in (text or "") else super().write(key, text)


ours = pytest.mark.parametrize("arbiter", OURS, indirect=True)
deferred = pytest.mark.parametrize("arbiter", DEFERRED, indirect=True)

Arbiter = Any  # an IArbiter; mypy-zope knows no parameter of a test as a provider


def turns_away(error: type[Exception]) -> Callable[[Deferred[Held]], Awaitable[None]]:
    """Check that what is waited for fails with C{error}."""

    async def check(waiting: Deferred[Held]) -> None:
        with pytest.raises(error):
            await waiting

    return check


@deferred
@pytest_twisted.ensureDeferred
async def test_it_keeps_the_contract(arbiter: Arbiter) -> None:
    assert verifyObject(IArbiter, arbiter)
    held = await arbiter.acquire("R1")
    assert verifyObject(IHeld, held)
    assert repr(held) == "<lock 'R1' EX, held>"
    await held.release()
    assert repr(held) == "<lock 'R1' EX, released>"


@pytest_twisted.ensureDeferred
async def test_readers_share_and_writers_wait(arbiter: Arbiter) -> None:
    readers = [await arbiter.acquire("R1", LockMode.PR) for _ in range(2)]
    writing = arbiter.acquire("R1", LockMode.EX)
    for reader in readers:
        assert not writing.called
        await reader.release()
    await (await writing).release()


@pytest_twisted.ensureDeferred
async def test_what_is_busy_can_be_declined(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1")
    await turns_away(LockBusy)(arbiter.acquire("R1", wait=False))
    await held.release()


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_is_refused(arbiter: Arbiter) -> None:
    await turns_away(LockImpossible)(arbiter.acquire("N[3]", quantity=4))
    await turns_away(CannotWait)(arbiter.acquire("R9", wait=False, create=False))
    await turns_away(InvalidName)(arbiter.acquire("no name"))


@ours
@pytest_twisted.ensureDeferred
async def test_what_makes_no_sense_is_refused(arbiter: Arbiter) -> None:
    await turns_away(InvalidRequest)(arbiter.acquire("N[3]", quantity=-1))
    await turns_away(InvalidRequest)(arbiter.acquire("R1", "XX"))
    await turns_away(InvalidRequest)(arbiter.acquire("R1", timeout=-1))
    await turns_away(InvalidRequest)(arbiter.acquire("R1", timeout="soon"))
    await turns_away(InvalidRequest)(arbiter.acquire("_t_%d[1]"))
    await (await arbiter.acquire("R1", wait=False)).release()


@pytest_twisted.ensureDeferred
async def test_a_mode_may_be_a_name_or_a_number(arbiter: Arbiter) -> None:
    readers = [await arbiter.acquire("R1", mode) for mode in ("PR", "pr", 3, LockMode.PR)]
    await turns_away(LockBusy)(arbiter.acquire("R1", "CW", wait=False))
    for reader in readers:
        await reader.release()


@pytest_twisted.ensureDeferred
async def test_what_was_released_cannot_be_released_again(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1")
    await held.release()
    next_one = await arbiter.acquire("R1")
    with pytest.raises(Misuse):
        await held.release()
    await turns_away(LockBusy)(arbiter.acquire("R1", wait=False))
    await next_one.release()


@pytest_twisted.ensureDeferred
async def test_units_add_up(arbiter: Arbiter) -> None:
    two = await arbiter.acquire("N[3]", quantity=2)
    await turns_away(LockBusy)(arbiter.acquire("N[3]", quantity=2, wait=False))
    one = await arbiter.acquire("N[3]", quantity=1)
    await two.release()
    await one.release()


@pytest_twisted.ensureDeferred
async def test_tokens_grow(arbiter: Arbiter) -> None:
    tokens: list[int] = []
    for name in ("R1", "red.green", "/a/b", "R1"):
        held = await arbiter.acquire(name)
        assert held.token
        tokens.append(held.token)
        await held.release()
    assert tokens == sorted(set(tokens))


@pytest_twisted.ensureDeferred
async def test_elements_are_told(arbiter: Arbiter) -> None:
    held = [await arbiter.acquire("red.green") for _ in range(2)]
    assert [one.element for one in held] == ["red", "green"]
    for one in held:
        await one.release()


@pytest_twisted.ensureDeferred
async def test_a_value_rolled_back_is_given_again(arbiter: Arbiter) -> None:
    elements = []
    for rollback in (True, False, False):
        held = await arbiter.acquire("_S_a[1]")
        elements.append(held.element)
        await held.release(rollback=rollback)
    assert elements == ["1", "1", "2"]


@pytest_twisted.ensureDeferred
async def test_an_ancestor_waits_for_its_descendants(arbiter: Arbiter) -> None:
    leaf = await arbiter.acquire("/a/b/c")
    root = arbiter.acquire("/a")
    await turns_away(LockBusy)(arbiter.acquire("/a/b", wait=False))
    await leaf.release()
    await (await root).release()


@pytest_twisted.ensureDeferred
async def test_a_request_that_may_not_create_waits_for_one_that_may(arbiter: Arbiter) -> None:
    waiting = arbiter.acquire("R1", create=False)
    creator = await arbiter.acquire("R1")
    assert not waiting.called
    await creator.release()
    await (await waiting).release()


@deferred
@pytest_twisted.ensureDeferred
async def test_cancelling_leaves_the_queue(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1")
    tired, patient = arbiter.acquire("R1"), arbiter.acquire("R1")
    tired.cancel()  # a client may be connecting still
    await turns_away(CancelledError)(tired)
    tired = arbiter.acquire("R1")
    await (await arbiter.acquire("R2")).release()  # by then the request before it has arrived
    tired.cancel()
    await turns_away(CancelledError)(tired)
    await held.release()
    await (await patient).release()


@deferred
@pytest_twisted.ensureDeferred
async def test_a_wait_may_be_timed_out_like_every_deferred(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1")
    with pytest.raises(TimeoutError):
        await arbiter.acquire("R1").addTimeout(0.05, loop)
    await held.release()
    await (await arbiter.acquire("R1", wait=False)).release()


@pytest_twisted.ensureDeferred
async def test_who_was_not_granted_it_in_time_leaves_the_queue(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1")
    await turns_away(LockTimeout)(arbiter.acquire("R1", timeout=0.05))
    await held.release()
    await (await arbiter.acquire("R1", wait=False)).release()


@pytest_twisted.ensureDeferred
async def test_no_time_to_wait_is_not_to_wait(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1")
    await turns_away(LockBusy)(arbiter.acquire("R1", timeout=0))
    await held.release()


@pytest_twisted.ensureDeferred
async def test_a_resource_is_remembered_for_its_lifespan(arbiter: Arbiter) -> None:
    for value in ("1", "2"):
        held = await arbiter.acquire("_s_a[1]", lifespan=60)
        assert held.element == value
        await held.release()


@pytest_twisted.ensureDeferred
async def test_a_timestamp_is_given_once(arbiter: Arbiter) -> None:
    given = []
    for _ in range(3):
        held = await arbiter.acquire("_t_%S#ffffff[2]")
        given.append(held.element)
        await held.release()
    assert len(set(given)) == 3


@ours
@pytest_twisted.ensureDeferred
async def test_several_locks_are_granted_at_once_or_not_at_all(arbiter: Arbiter) -> None:
    blocking = await arbiter.acquire("b[3]", quantity=2)
    wanted = ["a", flom.part("b[3]", quantity=2), flom.part("/c/d", "PR"), "red.green"]
    await turns_away(LockBusy)(arbiter.acquire_all(wanted, wait=False))
    waiting = arbiter.acquire_all(wanted, timeout=20)
    await (await arbiter.acquire("a", timeout=5)).release()  # it holds nothing while it waits
    await blocking.release()
    held = await waiting
    assert [(part.resource, part.element) for part in held.parts] == [
        ("a", None),
        ("b[3]", None),
        ("/c/d", None),
        ("red.green", "red"),
    ]
    assert [part.token for part in held.parts] == sorted({part.token for part in held.parts})
    await turns_away(LockBusy)(arbiter.acquire("a", wait=False))
    await held.release()
    await (await arbiter.acquire("a", wait=False)).release()


@ours
@pytest_twisted.ensureDeferred
async def test_a_holder_can_leave_a_value_for_the_next_one(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1", value=True)
    assert held.value == ""
    held.value = "tape 7"
    assert held.value == "tape 7"
    await held.release()
    for rollback in True, False:
        held = await arbiter.acquire("R1", "PW", value=True)
        assert held.value == "tape 7"
        held.value = "tape 8"
        await held.release(rollback=rollback)
    reader = await arbiter.acquire("R1", "PR", value=True)
    assert reader.value == "tape 8"
    with pytest.raises(InvalidRequest, match=r"^R1: the value can be set in mode EX or PW, not PR$"):
        reader.value = "tape 9"
    await reader.release()


@ours
@pytest_twisted.ensureDeferred
async def test_several_locks_that_cannot_be_leave_nothing(arbiter: Arbiter) -> None:
    await turns_away(LockImpossible)(arbiter.acquire_all(["a", flom.part("b[3]", quantity=4)]))
    await turns_away(CannotWait)(arbiter.acquire_all(["a", flom.part("c", create=False)], wait=False))
    await turns_away(InvalidRequest)(arbiter.acquire_all(["/a/b", "/a/c"]))
    held = await arbiter.acquire("a", wait=False)
    await turns_away(LockTimeout)(arbiter.acquire_all(["b", "a"], timeout=0.05))
    await (await arbiter.acquire("b", wait=False)).release()
    await held.release()


@ours
@pytest_twisted.ensureDeferred
async def test_a_value_is_a_short_text_that_was_asked_for(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1", value=True)
    for wrong in ("x" * 65, "a\0b", 7):
        with pytest.raises(InvalidRequest, match=r"^R1: value "):
            held.value = wrong
    await held.release()
    held = await arbiter.acquire("R1")
    with pytest.raises(Misuse, match=r"^R1: its value was not asked for, by value=True$"):
        held.value = "x"
    await held.release()
    await turns_away(InvalidRequest)(arbiter.acquire("N[3]", value=True))
    await turns_away(InvalidRequest)(arbiter.acquire("R1", value="x"))


@ours
@pytest_twisted.ensureDeferred
async def test_rollback_puts_all_numbers_back(arbiter: Arbiter) -> None:
    sequences = ["_S_a[1]", "_S_b[1]"]
    held = await arbiter.acquire_all(sequences)
    await held.release(rollback=True)
    held = await arbiter.acquire_all(sequences)
    assert [part.element for part in held.parts] == ["1", "1"]
    await held.release()


@ours
@pytest_twisted.ensureDeferred
async def test_a_value_that_is_not_kept_is_told_at_the_release(arbiter: Arbiter) -> None:
    """The lock is released all the same, and was not lost."""
    held = await arbiter.acquire("R1", value=True)
    held.value = "too much"
    with pytest.raises(ValueNotKept, match=r"^R1.*: no space left on device$"):
        await held.release()
    assert not getattr(held, "is_lost", False)
    await (await arbiter.acquire("R1", wait=False)).release()


# limits, and who stands in the way: of one lock, and of several at once

one_or_two = pytest.mark.parametrize("names", [["R1"], ["R2", "R1"]], ids=["one lock", "two locks"])


def take(arbiter: Arbiter, names: list[str], **wishes: Any) -> Any:
    """Ask for C{names}, all at once."""
    return arbiter.acquire_all(names, **wishes) if len(names) > 1 else arbiter.acquire(names[0], **wishes)


@ours
@one_or_two
@pytest_twisted.ensureDeferred
async def test_a_holder_learns_that_others_wait_because_of_it(arbiter: Arbiter, names: list[str]) -> None:
    held = await take(arbiter, names, wanted=True)
    waiting = arbiter.acquire("R1")
    await held.wanted
    await held.release()
    await (await waiting).release()


@ours
@one_or_two
@pytest_twisted.ensureDeferred
async def test_what_is_held_for_too_long_is_lost_and_kept_for_a_while(arbiter: Arbiter, names: list[str]) -> None:
    held = await take(arbiter, names, max_hold=0.05, lock_delay=60)
    why = await held.lost
    assert isinstance(why, LockOverdue)
    assert "it was held for longer than 0.05 s" in str(why)
    for name in names:
        await turns_away(LockBusy)(arbiter.acquire(name, wait=False))
    await turns_away(LockOverdue)(held.release())


@ours
@one_or_two
@pytest_twisted.ensureDeferred
async def test_a_limit_that_is_none_is_refused(arbiter: Arbiter, names: list[str]) -> None:
    for wrong in ({"max_hold": 0}, {"max_hold": "soon"}, {"lock_delay": -1}, {"wanted": "yes"}):
        await turns_away(InvalidRequest)(take(arbiter, names, **wrong))
    held = await take(arbiter, names, max_hold=60, lock_delay=0)
    await held.release()
    await (await arbiter.acquire("R1", wait=False)).release()


# conversions


@ours
@pytest_twisted.ensureDeferred
async def test_a_writer_that_converts_lets_readers_in(arbiter: Arbiter) -> None:
    writer = await arbiter.acquire("R1")
    reading = arbiter.acquire("R1", "PR")
    await writer.convert("PR")
    reader = await reading
    assert (writer.mode, reader.mode) == (LockMode.PR, LockMode.PR)
    for held in (writer, reader):
        await held.release()


@ours
@pytest_twisted.ensureDeferred
async def test_a_reader_that_converts_comes_before_all_that_wait(arbiter: Arbiter) -> None:
    readers = [await arbiter.acquire("R1", "PR") for _ in range(2)]
    writing, tokens = arbiter.acquire("R1"), [reader.token for reader in readers]
    converting = [reader.convert(LockMode.EX) for reader in readers]
    with pytest.raises(FirstError) as refused:  # the later one, whichever that is
        await DeferredList(converting, fireOnOneErrback=True, consumeErrors=True)
    assert isinstance(why := refused.value.subFailure.value, LockDeadlock)
    assert "which waits for R1 (EX); R1 (PR) is held by" in str(why)
    loser, winner = readers[refused.value.index], readers[1 - refused.value.index]
    assert not converting[1 - refused.value.index].called
    assert [reader.mode for reader in readers] == [LockMode.PR, LockMode.PR]
    await loser.release()
    await converting[1 - refused.value.index]
    assert winner.mode == LockMode.EX
    assert winner.token > max(tokens)
    assert not writing.called
    await winner.release()
    await (await writing).release()


@ours
@pytest_twisted.ensureDeferred
async def test_a_conversion_that_is_given_up_leaves_the_lock_as_it_was(arbiter: Arbiter) -> None:
    readers = [await arbiter.acquire("/r/1", "PR") for _ in range(2)]
    await turns_away(LockBusy)(readers[0].convert("EX", timeout=0))
    await turns_away(LockTimeout)(readers[0].convert("EX", timeout=0.001))
    assert readers[0].mode == LockMode.PR
    await readers[1].convert("CR")
    await readers[1].release()
    await readers[0].convert("EX", timeout=0)
    await readers[0].release()


@deferred
@pytest_twisted.ensureDeferred
async def test_a_conversion_may_be_cancelled_and_then_asked_for_anew(arbiter: Arbiter) -> None:
    readers = [await arbiter.acquire("R1", "PR") for _ in range(2)]
    cancelled = readers[0].convert("PW")
    await turns_away(Misuse)(readers[0].convert("EX"))
    cancelled.cancel()
    await turns_away(CancelledError)(cancelled)
    assert readers[0].mode == LockMode.PR
    await readers[1].release()
    await readers[0].convert("EX", timeout=0)
    await readers[0].release()


@ours
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_converted_is_refused(arbiter: Arbiter) -> None:
    units, held, other = [await arbiter.acquire(name) for name in ("N[3]", "R1", "R2")]
    await turns_away(InvalidRequest)(units.convert("PR"))
    await turns_away(InvalidRequest)(held.convert("XX"))
    await turns_away(InvalidRequest)(held.convert("PR", timeout="soon"))
    await held.convert("PR")
    beside = await arbiter.acquire("R1", "PR")
    converting = held.convert("EX")
    await held.release()
    await turns_away(Misuse)(converting)
    await turns_away(Misuse)(held.convert("PR"))
    for each in (units, other, beside):
        await each.release()


@ours
@pytest_twisted.ensureDeferred
async def test_a_value_is_set_in_the_mode_to_which_a_lock_was_converted(arbiter: Arbiter) -> None:
    held = await arbiter.acquire("R1", "PR", value=True)
    await held.convert("EX")
    held.value = "tape 7"
    await held.release()
    held = await arbiter.acquire("R1", value=True)
    assert held.value == "tape 7"
    await held.convert("PR")
    with pytest.raises(InvalidRequest, match=r"^R1: the value can be set in mode EX or PW, not PR$"):
        held.value = "tape 8"
    await held.release()


@ours
@pytest_twisted.ensureDeferred
async def test_one_of_several_locks_cannot_be_converted(arbiter: Arbiter) -> None:
    held = await arbiter.acquire_all(["a", "b"])
    with pytest.raises(InvalidRequest, match="a and b: a lock that was taken at once with others"):
        await held.convert("PR")
    assert not held.is_lost
    await held.release()
