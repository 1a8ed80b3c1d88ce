"""The status to exit with after a command has ended (docs/compatibility.md, "Exit statuses")."""

from __future__ import annotations


def status_after(code: int) -> int:
    """
    Return the status of a command.

    @param code: what it has exited with, 0 to 255; or -N if signal N has ended it, as C{os.waitstatus_to_exitcode} and
        C{subprocess} spell it. That becomes 128 + N.
    """
    return code if code >= 0 else 128 - code
