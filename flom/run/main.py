"""
The entry point of C{flom-run}, and of C{flom}, which is the same program under FLoM's name.

Signals are blocked before anything slow is imported, so that a Ctrl-C meanwhile is dealt with like any other.
"""

from __future__ import annotations

import gc
import os
import sys

from flom.job.descriptors import open_standard_streams
from flom.job.signals import SignalWatch


def main() -> None:
    """Run the program of this process's command line, and exit."""
    gc.disable()  # what is imported is there to stay, and most of us end before there is anything to collect
    watch = SignalWatch()
    open_standard_streams()

    from flom.run.program import run

    sys.exit(run(os.path.basename(sys.argv[0]), sys.argv[1:], watch))
