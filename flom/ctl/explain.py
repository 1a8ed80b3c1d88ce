"""C{flomctl explain}: what exit statuses, return codes and names mean, and what to do (L{flom.statuses})."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from textwrap import fill
from typing import NamedTuple

from flom.codes import ReturnCode
from flom.config import SIGNAL_NAMES
from flom.ctl.output import FAILED, print_error, print_json
from flom.statuses import LOG_IDS, STATUSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence
    from typing import Final

_MOST: Final = 255  # no status is higher
_FROM_SIGNAL: Final = 128
_RETURN_CODE: Final = "ret_cod="  # as flom prints it
_PASSED_ON: Final = (
    "the command may have exited with it: flom-run, flom and flomctl fence pass its status on. flom-run -V says whose "
    "it was."
)
_REMEDIES: Final = {"SIGKILL": "The kernel sends it when memory is short (see dmesg); so do timeout -k and kill -9."}
"""By the names of signals, of which most need none."""


class Entry(NamedTuple):
    """
    One meaning of one word that can be asked for.

    @ivar kind: C{status}, C{signal}, C{return code} or C{log line}.
    @ivar value: the number as text; of a line in a log, its id.
    @ivar name: another word for it, or the empty string.
    @ivar program: what ends with it or says it.
    """

    kind: str
    value: str
    name: str
    program: str
    meaning: str
    remedy: str = ""

    def words(self) -> set[str]:
        """Return what it can be asked for by, in lower case."""
        names = {self.value, self.name, self.name.removeprefix("SIG") if self.kind == "signal" else ""}
        return {word.lower() for word in names if word}


def explain(arguments: Namespace) -> int:
    """Print what words mean, or what all there are mean, and return the status to exit with."""
    known = list(entries())
    if not arguments.what:
        return _show(known, [], arguments.json)
    shown: list[Entry] = []
    statuses: list[str] = []
    unknown: list[str] = []
    for word in arguments.what:
        found = _find(word, known)
        if _is_status(word):
            statuses.append(_plain(word))
        elif not found:
            unknown.append(word)
        shown += found
    _show(shown, statuses, arguments.json)
    for word in unknown:
        print_error(_unknown(word, known))
    return FAILED if unknown else 0


def entries() -> Iterator[Entry]:
    """Return all that can be explained: statuses by program, then signals, return codes and lines in logs."""
    for program, meanings in STATUSES.items():
        for status, when, remedy, word in meanings:
            yield Entry("status", str(status), word, program, _text(when), _text(remedy))
    for number, name in enumerate(SIGNAL_NAMES, 1):
        what = f"Signal {number} has ended the command; flom-run dies by the same."
        yield Entry("signal", str(_FROM_SIGNAL + number), name, "a shell, flom", what, _REMEDIES.get(name, ""))
    for code in ReturnCode:
        yield Entry("return code", str(int(code)), code.name, "ret_cod", code.text)
    for log_id, when in LOG_IDS.items():
        yield Entry("log line", log_id, "", "a daemon's log", _text(when))


def _text(markdown: str) -> str:
    return markdown.replace("`", "")


def _plain(word: str) -> str:
    """Return C{word} as L{Entry.words} has it: C{ret_cod=-5} is C{-5}, C{LOCK_BUSY} is C{lock_busy}."""
    word = word.strip().lower().removeprefix(_RETURN_CODE)
    return str(int(word)) if _is_number(word) else word


def _is_number(word: str) -> bool:
    return word.isascii() and word.removeprefix("-").isdigit()


def _find(word: str, known: Sequence[Entry]) -> list[Entry]:
    """Return what C{word} may mean."""
    found = [entry for entry in known if _plain(word) in entry.words()]
    return [entry for entry in found if entry.kind == "return code"] if word.startswith(_RETURN_CODE) else found


def _is_status(word: str) -> bool:
    """Return whether C{word} is an exit status, which any command may have."""
    plain = _plain(word)
    return _is_number(plain) and 0 <= int(plain) <= _MOST and not word.startswith(_RETURN_CODE)


def _unknown(word: str, known: Sequence[Entry]) -> str:
    """Return the line about C{word}, which means nothing."""
    if _is_number(_plain(word)):
        return f"{word} is neither a status, from 0 to {_MOST}, nor a return code of FLoM"
    from difflib import get_close_matches  # seldom wanted

    names = sorted({name for entry in known for name in entry.words() if not _is_number(name)})
    close = get_close_matches(_plain(word), names, 1)
    hint = f"did you mean {close[0]}?" if close else "flomctl explain lists all there is"
    return f"nothing is called {word!r}; {hint}"


def _show(shown: Sequence[Entry], statuses: Sequence[str], as_json: bool) -> int:
    """
    Print C{shown}; return the status to exit with.

    @param statuses: those of them that a command may have exited with.
    """
    if as_json:
        print_json({"meanings": [entry._asdict() for entry in shown]})
        return 0
    for entry in shown:
        print(_wrapped(_spell(entry)))
    for status in statuses:
        print(_wrapped(f"{status}: {_PASSED_ON}"))
    return 0


def _spell(entry: Entry) -> str:
    names = f" ({entry.name})" if entry.name else ""
    return f"{entry.value} {entry.program}{names}: {entry.meaning} {entry.remedy}".rstrip()


def _wrapped(text: str) -> str:
    """Return C{text}, as wide as the terminal; in one line if there is none, for grep."""
    if not sys.stdout.isatty():
        return text
    width = max(40, get_terminal_size().columns - 1)
    return fill(text, width, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
