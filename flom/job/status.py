"""The status to exit with after a command has ended (docs/compatibility.md, "Exit statuses")."""

from __future__ import annotations


def status_after(code: int) -> int:
    """Return the status of a command that has exited with C{code}; -N, for signal N as in C{subprocess}, is 128 + N."""
    return code if code >= 0 else 128 - code
