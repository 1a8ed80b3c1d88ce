"""The descriptors of a command under a lock (docs/compatibility.md, "Running the command")."""

from __future__ import annotations

import os
import sys


def inherited_descriptors() -> list[int]:
    """Return the open descriptors, 3 and above, that outlive an exec; to be called before anything else is opened."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # the one that listdir used
    return found


def open_standard_streams() -> None:
    """Open what is closed of stdin, stdout and stderr on /dev/null, lest a descriptor of ours become the command's."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for good)
