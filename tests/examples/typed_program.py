"""What type checkers say of user programs; test_types.py has them read this, and nothing runs it."""

from __future__ import annotations

from collections.abc import Awaitable

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from typing_extensions import assert_type

import flom
from flom import DaemonLost, DaemonUnreachable, FlomError, LockBusy, LockTimeout, lock
from flom.client import Child, Config, Held, IReactor, LockMode, RemoteArbiter, connect
from flom.client.blocking.lock import BlockingLock
from flom.client.blocking.lock import Held as BlockingHeld
from flom.fencing import Fence
from flom.server import PRIVATE, ClaimedEndpoint, DeferredArbiter, build_daemon, claim_unix


def script(config: Config) -> None:
    with lock("backup", "PR", timeout=5) as held:
        assert_type(held, BlockingHeld)
        assert_type(held.element, str | None)
        assert_type(held.token, int | None)
        assert_type(held.lost, DaemonLost | None)
        if held.token is not None:
            Fence("/srv/backup.fence").check(held.token)
    assert_type(lock("backup", LockMode.PR, config=config), BlockingLock)
    lock("backup", 5)
    lock("backup", mode="XX")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    lock("backup", timeout="5 s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@lock("nightly")
def nightly(depth: int) -> str:
    return "*" * depth


def errors() -> None:
    assert_type(nightly(3), str)
    nightly("3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    try:
        lock("backup", timeout=5).acquire()
    except TimeoutError as e:
        assert_type(e, TimeoutError)
    except FlomError as e:
        assert_type(e.resource, str | None)
    late: TimeoutError = LockTimeout("late")
    found: list[OSError] = [late]
    kinds: list[type[OSError]] = [LockBusy, DaemonUnreachable, DaemonLost]
    assert found
    assert kinds


async def on_twisted(reactor: IReactor) -> None:
    locks = await connect(reactor, "unix:/run/flom.sock")
    assert_type(locks, RemoteArbiter)
    async with locks.acquire("backup", mode="PR", timeout=30.0) as held:
        assert_type(held, Held)
        assert_type(held.lost, Deferred[FlomError])
    child = await locks.spawn("backup", ["nightly-backup"])
    assert_type(child, Child)
    locks.acquire("backup", "pr")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def on_asyncio() -> None:
    locks = flom.aio.Client(address="lockhost", start=False)
    async with locks.lock("backup", "PR", timeout=5) as held:
        assert_type(held, flom.aio.Held)
        assert_type(held.element, str | None)
        assert_type(held.lost, DaemonLost | None)
        assert_type(await held.until_lost(), DaemonLost | None)
    assert_type(await flom.aio.lock("backup").acquire(), flom.aio.Held)
    assert_type(await doubled(2), int)
    await doubled("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    locks.lock("backup", "XX")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@flom.aio.lock("doubling")
async def doubled(number: int) -> int:
    return 2 * number


def embedded(reactor: IReactor) -> None:
    claimed = ClaimedEndpoint(reactor, claim_unix("/run/shop.sock", PRIVATE))
    build_daemon(reactor, DeferredArbiter(reactor), [claimed, serverFromString(reactor, "tcp:28015")])
    build_daemon(reactor, DeferredArbiter(reactor), ["tcp:28015"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]


def version() -> Awaitable[None] | None:
    assert_type(flom.__version__, str)
    assert_type(flom.FLOM_RC_OK, int)
    return None
