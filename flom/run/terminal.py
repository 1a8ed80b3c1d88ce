"""What the program writes: to stdout what was asked for, to stderr one line for whatever is wrong."""

from __future__ import annotations

import os
import sys
from select import POLLOUT, poll

from flom.text import one_line

_is_shown = False  # whether there is something on the terminal's line that goes away


def tell(text: str) -> None:
    """Write C{text} to stdout, as long as that is read."""
    hide()
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)


def warn(text: str) -> None:
    """Write what the user should know and what is no reason to stop."""
    print_error(f"flom: warning: {text}")


def print_bug(error: BaseException | None) -> None:
    """Write that something has happened that must not."""
    print_error(f"flom: internal error: {error!r}")


def print_error(text: str) -> None:
    """Write C{text} to stderr in one line, whatever is in the values that it quotes."""
    hide()
    try:
        print(one_line(text), file=sys.stderr, flush=True)
    except OSError:
        pass


def can_show() -> bool:
    """Return whether stdout is a terminal on which a line can be written again and again, and is ours just now."""
    try:
        number = sys.stdout.fileno()
        return os.isatty(number) and os.environ.get("TERM") != "dumb" and os.tcgetpgrp(number) == os.getpgrp()
    except (OSError, ValueError):
        return False


def show(text: str) -> None:
    """Write C{text} to the terminal in the place of what was shown before, until something else is written."""
    global _is_shown
    try:
        if _would_block():
            return
        width = (os.get_terminal_size(sys.stdout.fileno()).columns or 80) - 1  # the last one might begin a new line
        _is_shown = True
        print(f"\r{_cut(one_line(text), width)}\x1b[K", end="", flush=True)
    except OSError:
        pass


def hide() -> None:
    """Leave the terminal's line as if nothing had been shown."""
    global _is_shown
    if _is_shown:
        _is_shown = False
        try:
            if not _would_block():
                print("\r\x1b[K", end="", flush=True)
        except OSError:
            pass


def _would_block() -> bool:
    """Return whether the terminal takes nothing now, as after Ctrl-S: what is shown must not delay the lock."""
    poller = poll()
    poller.register(sys.stdout.fileno(), POLLOUT)
    return not poller.poll(0)


def _cut(text: str, width: int) -> str:
    """Return what of C{text} fits into C{width} columns."""
    from unicodedata import east_asian_width  # for nothing else

    for end, character in enumerate(text):
        width -= 2 if east_asian_width(character) in "WF" else 1
        if width < 0:
            return text[:end]
    return text
