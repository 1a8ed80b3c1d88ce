"""What this host knows of its processes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def outer_pids(pid: int) -> Iterator[int]:
    """Return each C{flom-run} that waits for the end of the process C{pid}, the innermost first."""
    found = parent(pid)
    while found > 1:
        if runs_a_command(found):
            yield found
        found = parent(found)


def parent(pid: int) -> int:
    """Return the parent of the process C{pid}; 0 if there is none, or it must not be seen."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            stat = file.read()
        return int(stat.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def runs_a_command(pid: int) -> bool:
    """Return whether the process C{pid} is a C{flom-run}, which holds its lock until its command ends."""
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:
            return file.read().startswith("flom")
    except OSError:
        return False
