"""
Locks for programs on asyncio::

    import flom.aio

    async with flom.aio.lock("backup", timeout=5) as held:
        ...

It needs the package greenlet, which the extra C{aio} installs.
"""

from __future__ import annotations

try:
    from flom.client.tasks.lock import Client, Held, Lock, lock, lock_all
except ModuleNotFoundError as e:
    if e.name != "greenlet":
        raise
    from flom.text import missing_extra

    raise ModuleNotFoundError(f"flom.aio {missing_extra(e)}", name=e.name) from None

__all__ = ["Client", "Held", "Lock", "lock", "lock_all"]
