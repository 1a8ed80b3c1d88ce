"""
Mixed load for as long as wanted: C{make soak MINUTES=60 SEED=7}.

Ends with 1 if two held what excludes each other, if a client was not served, if anything is left in the table or if the
daemon has grown, has logged a fault or has ended; or if a command was harmed whose daemon was killed and started anew,
or whose connection was reset.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import SystemRandom
from time import monotonic
from typing import Final

from tests.tools.soak.soak import Soak

ROUND: Final = 12.0
"""Seconds of mixed load in a round."""

IDLE: Final = 85.0
"""Seconds after which services like ours have been seen to have lost their waiters."""

MINUTES_FOR_IDLE: Final = 5.0
"""There is a long idle phase in each so many minutes."""


def main() -> int:
    """Return the status to exit with."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.soak", description="Mixed load for as long as wanted.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (1)")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(2**31), help="of all choices")
    arguments = parser.parse_args()
    began = monotonic()
    end = began + 60 * arguments.minutes
    idle_at = began + 30 * MINUTES_FOR_IDLE if arguments.minutes >= MINUTES_FOR_IDLE else float("inf")
    print(f"seed {arguments.seed}, {arguments.minutes:g} min", flush=True)
    with tempfile.TemporaryDirectory() as directory, Soak(Path(directory), arguments.seed) as soak:
        try:
            while (left := end - monotonic()) > 0 or not soak.samples:
                idle = 0.0
                if monotonic() >= idle_at:
                    idle, idle_at = IDLE, idle_at + 60 * MINUTES_FOR_IDLE
                soak.round(max(1.0, min(ROUND, left)), idle=idle)
                soak.outlive(max(1.0, min(ROUND, left)))
            soak.finish()
        except Exception as e:
            summarize(soak)
            print(f"WRONG after {monotonic() - began:.0f} s, with seed {arguments.seed}: {e!r}")
            return 1
        summarize(soak)
    print("all is well")
    return 0


def summarize(soak: Soak) -> None:
    """Print what was done, and the samples of memory."""
    for what, times in sorted(soak.did.items()):
        print(f"{times:>9} {what}")
    print(f"{soak.checked:>9} grants to clients that were checked")
    print(f"{soak.daemon.lines:>9} lines in the daemon's log")
    step = max(1, len(soak.samples) // 20)
    print("KiB of memory at rest after each round:", *soak.samples[:-1:step], *soak.samples[-1:])


if __name__ == "__main__":
    sys.exit(main())
