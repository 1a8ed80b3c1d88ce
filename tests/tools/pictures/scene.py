"""A daemon in the middle of its work: locks of several types, some of them waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flom.client.blocking.status import open_status
from flom.config import Config
from tests.fakes.programs import Programs, eventually

HELD: Final = {
    "nightly-backup": ["-r", "backup"],
    "simulate": ["-r", "licences[5]", "-q", "4"],
    "monthly-report": ["-r", "reports", "-l", "PR"],
    "weekly-report": ["-r", "reports", "-l", "PR"],
    "migrate-users": ["-r", "/db/users"],
    "deploy-to": ["-r", "east.west"],
}
WAITING: Final = {
    "verify": ["-r", "backup", "-l", "PR"],
    "restore": ["-r", "backup"],
    "optimise": ["-r", "licences[5]", "-q", "2"],
    "new-figures": ["-r", "reports"],
    "vacuum": ["-r", "/db"],
}
"""Commands, and the locks that they want."""


@contextmanager
def crowd(sock: str, folder: Path) -> Iterator[None]:
    """
    Run the commands C{HELD}, which hold their locks, and those of C{WAITING}, which wait.

    @param sock: where the daemon listens.
    @param folder: an empty one, for the commands.
    """
    for name in HELD | WAITING:
        (folder / name).write_text("#!/bin/sh\necho held\nread line\n")
        (folder / name).chmod(0o755)
    with Programs() as programs:
        for name, words in HELD.items():
            assert programs.start("-s", sock, *words, "--", str(folder / name)).line() == "held"
        for name, words in WAITING.items():
            programs.start("-s", sock, *words, "--", str(folder / name))
        status = open_status(Config(socket_name=sock), print)
        eventually(lambda: sum(len(one.waiters) for one in status.read().resources) == len(WAITING), "that all wait")
        yield
