"""
A job of APScheduler that every host schedules, and one of them does.

The clocks of the hosts differ a little. So the host that has got the lock keeps it for C{CLOCKS} seconds at least: one
whose clock is slow must not come when the job is done already, and do it again.
"""

import asyncio
import socket
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

import flom.aio
from flom import LockBusy

CLOCKS = 2.0
"""Seconds by which two clocks may differ, and more than it takes to ask for the lock."""


async def nightly() -> None:
    try:
        async with flom.aio.lock("nightly", wait=False):
            print(f"{socket.gethostname()} does it", flush=True)
            await asyncio.gather(work(), asyncio.sleep(CLOCKS))
    except LockBusy:
        print(f"{socket.gethostname()} leaves it to another host", flush=True)


async def work() -> None:
    await asyncio.sleep(0.01)  # what is to be done


async def main(trigger: Any) -> None:
    scheduler = AsyncIOScheduler()
    scheduler.add_job(nightly, trigger)
    scheduler.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(CronTrigger(hour=3)))
