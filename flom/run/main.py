"""
The entry point of C{flom-run}, and of C{flom}, which is the same program under FLoM's name.

Signals are blocked before anything slow is imported, so that a Ctrl-C meanwhile is dealt with like any other.
"""

from __future__ import annotations

import gc
import os
import sys

from flom.job.descriptors import open_standard_streams
from flom.job.process_name import set_process_name
from flom.job.signals import SignalWatch
from flom.job.status import leave


def main() -> None:
    """Run the program of this process's command line, and exit."""
    gc.disable()  # what is imported is there to stay, and most of us end before there is anything to collect
    watch = SignalWatch()
    open_standard_streams()
    program = os.path.basename(sys.argv[0])
    set_process_name(program)  # the kernel would name it after Python

    from flom.run.program import run

    leave(run(program, sys.argv[1:], watch))  # all that was said is written, and Python's own end takes 10 ms
