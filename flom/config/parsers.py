"""
What the texts of options and files mean (docs/compatibility.md, "Values of options", "Syntax of files").

Every reader raises L{ValueError} for a text that is no value, or a L{ConfigError} that says more; L{OSError}, if the
text names a file that cannot be used; L{Ignored}, if it is a value that nothing can be done with, and FLoM goes on
without it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from typing import Final

from flom.codes import ReturnCode
from flom.core.modes import LockMode
from flom.core.names import DEFAULT_NAME, parse_name
from flom.errors import ConfigError, InvalidName
from flom.text import reason

MAX_SOCKET_NAME: Final = 107
"""Bytes of the longest path of a UNIX socket."""

_SIGNALS: Final = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)

SIGNAL_NAMES: Final = [f"SIG{name}" for name in _SIGNALS.split()]
"""The names of the signals from 1 on, as on Linux on most machines (docs/compatibility.md, "Values of options")."""


class Ignored(Exception):
    """
    A value has no effect, or a part of it; the text tells the user why.

    @ivar rest: the value without that part; C{None} if nothing is left.
    """

    def __init__(self, why: str, rest: object = None) -> None:
        super().__init__(why)
        self.rest = rest


def read_bool(text: str) -> bool:
    """Find a yes or a no in C{text}, as FLoM does (docs/compatibility.md, "Values of options")."""
    lowered = text.lower()
    for word, value in (("no", False), ("yes", True), ("n", False), ("y", True)):
        if word in lowered:
            return value
    raise ValueError(text)


def read_mode(text: str) -> LockMode:
    """
    Find a lock mode in C{text}, as FLoM does: the first of these that occurs
    (docs/compatibility.md, "Values of options").
    """
    lowered = text.lower()
    for long, mode in (
        ("nulllock", LockMode.NL),
        ("concurrentread", LockMode.CR),
        ("concurrentwrite", LockMode.CW),
        ("protectedwrite", LockMode.PW),
        ("protectedread", LockMode.PR),
        ("exclusive", LockMode.EX),
    ):
        if long in lowered or mode.name.lower() in lowered:
            return mode
    raise ValueError(text)


def read_c_int(text: str) -> int:
    """
    Read an integer of an option (docs/compatibility.md, "Parsing of options"): see L{read_c_number}; it must fit in 32
    bits.
    """
    return _in_32_bits(read_c_number(text))


def read_c_number(text: str) -> int:
    """Read an integer as C's strtol does with base 0: C{0x} is hexadecimal, a leading 0 octal."""
    match = re.fullmatch(r"[ \t\n\v\f\r]*([+-]?)(0[xX])?([0-9a-fA-F]+)", text)
    if match is None:
        raise ValueError(text)
    sign, hexadecimal, digits = match.groups()
    base = 16 if hexadecimal else 8 if digits.startswith("0") else 10
    return int(f"{sign}{digits}", base)


def read_decimal(text: str) -> int:
    """Read an integer of a file: decimal only (docs/compatibility.md, "Groups and keys")."""
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
        raise ValueError(text)
    return _in_32_bits(int(text))


def read_name(text: str) -> str:
    """Check the name of a resource: it must be one, and not the reserved one."""
    try:
        parse_name(text)
        if text != DEFAULT_NAME:
            return text
        why = f"ERROR: '{text}' is a reserved resource name and can not be set by user"
    except InvalidName:
        why = f"ERROR: '{text}' is not a valid name for a resource"
    line = f"flom_config_set_resource_name: ret_cod={ReturnCode.INVALID_RESOURCE_NAME} ({why})"
    raise ConfigError(line, on_stdout=[why])


def read_signals(text: str) -> tuple[int, ...]:
    """
    Read signals, separated by C{;}: numbers, of which the leading digits suffice, or L{SIGNAL_NAMES}
    (docs/compatibility.md, "Values of options").

    @raise Ignored: some are neither.
    """
    words = [word for word in text.split(";") if word]
    signals = {word: _signal(word) for word in words}
    found = tuple(number for number in signals.values() if number)
    if bad := [word for word in words if not signals[word]]:
        raise Ignored(f"ignore-signal: '{bad[0]}' is no signal; --signal-list lists them", found or None)
    return found


def _signal(word: str) -> int | None:
    digits = re.match("[0-9]+", word)
    if digits and 1 <= int(digits[0]) <= len(SIGNAL_NAMES):
        return int(digits[0])
    return SIGNAL_NAMES.index(word) + 1 if word in SIGNAL_NAMES else None


def read_socket_name(text: str) -> str:
    """Check the path of a UNIX socket, which the kernel limits."""
    if len(os.fsencode(text)) > MAX_SOCKET_NAME:
        code = ReturnCode.BUFFER_OVERFLOW
        raise ConfigError(
            f"socket-name: '{text}' is an invalid value, it has more than {MAX_SOCKET_NAME} bytes; "
            f"flom_client_connect: ret_cod={code} ({code.text})"
        )
    return text


def read_directory(text: str) -> str:
    """
    Check that C{text} is a directory that can be opened: what is to be mounted on must be there
    (docs/compatibility.md, "Options").

    A dead mount, which a daemon that was killed may have left, is let through: the next one takes it away.
    """
    try:
        os.scandir(text).close()
    except (OSError, ValueError) as e:
        if isinstance(e, OSError) and e.errno == errno.ENOTCONN:
            return text
        code = ReturnCode.OPENDIR_ERROR
        why = reason(e) if isinstance(e, OSError) else str(e)
        raise ConfigError(
            f"mount-point-vfs: '{text}' is an invalid value, {why}; flom_client_connect: ret_cod={code} ({code.text})"
        ) from None
    return text


def read_status_for(text: str) -> str:
    """Check who may see what a daemon holds."""
    if text not in ("all", "trusted"):
        raise ValueError(text)
    return text


def read_file(text: str) -> str:
    """
    Give the absolute path, without links, of a file that must be there (docs/compatibility.md, "Options").

    @raise OSError: it is not.
    """
    if not text:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return os.path.realpath(text, strict=True)


def told_on_stdout(option: str, read: Callable[[str], bool]) -> Callable[[str], bool]:
    """
    Have what C{read} refuses refused on stdout too, where FLoM does so for C{option}
    (docs/compatibility.md, "Messages").
    """

    def read_and_tell(text: str) -> bool:
        try:
            return read(text)
        except ValueError:
            why = f"{option}: '{text}' is an invalid value"
            raise ConfigError(why, on_stdout=[why]) from None

    return read_and_tell


def within(low: int, high: int) -> Callable[[int], int]:
    """Make what checks that a number lies between two, both included."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(value)
        return value

    return check


def absolute_within(low: int, high: int) -> Callable[[int], int]:
    """Make what drops a sign, as FLoM does for most numbers, and checks as L{within} does."""
    check = within(low, high)
    return lambda value: check(abs(value))


def quantity_of_option(value: int) -> int:
    """Take 0 for 1, and nothing for a negative number, as FLoM does (docs/compatibility.md, "Options")."""
    if value < 0:
        raise Ignored(f"Resource quantity ignored because negative values ({value}) are meaningless")
    return value or 1


def _in_32_bits(value: int) -> int:
    return within(-(2**31), 2**31 - 1)(value)
