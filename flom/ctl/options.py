"""How C{flomctl} reads its command line: argparse, with little to do for the commands that are not run."""

from __future__ import annotations

from argparse import ArgumentError, ArgumentParser, ArgumentTypeError, HelpFormatter

from flom.config.parsers import read_timeout
from flom.ctl.output import BAD_USAGE
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final, NoReturn


MAX_TITLE: Final = 40
"""Characters of the longest name of a hold."""


class Parser(ArgumentParser):
    """Exits with one line if the command line makes no sense."""

    def __init__(self, *, add_options: Callable[[Parser], None] | None = None, **others: Any) -> None:
        """
        @param add_options: adds the options, before the first command line is read.
        @param others: what argparse's own takes.
        """
        super().__init__(formatter_class=_unmeasured, **others)
        self._to_add = add_options
        self._groups: dict[str, Any] = {}

    def group(self, title: str) -> Any:
        """Return the group of options with this title, which the help text shows beside the others."""
        if title not in self._groups:
            self._groups[title] = self.add_argument_group(title[0].lower() + title[1:] if title != "TLS" else title)
        return self._groups[title]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read a command line, as argparse does for its user and for a parser with subcommands."""
        self.complete()
        return super().parse_known_args(args, namespace)

    def complete(self) -> None:
        """Add the options that are yet to be added."""
        if self._to_add is not None:
            self._to_add(self)
            self._to_add = None

    def format_help(self) -> str:
        """Return the help text, as wide as the terminal."""
        self.formatter_class = HelpFormatter
        return super().format_help()

    def _check_value(self, action: Any, value: Any) -> None:
        """Say which command is meant, in the place of a list of all of them."""
        if isinstance(action.choices, dict) and value not in action.choices:
            from difflib import get_close_matches

            close = get_close_matches(str(value), action.choices, 1)
            hint = f"did you mean {close[0]}?" if close else f"{self.prog} --help lists all"
            raise ArgumentError(None, f"there is no command {value!r}; {hint}")
        super()._check_value(action, value)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_USAGE, one_line(f"{self.prog}: {message}") + "\n")


class Range:
    """The numbers from one to another, both included, as C{choices} that argparse can spell."""

    def __init__(self, low: int, high: int) -> None:
        self._range = range(low, high + 1)

    def __contains__(self, number: int) -> bool:
        return number in self._range

    def __iter__(self) -> Iterator[str]:
        return iter((f"{self._range[0]} to {self._range[-1]}",))


def filled(text: str) -> str:
    """Return C{text}, which must be any: an empty one is most often a variable of the shell that is not set."""
    if not text:
        raise ArgumentTypeError("it is empty")
    return text


def duration(text: str) -> float:
    """Return C{text} as seconds, from 0 to 24 days: C{5}, C{0.5}, C{500ms}, C{2m}; it is rounded up to milliseconds."""
    try:
        return read_timeout(text) / 1000
    except ValueError as e:
        raise ArgumentTypeError(f"{text!r}: {e}") from None


def lasting(text: str) -> float:
    """Return the TTL that C{text} says, in seconds, more than 0, up to 24 days: C{90s}, C{10m}, C{8h}, C{2d}."""
    seconds = duration(text)
    if seconds <= 0:
        raise ArgumentTypeError(f"{text!r} is not more than 0")
    return seconds


def title(text: str) -> str:
    """Return C{text} if it can name a hold: one to 40 characters that can be printed."""
    if not (0 < len(text) <= MAX_TITLE and text.isprintable()):
        raise ArgumentTypeError(f"{text!r} has not one to {MAX_TITLE} characters that can be printed")
    return text


def interval(text: str) -> float:
    """Return C{text} as seconds, which may have a fraction, from 0.1 to 3600."""
    seconds = duration(text)
    if not 0.1 <= seconds <= 3600:
        raise ArgumentTypeError(f"{text!r} is not between 0.1 and 3600")
    return seconds


def _unmeasured(prog: str) -> HelpFormatter:
    """
    Return what argparse checks each option with, though it prints nothing.

    Without a width, it imports shutil to ask for the terminal's, which takes 3 ms.
    """
    return HelpFormatter(prog, width=80)
