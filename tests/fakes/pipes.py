"""Reading what a process writes, for some seconds at most: what never comes fails the test, and does not hang it."""

from __future__ import annotations

import os
import select
from typing import IO, Any, Final

PATIENCE: Final = 20.0  # seconds until a process that does nothing fails the test


def read_soon(descriptor: int, size: int = 4096) -> bytes:
    """Return what can be read next, at most C{size} bytes; nothing at the end."""
    readable, _, _ = select.select([descriptor], [], [], PATIENCE)
    assert readable, f"nothing came within {PATIENCE:g} s"
    return os.read(descriptor, size)


def read_line(stream: IO[Any] | None) -> str:
    """Return the next line of a pipe with its line feed, and read nothing beyond that; less at the end."""
    assert stream is not None
    line = b""
    while not line.endswith(b"\n"):
        try:
            data = read_soon(stream.fileno(), 1)
        except AssertionError as e:
            raise AssertionError(f"{e}, but {line!r}") from None
        if not data:
            break
        line += data
    return line.decode(errors="surrogateescape")


def read_all(stream: IO[Any] | None) -> bytes:
    """Return all that comes to the end of a pipe."""
    assert stream is not None
    found = b""
    while data := read_soon(stream.fileno()):
        found += data
    return found
