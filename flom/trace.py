"""
The trace: what the program does, line by line, for the search of a fault (docs/compatibility.md, "Traces").

The environment variable C{FLOM_TRACE_MASK} selects by the bits of L{TOPICS} what is traced. A line that is not wanted
costs one call. The standard library's logging is not used: its import takes several milliseconds of every flom-run.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from _thread import get_ident

from flom.config.parsers import read_c_number
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

MASK_VARIABLE: Final = "FLOM_TRACE_MASK"

TOPICS: Final = {
    "config": 0x2,
    "exec": 0x4,
    "client": 0x8,
    "daemon": 0x10,
    "conns": 0x20,
    "msg": 0x80,
    "locker": 0x100,
    "tls": 0x200000,
}
"""What can be traced, under FLoM's numbers; its other bits select nothing here."""

_DEFAULT_MASK: Final = 0xFFFFFF & ~TOPICS["msg"] & ~TOPICS["locker"]  # for a file: all but what each message adds


class Tracer:
    """
    Writes the lines of one topic.

    @ivar is_on: whether they go anywhere; asked before a line whose parts are costly to make.
    """

    __slots__ = ("is_on", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.is_on = False

    def debug(self, format: str, *values: object) -> None:
        """Write C{format % values}, or C{format} as it is if there are no values, on one line."""
        if self.is_on:
            _trace.write(self.topic, format % values if values else format)


class _Trace:
    """Where all lines go: to a file, to stderr, or nowhere."""

    __slots__ = ("descriptor", "warn")

    def __init__(self) -> None:
        self.descriptor: int | None = None  # for stderr
        self.warn: Callable[[str], None] = print

    def write(self, topic: str, text: str) -> None:
        """Write C{YYYY-MM-DD HH:MM:SS.uuuuuu [PID/THREAD] topic: text}; an error ends the trace."""
        seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
        one_line = text.replace("\n", "\\n")
        line = f"{moment}.{microseconds:06d} [{os.getpid()}/{get_ident()}] {topic}: {one_line}\n"
        try:
            if self.descriptor is None:
                print(line, end="", file=sys.stderr, flush=True)
                return
            data = line.encode("utf-8", "backslashreplace")
            while data:
                data = data[os.write(self.descriptor, data) :]
        except (OSError, ValueError) as e:  # ValueError: stderr is closed
            self.stop()
            self.warn(f"the trace ends here: {e}")

    def stop(self) -> None:
        """Write nothing any more, and close the file."""
        for each in _TRACERS.values():
            each.is_on = False
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


_TRACERS: Final = {topic: Tracer(topic) for topic in TOPICS}

_trace: Final = _Trace()
stop_trace: Final = _trace.stop


def tracer(topic: str) -> Tracer:
    """Return what takes the lines of one of L{TOPICS}."""
    return _TRACERS[topic]


def start_trace(path: str, append: bool, environ: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """
    Trace from now on, to this file and no more to an earlier one.

    The file is made even if the mask selects nothing; if it cannot be made, nothing is traced.

    @param path: the file; if it is empty, the trace goes to stderr.
    @param append: whether to add to the file instead of replacing it.
    @param environ: has the mask. Without one, a file gets all topics but C{msg} and C{locker}, and stderr nothing.
    @param warn: called with one line if the mask or the file cannot be used.
    """
    _trace.stop()
    _trace.warn = warn
    mask = _mask(environ, warn)
    if path:
        flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
        try:
            _trace.descriptor = _open_safely(path, flags)
        except (OSError, ValueError) as e:
            warn(f"cannot trace to '{path}': {reason(e)}")
            return
    if mask is None:
        mask = _DEFAULT_MASK if path else 0
    for each in _TRACERS.values():
        each.is_on = bool(mask & TOPICS[each.topic])


def _open_safely(path: str, flags: int) -> int:
    """
    Open C{path} without waiting, and not by a link of another user, who may have planted it.

    A pipe must have a reader already; once it is full, the trace ends.
    """
    flags |= os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError:
        if not os.path.islink(path):
            raise
        owner = os.lstat(path).st_uid
        if owner not in (0, os.geteuid()):
            raise OSError(errno.ELOOP, f"it is a link that belongs to uid {owner}") from None
        descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.set_blocking(descriptor, True)
    return descriptor


def _mask(environ: Mapping[str, str], warn: Callable[[str], None]) -> int | None:
    text = environ.get(MASK_VARIABLE)
    if text is None:
        return None
    try:
        return read_c_number(text)
    except ValueError:
        warn(f"{MASK_VARIABLE}: '{text}' is no number, nothing is traced")
        return 0
