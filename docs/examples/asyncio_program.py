"""A program of asyncio: some tasks share one client, and take turns. Usage: asyncio_program.py ENDPOINT"""

import asyncio
import sys
from typing import Any

import twisted.internet
from twisted.internet import asyncioreactor

from flom.client import connect, holding


def twisted_reactor() -> Any:
    """Return Twisted's reactor on the running loop; without the second step, it would look up no host name."""
    asyncioreactor.install(asyncio.get_running_loop())
    reactor: Any = twisted.internet.reactor
    reactor.startRunning(installSignalHandlers=False)
    return reactor


async def main(endpoint: str) -> None:
    loop, reactor = asyncio.get_running_loop(), twisted_reactor()
    locks = await connect(reactor, endpoint).asFuture(loop)

    async def work(number: int) -> None:
        async with holding(locks.acquire("backup", timeout=30)):
            print(f"task {number} begins")
            await asyncio.sleep(0.01)
            print(f"task {number} ends")

    await asyncio.gather(*(work(number) for number in range(3)))
    await locks.close().asFuture(loop)
    reactor.fireSystemEvent("shutdown")  # or else its threads, which look up host names, go on for ever


asyncio.run(main(sys.argv[1]))
