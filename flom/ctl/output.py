"""What C{flomctl} says when something is wrong, and what it exits with."""

from __future__ import annotations

import os
import sys
from typing import Final

from flom.errors import FlomError
from flom.text import one_line

FAILED: Final = 1
"""Exit status: nobody answered, nothing was found, or a check has failed."""

BAD_USAGE: Final = 2
"""Exit status: the command line, or a file that it is put together with, makes no sense."""


def complain(why: str) -> None:
    """Write to stderr what is wrong, in one line."""
    print(one_line(f"flomctl: {why}"), file=sys.stderr)


def failed(error: BaseException | None, *expected: type[BaseException]) -> int:
    """
    Say what went wrong; give the status.

    @param expected: errors that are no fault of ours, beside the usual ones.
    """
    if isinstance(error, BrokenPipeError):  # whoever has read this has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)
        return 0
    is_expected = isinstance(error, (FlomError, OSError, *expected))
    complain(str(error) if is_expected else f"internal error: {error!r}")
    return FAILED
