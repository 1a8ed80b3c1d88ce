"""The output of the program: results on stdout, one line on stderr for each error or warning."""

from __future__ import annotations

import os
import sys
from select import POLLOUT, poll

from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_shown_on: TextIO | None = None  # where there is something on the terminal's line that goes away
_program = "flom"  # what warnings begin with
_is_quiet = False  # whether nothing is written


def name_program(name: str) -> None:
    """Begin warnings with C{name} from now on."""
    global _program
    _program = name


def be_quiet() -> None:
    """Write nothing from now on."""
    global _is_quiet
    _is_quiet = True


def tell(text: str) -> None:
    """Write C{text} to stdout, as long as that is read."""
    if _is_quiet:
        return
    hide()
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)


def warn(text: str) -> None:
    """Write a warning."""
    print_error(f"{_program}: warning: {text}")


def print_bug(error: BaseException | None) -> None:
    """Write that there is a bug in this program."""
    print_error(f"{_program}: internal error: {error!r}")


def print_error(text: str) -> None:
    """Write C{text} to stderr in one line, even if it quotes values with line feeds."""
    if _is_quiet:
        return
    hide()
    try:
        print(one_line(text), file=sys.stderr, flush=True)
    except OSError:
        pass


def has_terminal() -> bool:
    """Return whether stdin, stdout or stderr is a terminal."""
    return any(os.isatty(number) for number in (0, 1, 2))


def can_show(stream: TextIO) -> bool:
    """Return whether C{stream} is a terminal on which a line can be written again and again, and is ours just now."""
    if _is_quiet:
        return False
    try:
        number = stream.fileno()
        return os.isatty(number) and os.environ.get("TERM") != "dumb" and os.tcgetpgrp(number) == os.getpgrp()
    except (OSError, ValueError):
        return False


def show(text: str, stream: TextIO) -> None:
    """Write C{text} to the terminal C{stream} in the place of what was shown, until something else is written."""
    global _shown_on
    try:
        if _would_block(stream):
            return
        width = (os.get_terminal_size(stream.fileno()).columns or 80) - 1  # the last one might begin a new line
        _shown_on = stream
        print(f"\r{_cut(one_line(text), width)}\x1b[K", end="", file=stream, flush=True)
    except OSError:
        pass


def hide() -> None:
    """Leave the terminal's line as if nothing had been shown."""
    global _shown_on
    stream, _shown_on = _shown_on, None
    if stream is not None:
        try:
            if not _would_block(stream):
                print("\r\x1b[K", end="", file=stream, flush=True)
        except OSError:
            pass


def _would_block(stream: TextIO) -> bool:
    """Return whether the terminal takes nothing now, as after Ctrl-S: what is shown must not delay the lock."""
    poller = poll()
    poller.register(stream.fileno(), POLLOUT)
    return not poller.poll(0)


def _cut(text: str, width: int) -> str:
    """Return what of C{text} fits into C{width} columns."""
    from unicodedata import east_asian_width  # for nothing else

    for end, character in enumerate(text):
        width -= 2 if east_asian_width(character) in "WF" else 1
        if width < 0:
            return text[:end]
    return text
