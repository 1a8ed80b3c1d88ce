"""What the program says: to stdout what was asked for, to stderr one line for whatever is wrong."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from flom.errors import one_line


def tell(text: str) -> None:
    """Write C{text} to stdout, as long as somebody reads it."""
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)


def warn(text: str) -> None:
    """Say what the user should know and what is no reason to stop."""
    complain(f"flom: warning: {text}")


def complain(text: str) -> None:
    """Write C{text} to stderr in one line, whatever is in the values that it quotes."""
    with suppress(OSError):
        print(one_line(text), file=sys.stderr, flush=True)
