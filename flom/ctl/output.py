"""What C{flomctl} says when something is wrong, and what it exits with."""

from __future__ import annotations

import os
import sys

from flom.errors import FlomError
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

FAILED: Final = 1
"""Exit status: no daemon answered, nothing was found, a check has failed, or a package is missing."""

BAD_USAGE: Final = 2
"""Exit status: the command line, or a file that it is put together with, makes no sense."""

DEADLOCK: Final = 3
"""Exit status: some waiters will wait for ever."""


def print_json(value: dict[str, Any]) -> None:
    """Write C{value} to stdout, as one line of JSON that begins with the number of its format."""
    import json

    from flom.status.json import FORMAT

    print(json.dumps({"format": FORMAT} | value, separators=(",", ":")))


def print_error(why: str) -> None:
    """Write C{why} to stderr, in one line."""
    print(one_line(f"flomctl: {why}"), file=sys.stderr)


def print_warning(why: str) -> None:
    """Write C{why} to stderr, in one line that says that it is no error."""
    print_error(f"warning: {why}")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return C{rows}, the first of which is a heading, in columns, without those columns that have nothing but C{-}."""
    filled = [column for column in zip(*rows, strict=True) if set(column[1:]) != {"-"}]
    widths = [max(map(len, column)) for column in filled]
    lines = zip(*filled, strict=True)
    return ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def report(error: BaseException) -> int:
    """Write to stderr what C{error} says, and return the status to exit with."""
    if isinstance(error, BrokenPipeError):  # the reader, such as head, has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)
        return 0
    print_error(str(error) if isinstance(error, FlomError | OSError) else f"internal error: {error!r}")
    return FAILED
