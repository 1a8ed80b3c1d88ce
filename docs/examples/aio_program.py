"""A program on asyncio: tasks take turns, and one gives up. Usage: aio_program.py SOCKET"""

import asyncio
import sys

import flom.aio

locks = flom.aio.Client(socket=sys.argv[1])  # without arguments, it is where flom-run finds it


async def work(number: int) -> None:
    async with locks.lock("backup", timeout=30):
        print(f"task {number} begins")
        await asyncio.sleep(0.01)
        print(f"task {number} ends")


@locks.lock("report")
async def report() -> str:
    return "one report at a time"


async def main() -> None:
    await asyncio.gather(*(work(number) for number in range(3)))
    async with locks.lock("red.green") as one, locks.lock("red.green") as other:
        print(f"held at once: {sorted(str(held.element) for held in (one, other))}")
        try:
            async with locks.lock("red.green", timeout=0.1):
                pass
        except TimeoutError as e:
            print(e)
    print(await report())


asyncio.run(main())
