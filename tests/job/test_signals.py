"""Which thread hears of a signal, and when: in a process of its own, whose signals are watched."""

from __future__ import annotations

import subprocess
import sys

SIGNALLED_EARLY = """
import os, signal, threading
from flom.job.signals import SignalWatch
watch = SignalWatch()
os.kill(os.getpid(), signal.SIGINT)
watch.start(lambda number, from_terminal: print(number == signal.SIGINT, threading.current_thread().name))
print("started")
"""


def test_a_signal_that_came_before_is_received_before_anything_is_begun() -> None:
    done = subprocess.run([sys.executable, "-c", SIGNALLED_EARLY], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("True MainThread\nstarted\n", "")
