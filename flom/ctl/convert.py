"""C{flomctl convert}: a command under C{flom-run} has its lock converted to another mode."""

from __future__ import annotations

import array
import os
import socket
import stat

from flom.codes import ExitStatus
from flom.ctl.output import print_error
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

_VARIABLE: Final = "FLOM_CONTROL_FD"

_STATUSES: Final = {"busy": ExitStatus.BUSY, "deadlock": ExitStatus.DEADLOCK}
"""What to exit with, by the first word of an answer; see L{flom.run.control}."""

_LONGEST: Final = 65_536  # bytes of an answer


def convert(arguments: Namespace) -> int:
    """Ask for the conversion, print the token of the lock, and return the status to exit with."""
    question = f"convert {arguments.mode}"
    if arguments.no_wait or arguments.wait is not None:
        question += " 0" if arguments.no_wait else f" {arguments.wait * 1000:.0f}ms"
    try:
        answer = _ask(_control(), question)
    except _NoControl as e:
        print_error(str(e))
        return ExitStatus.ERROR
    word, _, text = answer.partition(" ")
    if word == "converted":
        mode, _, token = text.partition(" ")
        print(token if token != "0" else mode)
        return ExitStatus.OK
    print_error(text or "flom-run gives no answer: it has ended")
    return _STATUSES.get(word, ExitStatus.ERROR)


class _NoControl(Exception):
    """There is no C{flom-run} that could be asked; the text says why."""


def _control() -> socket.socket:
    """Return the socket by which this command's C{flom-run} can be asked."""
    text = os.environ.get(_VARIABLE)
    if text is None:
        raise _NoControl(f"there is no {_VARIABLE}: run this in a command under flom-run")
    try:
        number = int(text)
        if number < 0 or not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise ValueError
        control = socket.socket(fileno=os.dup(number))
        if control.family != socket.AF_UNIX or control.type != socket.SOCK_STREAM or control.getpeername():
            raise ValueError
        return control
    except (ValueError, OverflowError, OSError):
        closed = "a program between them, such as Python's subprocess without pass_fds, has closed it"
        raise _NoControl(f"{_VARIABLE}={text} is not the descriptor of flom-run any more: {closed}") from None


def _ask(control: socket.socket, question: str) -> str:
    """Return the answer to C{question}; an empty one if there is none."""
    ours, theirs = socket.socketpair()
    with control, ours:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))]
        try:
            control.sendmsg([f"{question}\n".encode()], rights, socket.MSG_NOSIGNAL)
        except OSError as e:
            raise _NoControl(f"flom-run has ended: {reason(e)}") from None
        theirs.close()
        answer = b""
        while not answer.endswith(b"\n") and (data := ours.recv(_LONGEST)):
            answer += data
        return answer.decode("utf-8", "surrogateescape").rstrip("\n")
