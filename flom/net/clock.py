"""The clocks of this machine."""

from __future__ import annotations

import time

from flom.core.effects import Instant


def system_instant() -> Instant:
    """Read the monotonic clock and the wall clock of this machine, both in seconds."""
    return Instant(time.monotonic(), time.time())


def local_strftime(format: str, wall: float) -> str:
    """Write C{wall}, seconds since the epoch, in the local time zone, as C's strftime does."""
    return time.strftime(format, time.localtime(wall))
