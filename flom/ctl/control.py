"""How a command under C{flom-run} asks it for something, by C{FLOM_CONTROL_FD}; see L{flom.run.control}."""

from __future__ import annotations

import array
import os
import socket
import stat

from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_VARIABLE: Final = "FLOM_CONTROL_FD"

_LONGEST: Final = 65_536  # bytes of an answer


class NoControl(Exception):
    """There is no C{flom-run} that could be asked; the text says why."""


def find_control() -> socket.socket:
    """Return the socket by which this command's C{flom-run} can be asked."""
    text = os.environ.get(_VARIABLE)
    if text is None:
        raise NoControl(f"there is no {_VARIABLE}: run this in a command under flom-run")
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
        raise NoControl(f"{_VARIABLE}={text} is not the descriptor of flom-run any more: {closed}") from None


def ask(control: socket.socket, question: str) -> tuple[str, str]:
    """Return the first word of the answer to C{question}, and the text after it."""
    ours, theirs = socket.socketpair()
    with control, ours:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))]
        try:
            control.sendmsg([f"{question}\n".encode("utf-8", "surrogateescape")], rights, socket.MSG_NOSIGNAL)
        except OSError as e:
            raise NoControl(f"flom-run has ended: {reason(e)}") from None
        theirs.close()
        answer = b""
        while not answer.endswith(b"\n") and (data := ours.recv(_LONGEST)):
            answer += data
        word, _, text = answer.decode("utf-8", "surrogateescape").rstrip("\n").partition(" ")
        return word, text or "flom-run gives no answer: it has ended"
