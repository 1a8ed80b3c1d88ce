"""The name of this process, by which C{pgrep} and C{ps} find it."""

from __future__ import annotations


def set_process_name(name: str) -> None:
    """Change it, as far as that is possible; the kernel keeps 15 bytes of C{name}."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(name)
    except OSError:
        pass
