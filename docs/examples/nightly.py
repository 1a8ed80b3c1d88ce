"""A Twisted program that uses locks. Usage: nightly.py ENDPOINT"""

import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from flom.client import LockTimeout, connect


async def nightly(reactor: Any, endpoint: str) -> None:
    async with await connect(reactor, endpoint) as locks:  # or group="ff02::1", or a Config
        async with locks.acquire("backup", mode="PR", timeout=30.0):
            print("others may read too")
        async with locks.acquire("red.green") as one, locks.acquire("red.green") as other:
            print(f"held at once: {one.element} and {other.element}")
            try:
                await locks.acquire("red.green", timeout=0.1)
            except LockTimeout as e:
                print(e)


react(lambda reactor: Deferred.fromCoroutine(nightly(reactor, sys.argv[1])))
