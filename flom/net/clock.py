"""The clocks of this machine."""

from __future__ import annotations

import time
from time import monotonic
from time import time as wall_clock

from flom.core.effects import Instant


def system_instant() -> Instant:
    """Read the monotonic clock and the wall clock of this machine, both in seconds."""
    return tuple.__new__(Instant, (monotonic(), wall_clock()))  # in half of the time of Instant()


def local_strftime(format: str, wall: float) -> str:
    """Write C{wall}, seconds since the epoch, in the local time zone, as C's strftime does."""
    return time.strftime(format, time.localtime(wall))
