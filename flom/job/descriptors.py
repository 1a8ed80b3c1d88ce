"""The descriptors of a command under a lock (docs/compatibility.md, "Running the command")."""

from __future__ import annotations

import os


def inherited_descriptors() -> list[int]:
    """
    Return the open descriptors, 3 and above, that outlive an exec: those of this process that are for its command.

    To be called before anything else is opened.
    """
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:
            continue  # the one that listdir used
    return found
