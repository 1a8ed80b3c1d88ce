"""
What the texts of options and files mean (docs/compatibility.md, "Values of options", "Syntax of files").

Every reader raises L{ValueError} for a text that is no value, or a L{ConfigError} that says more; L{OSError}, if the
text names a file that cannot be used; L{Ignored}, if the value has no effect.

FLoM takes much for a value: C{maybe} is a yes, C{010} is eight, C{-3} is three. C{flom} and the files, which both
programs share, are read so; the readers for the options of our own programs take what is clear, and say what that is.
"""

from __future__ import annotations

import errno
import os

from flom.codes import ReturnCode
from flom.core.modes import LockMode
from flom.core.names import DEFAULT_NAME, TYPE_NAMES, parse_name
from flom.errors import NAMES, ConfigError, InvalidName
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_MAX_DIGITS: Final = 100  # of a number; Python reads some thousands, in a time that grows with their square

MAX_SOCKET_NAME: Final = 107  # bytes of the longest path of a UNIX socket

_SIGNALS: Final = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)

SIGNAL_NAMES: Final = [f"SIG{name}" for name in _SIGNALS.split()]
"""The names of the signals from 1 on, as on Linux on most machines (docs/compatibility.md, "Values of options")."""

_DECIMAL: Final = "0123456789"
_HEXADECIMAL: Final = "0123456789abcdefABCDEF"
_C_BLANKS: Final = " \t\n\v\f\r"


class Ignored(Exception):
    """
    A value has no effect, or a part of it; the text tells the user why.

    @ivar rest: the value without that part; C{None} if nothing is left.
    """

    def __init__(self, why: str, rest: object = None) -> None:
        super().__init__(why)
        self.rest = rest


class Unclear(ValueError):
    """A text is no value; the error's text says what is."""


def read_yes_or_no(text: str) -> bool:
    """Return whether C{text} is a yes, if it is a yes or a no."""
    value = {"yes": True, "y": True, "no": False, "n": False}.get(text.lower())
    if value is None:
        raise Unclear("it is neither yes nor no")
    return value


def read_mode_name(text: str) -> LockMode:
    """Return the lock mode that is called C{text}, in two letters or in full; case does not matter."""
    for long, mode in _MODES:
        if text.lower() in (long, mode.name.lower()):
            return mode
    raise Unclear("it is none of NL, CR, CW, PR, PW and EX")


def read_number(text: str) -> int:
    """Read an integer of 32 bits: decimal, also with zeros in front, or hexadecimal with C{0x} in front."""
    digits = text.removeprefix("-")
    base = 16 if digits[:2] in ("0x", "0X") else 10
    if base == 16:
        digits = digits[2:]
    if not digits or digits.strip(_HEXADECIMAL if base == 16 else _DECIMAL):
        raise Unclear("it is no whole number")
    if len(digits) > _MAX_DIGITS:
        raise Unclear(f"it has more than {_MAX_DIGITS} digits")
    return _in_32_bits(int(digits, base) * (-1 if text[0] == "-" else 1))


_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def read_duration(text: str, bare: str) -> int:
    """
    Return the milliseconds of C{text}: a number, with a fraction if its unit is more than one, and its unit.

    @param bare: the unit of a number without one.
    """
    if text[:1] == "-" or text[:2] in ("0x", "0X"):
        return _in_32_bits(read_number(text) * _UNITS[bare])
    number = text.rstrip("mshd")
    unit = _UNITS.get(text[len(number) :] or bare)
    whole, point, fraction = number.partition(".")
    digits = whole + fraction
    if unit is None or not digits or digits.strip(_DECIMAL) or (point and unit == 1):
        of = "milliseconds" if bare == "ms" else "seconds"
        raise Unclear(f"it is no duration; write 500ms, 5s, 2m, 1h or a number of {of}")
    if len(digits) > _MAX_DIGITS:
        raise Unclear(f"it has more than {_MAX_DIGITS} digits")
    scale: int = 10 ** len(fraction)
    milliseconds = -(-int(digits) * unit // scale)  # rounded up: what is not 0 does not become 0
    if milliseconds >= 2**31:
        raise Unclear("it is more than 24 days")
    return milliseconds


def read_timeout(text: str) -> int:
    """Return the milliseconds of a timeout whose number without a unit is one of seconds; see L{read_duration}."""
    milliseconds = read_duration(text, "s")
    if milliseconds < 0:
        raise Unclear("it is negative")
    return milliseconds


def read_limits(text: str) -> str:
    """Check times for resources by their names; see L{times_by_name}."""
    times_by_name(text)
    return text


def times_by_name(text: str) -> tuple[tuple[str, float], ...]:
    """
    Return pairs of a pattern of names and seconds, of which the first that fits counts.

    @param text: C{TIME} or C{PATTERN=TIME}, or several of these, with commas between them; a pattern is as the shell's,
        and is empty where there is none.
    """
    pairs = []
    for piece in filter(None, text.split(",")):
        pattern, _, time = piece.strip().rpartition("=")
        try:
            pairs.append((pattern, read_timeout(time) / 1000))
        except Unclear as e:
            raise Unclear(f"of '{piece.strip()}', {e}" if piece != text else str(e)) from None
    for pattern, _ in pairs[:-1]:
        if pattern in ("", "*"):
            raise Unclear("what stands after a time for all resources counts for none")
    return tuple(pairs)


def read_bool(text: str) -> bool:
    """Return whether C{text} has a yes or a no in it, as FLoM does (docs/compatibility.md, "Values of options")."""
    lowered = text.lower()
    for word, value in (("no", False), ("yes", True), ("n", False), ("y", True)):
        if word in lowered:
            return value
    raise ValueError(text)


def read_mode(text: str) -> LockMode:
    """Return the first of these modes that C{text} has in it (docs/compatibility.md, "Values of options")."""
    lowered = text.lower()
    for long, mode in _MODES:
        if long in lowered or mode.name.lower() in lowered:
            return mode
    raise ValueError(text)


_MODES: Final = (  # in FLoM's order
    ("nulllock", LockMode.NL),
    ("concurrentread", LockMode.CR),
    ("concurrentwrite", LockMode.CW),
    ("protectedwrite", LockMode.PW),
    ("protectedread", LockMode.PR),
    ("exclusive", LockMode.EX),
)


def read_c_int(text: str) -> int:
    """Read an integer of 32 bits by L{read_c_number} (docs/compatibility.md, "Parsing of options")."""
    return _in_32_bits(read_c_number(text))


def read_c_number(text: str) -> int:
    """Read an integer as C's strtol does with base 0: C{0x} is hexadecimal, a leading 0 octal."""
    number = text.lstrip(_C_BLANKS)
    digits = number[1:] if number[:1] in ("+", "-") else number
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[:1] == "0" else 10
    if base == 16:
        digits = digits[2:]
    if not digits or digits.strip(_HEXADECIMAL):  # int() would take blanks and underscores, and other scripts' digits
        raise ValueError(text)
    return int(digits, base) * (-1 if number[0] == "-" else 1)


def read_decimal(text: str) -> int:
    """Read an integer of a file: decimal only (docs/compatibility.md, "Groups and keys")."""
    number = text.strip()
    digits = number[1:] if number[:1] in ("+", "-") else number
    if not digits or digits.strip(_DECIMAL):
        raise ValueError(text)
    return _in_32_bits(int(number))


def read_name(text: str) -> str:
    """Check the name of a resource: it must be one, and not the reserved one."""
    try:
        parse_name(text)
        if text != DEFAULT_NAME:
            return text
        why = f"'{text}' is what is locked without a name; leave out the name"
        flom_says = f"ERROR: '{text}' is a reserved resource name and can not be set by user"
    except InvalidName:
        why = f"'{text}' is no name of a resource: {NAMES}{_way_out(text)}"
        flom_says = f"ERROR: '{text}' is not a valid name for a resource"
    line = f"flom_config_set_resource_name: ret_cod={ReturnCode.INVALID_RESOURCE_NAME} ({flom_says})"
    raise ConfigError(f"resource-name: {why}", flom_line=line, on_stdout=[flom_says])


def _way_out(text: str) -> str:
    """Return what is to be said of the name of a hierarchy that is nearly C{text}, which is no name."""
    name = f"/{text}"
    try:
        parse_name(name)
    except InvalidName:
        return ""
    return f"; '{name}' is one"


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


def read_signal_names(text: str) -> tuple[int, ...]:
    """Read signals, separated by C{;}: numbers, or L{SIGNAL_NAMES}, of which case and the letters SIG do not matter."""
    signals = []
    for word in filter(None, text.split(";")):
        name = word.upper()
        number = _signal(name if name in SIGNAL_NAMES else f"SIG{name}")
        if number is None and not word.strip(_DECIMAL):
            number = _signal(word)
        if number is None:
            raise Unclear("it is no signal; --signal-list lists them")
        signals.append(number)
    return tuple(signals)


def _signal(word: str) -> int | None:
    digits = word[: len(word) - len(word.lstrip(_DECIMAL))]
    if digits and 1 <= int(digits) <= len(SIGNAL_NAMES):
        return int(digits)
    return SIGNAL_NAMES.index(word) + 1 if word in SIGNAL_NAMES else None


def read_socket_name(text: str) -> str:
    """Check the path of a UNIX socket, which the kernel limits."""
    if len(os.fsencode(text)) > MAX_SOCKET_NAME:
        why = f"socket-name: '{text}' is an invalid value, it has more than {MAX_SOCKET_NAME} bytes"
        raise _at_connect(why, ReturnCode.BUFFER_OVERFLOW)
    return text


def absolute(option: str, path: str) -> str:
    """Return C{path} in full; raise L{ConfigError} if it is relative to a directory that has gone."""
    try:
        return os.path.abspath(path)
    except OSError as e:
        raise ConfigError(f"{option}: '{path}' leads nowhere, the working directory has gone: {reason(e)}") from None


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
        why = f"mount-point-vfs: '{text}' is an invalid value, {reason(e)}"
        raise _at_connect(why, ReturnCode.OPENDIR_ERROR) from None
    return text


def _at_connect(why: str, code: ReturnCode) -> ConfigError:
    """Return the error about a value that FLoM looks at when it connects."""
    return ConfigError(why, flom_line=f"{why}; flom_client_connect: ret_cod={code} ({code.text})")


def read_type(text: str) -> str:
    """Check the name of a type of resources."""
    if text not in TYPE_NAMES:
        raise ConfigError(f"type: '{text}' is none of {', '.join(TYPE_NAMES)}")
    return text


def read_hosts(text: str) -> str:
    """Check the host of a daemon, or several, separated by commas, of which one leads."""
    if "," in text and not all(split_hosts(text)):
        raise Unclear("a host is missing beside a comma")
    return text


def split_hosts(text: str) -> tuple[str, ...]:
    """Return the hosts in C{text}, which are separated by commas."""
    return tuple(host.strip() for host in text.split(","))


def read_nested(text: str) -> str:
    """Check what to do about a lock that a command holds under which this one runs."""
    if text not in ("refuse", "share", "wait"):
        raise Unclear("it is none of refuse, share and wait")
    return text


def read_on_lost(text: str) -> str:
    """Check what a command is to get when its lock is lost; L{lost_signal} says which signal that is."""
    lost_signal(text)
    return text


def lost_signal(text: str) -> int | None:
    """Return the number of the signal that C{text}, a value of C{--on-lost}, sends first; C{None} for none."""
    if text in _ON_LOST:
        return _ON_LOST[text]
    what, _, name = text.partition(":")
    if what != "signal":
        raise Unclear("it is none of warn, terminate, kill and signal:NAME")
    numbers = read_signal_names(name)
    if len(numbers) != 1:
        raise Unclear("it names no signal, or more than one; --signal-list lists them")
    return numbers[0]


def read_notify(text: str) -> str:
    """Check how a command is to learn that its lock is wanted; L{wanted_by} says it."""
    wanted_by(text)
    return text


def wanted_by(text: str) -> tuple[str, int]:
    """
    Return C{("signal", N)} for the name or number of a signal in C{text}, C{("fd", N)} for C{fd:N}, or C{("fd", -1)}
    for C{fd}.
    """
    what, colon, number = text.partition(":")
    if text == "fd":
        return "fd", -1
    if what == "fd" and colon:
        if not number or number.strip(_DECIMAL) or not 3 <= int(number) < 2**31:
            raise Unclear("after 'fd:', there is no number of a descriptor, from 3 on")
        return "fd", int(number)
    try:
        numbers = read_signal_names(text)
    except Unclear:
        raise Unclear("it is neither a signal nor fd nor fd:N; --signal-list lists the signals") from None
    if len(numbers) != 1:
        raise Unclear("it names no signal, or more than one; --signal-list lists them")
    return "signal", numbers[0]


_ON_LOST: Final = {"warn": None, "terminate": 15, "kill": 9}


def read_sessions(text: str) -> str:
    """Check whether clients over TCP have to have sessions."""
    if text not in ("optional", "required"):
        raise Unclear("it is neither optional nor required")
    return text


def read_status_for(text: str) -> str:
    """Check who may see what a daemon holds."""
    if text not in ("all", "trusted"):
        raise ValueError(text)
    return text


def read_log_format(text: str) -> str:
    """Check how a daemon writes its log."""
    if text not in ("text", "json", "journal"):
        raise Unclear("it is neither text nor json nor journal")
    return text


def read_filled(text: str) -> str:
    """Check that C{text} is not empty, as it is most often because a variable of the shell is not set."""
    if not text:
        raise Unclear("it is empty")
    return text


def read_file(text: str) -> str:
    """Return the absolute path, without links, of a file that must be there (docs/compatibility.md, "Options")."""
    if not text:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return os.path.realpath(text, strict=True)


def refused_on_stdout(option: str, read: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return C{read} with its refusals on stdout too, as FLoM has them (docs/compatibility.md, "Messages")."""

    def read_or_print(text: str) -> bool:
        try:
            return read(text)
        except ValueError:
            why = f"{option}: '{text}' is an invalid value"
            raise ConfigError(why, on_stdout=[why]) from None

    return read_or_print


def within(low: int, high: int) -> Callable[[int], int]:
    """Return a check that a number lies between two, both included."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise Unclear(f"it is not from {low} to {high}")
        return value

    return check


def absolute_within(low: int, high: int) -> Callable[[int], int]:
    """Return a check like that of L{within} that drops a sign first, as FLoM does for most numbers."""
    check = within(low, high)
    return lambda value: check(abs(value))


def quantity_of_option(value: int) -> int:
    """Return 1 for 0, and ignore a negative number, as FLoM does (docs/compatibility.md, "Options")."""
    if value < 0:
        raise Ignored(f"Resource quantity ignored because negative values ({value}) are meaningless")
    return value or 1


_in_32_bits: Final = within(-(2**31), 2**31 - 1)
