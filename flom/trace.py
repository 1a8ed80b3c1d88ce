"""
The trace: what the program does, for somebody who looks for a fault (docs/compatibility.md, "Traces").

The environment variable C{FLOM_TRACE_MASK} selects by the bits of L{TOPICS} what is traced. A line that is not wanted
costs next to nothing: this is the standard library's logging, below the logger C{flom.trace}.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from flom.config.parsers import read_c_number
from flom.text import reason

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


def tracer(topic: str) -> logging.Logger:
    """Give what takes the lines of one of L{TOPICS}, by C{debug}."""
    return logging.getLogger(f"flom.trace.{topic}")


def start_trace(path: str, append: bool, environ: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """
    Trace from now on, to this file and no more to an earlier one.

    The file is made whatever the mask is; if it cannot be, nothing is traced.

    @param path: the file; if it is empty, the trace goes to stderr.
    @param append: whether to add to the file instead of replacing it.
    @param environ: has the mask. Without one, a file gets all topics but C{msg} and C{locker}, and stderr nothing.
    @param warn: told what is wrong with the mask or the file.
    """
    root = logging.getLogger("flom.trace")
    _stop(root)
    mask = _mask(environ, warn)
    handler: logging.Handler
    if path:
        try:
            handler = _File(path, "a" if append else "w", "utf-8", errors="backslashreplace")
        except (OSError, ValueError) as e:
            warn(f"cannot trace to '{path}': {reason(e) if isinstance(e, OSError) else e}")
            return
    elif mask:
        handler = logging.StreamHandler(sys.stderr)
    else:
        return
    handler.setFormatter(_Lines())

    def give_up(record: logging.LogRecord) -> None:
        warn(f"the trace ends here: {sys.exc_info()[1]}")
        root.removeHandler(handler)

    handler.handleError = give_up  # type: ignore[method-assign]  # or else every line would print a traceback
    root.propagate = False
    root.addHandler(handler)
    for topic, bit in TOPICS.items():
        if (_DEFAULT_MASK if mask is None else mask) & bit:
            tracer(topic).setLevel(logging.DEBUG)


def _stop(root: logging.Logger) -> None:
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, _Lines):
            root.removeHandler(handler)
            handler.close()
            root.propagate = True
    for topic in TOPICS:
        tracer(topic).setLevel(logging.NOTSET)


class _File(logging.FileHandler):
    """
    A file that holds nobody up, and that somebody else cannot put in another one's place.

    If it is a pipe, somebody must be reading it already; once it is full, the trace ends.
    """

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=_open_safely)


def _open_safely(path: str, flags: int) -> int:
    """Open C{path}, without waiting for anybody, and not by a link of another user, who may have planted it."""
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


class _Lines(logging.Formatter):
    """Writes C{YYYY-MM-DD HH:MM:SS.uuuuuu [PID/THREAD] text}."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(process)d/%(thread)d] %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("flom.trace.", "", 1).replace("\n", "\\n")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        from datetime import datetime  # who traces nothing need not wait for its import

        return datetime.fromtimestamp(record.created).strftime("%Y-%m-%d %H:%M:%S.%f")


def _mask(environ: Mapping[str, str], warn: Callable[[str], None]) -> int | None:
    text = environ.get(MASK_VARIABLE)
    if text is None:
        return None
    try:
        return read_c_number(text)
    except ValueError:
        warn(f"{MASK_VARIABLE}: '{text}' is no number, nothing is traced")
        return 0
