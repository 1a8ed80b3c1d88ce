"""C{flomctl convert}: a command under C{flom-run} has its lock converted to another mode."""

from __future__ import annotations

from flom.codes import ExitStatus
from flom.ctl.control import NoControl, ask, find_control
from flom.ctl.output import print_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

_STATUSES: Final = {"busy": ExitStatus.BUSY, "deadlock": ExitStatus.DEADLOCK}
"""What to exit with, by the first word of an answer; see L{flom.run.control}."""


def convert(arguments: Namespace) -> int:
    """Ask for the conversion, print the token of the lock, and return the status to exit with."""
    question = f"convert {arguments.mode}"
    if arguments.no_wait or arguments.wait is not None:
        question += " 0" if arguments.no_wait else f" {arguments.wait * 1000:.0f}ms"
    try:
        word, text = ask(find_control(), question)
    except NoControl as e:
        print_error(str(e))
        return ExitStatus.ERROR
    if word == "converted":
        mode, _, token = text.partition(" ")
        print(token if token != "0" else mode)
        return ExitStatus.OK
    print_error(text)
    return _STATUSES.get(word, ExitStatus.ERROR)
