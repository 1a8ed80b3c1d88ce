"""Locks in tasks of asyncio over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

import flom.aio
from flom.errors import LockBusy, LockTimeout, TlsError
from tests.fakes.authority import Files
from tests.fakes.peers import PATIENCE
from tests.scenarios.tls.test_blocking import config
from tests.scenarios.tls.test_blocking import lenient as lenient
from tests.scenarios.tls.test_flom_run import Place


@pytest.mark.parametrize("transport", ["UNIX", "127.0.0.1"])
def test_it_is_taken_waited_for_and_given_back(lenient: Place, good: Files, version: int, transport: str) -> None:
    where: dict[str, Any] = {"config": config(good)}
    where |= {"socket": lenient.path} if transport == "UNIX" else {"address": transport, "port": lenient.port}
    locks = flom.aio.Client(**where)

    async def main() -> None:
        async with locks.lock("R") as held:
            assert not held.is_lost
            with pytest.raises(LockBusy):
                await locks.lock("R", wait=False).acquire()
            with pytest.raises(LockTimeout):
                await locks.lock("R", timeout=0.05).acquire()
            waiting = asyncio.create_task(locks.lock("R").acquire())
            cancelled = asyncio.create_task(locks.lock("R").acquire())
            await asyncio.sleep(0.05)
            cancelled.cancel()
        await (await waiting).release()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_who_is_not_trusted_is_told_why(lenient: Place, files: Mapping[str, Files]) -> None:
    stranger = flom.aio.lock("R", config=config(files["trusting another authority"]), socket=lenient.path)
    with pytest.raises(TlsError, match="does not come from the authority"):
        asyncio.run(stranger.acquire())
