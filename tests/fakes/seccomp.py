"""System calls that a program of a test does not have."""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import Final

_PIDFD_OPEN: Final = 434  # on every machine of ours
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2

_libc: Final = ctypes.CDLL(None, use_errno=True)


def forbid_pidfds() -> None:
    """Forbid pidfds to this process, and to those that it starts, as before Linux 5.3."""
    instructions = [
        (_LOAD, 0, 0, 0),  # the number of the call
        (_JUMP_IF_EQUAL, 0, 1, _PIDFD_OPEN),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in instructions))
    program = struct.pack("HP", len(instructions), ctypes.addressof(code))
    for arguments in ((_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, program, 0, 0)):
        if _libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "seccomp")
