"""What C{flomctl top} shows of a status: the order, the filter, and the part of the rows, as keys change them."""

from __future__ import annotations

from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from flom.ctl.drawing import make_table
from flom.ctl.rows import ORDERS, Section, headline, problems_of, sections_of, select
from flom.status.model import Status
from flom.status.wording import spell_client
from flom.text import one_line

SORT_BY: Final = {"w": "waiters", "t": "waiting", "h": "held", "n": "name"}
"""Keys that sort."""

_HELP: Final = (
    ("w", "sort by the number of waiters"),
    ("t", "sort by the time that the first one has waited"),
    ("h", "sort by the time that a lock has been held"),
    ("n", "sort by name"),
    ("Up Down, k j", "scroll by a line"),
    ("PgUp PgDn, Space", "scroll by a page"),
    ("Home End, g G", "go to the first or the last line"),
    ("/", "filter: type a part of a name, a client or a state"),
    ("Enter", "end the filter; Esc takes it back"),
    ("?", "this help; any key leaves it"),
    ("q", "quit"),
)
_LINES_AROUND: Final = 4  # beside the rows, at least: the daemon, the keys, and two lines of the table's heading
_WIDE: Final = 60  # columns from which all keys are named
_LONGEST: Final = 200  # characters of a filter


class Browser:
    """
    What the user looks at.

    @ivar is_over: true once the user has quit.
    """

    def __init__(self, glob: str | None, order: str) -> None:
        """
        @param glob: a pattern for the names of resources; C{None} for all.
        @param order: a key of L{ORDERS}.
        """
        self.is_over = False
        self._glob = glob
        self._order = order
        self._filter = ""
        self._is_typing = False
        self._shows_help = False
        self._first = 0  # the row at the top
        self._room = 1  # rows that were to be seen last

    def press(self, key: str) -> None:
        """Do what C{key} is for: a character, or one of those that L{flom.ctl.screen} has names for."""
        if key == "":
            self.is_over = True  # no more can come
        elif self._is_typing:
            self._type(key)
        elif self._shows_help:
            self._shows_help = False
        elif key in ("q", "Q"):
            self.is_over = True
        elif key in SORT_BY:
            self._order = SORT_BY[key]
            self._first = 0
        elif key == "/":
            self._is_typing = True
        elif key == "?":
            self._shows_help = True
        elif key == "escape":
            self._filter = ""
        else:
            self._scroll(key)

    def picture(self, status: Status | None, width: int, height: int, problem: str = "") -> RenderableType:
        """
        Return what fills the screen.

        @param status: what the daemon holds; C{None} if that is not known because of C{problem}.
        @param width: columns of the terminal.
        @param height: its lines.
        """
        if self._shows_help:
            return _help()
        if status is None:
            lost = Text(one_line(f"daemon unreachable, trying again: {problem}"), "bold red")
            return Group(lost, self._keys(width))
        head = [Text(headline(status.daemon, width), "bold", no_wrap=True, overflow="ellipsis")]
        wrong = problems_of(status)
        if wrong:
            head.append(Text(one_line("; ".join(wrong)), "bold red", no_wrap=True, overflow="ellipsis"))
        head.append(self._keys(width))
        sections = sections_of(select(status, self._glob), ORDERS[self._order])
        if self._filter:
            sections = [section for section in sections if _matches(section, self._filter.lower())]
        total = sum(len(section.rows) for section in sections)
        if not total:
            return Group(*head, Text(self._nothing()))
        self._room = max(1, height - _LINES_AROUND - len(head) + 1)
        self._first = max(0, min(self._first, total - self._room))
        last = min(total, self._first + self._room)
        rest = Text(no_wrap=True, overflow="crop", style="dim")
        if total > self._room:
            more = f", {total - last} more" if last < total else ""
            rest.append(f"rows {self._first + 1} to {last} of {total}{more}")
        table = make_table(sections, width, first=self._first, most=self._room, folds=False)
        return Group(*head, table, rest)

    def _keys(self, width: int) -> Text:
        keys = Text(no_wrap=True, overflow="crop")
        if self._is_typing or self._filter:
            keys.append(f"filter: {one_line(self._filter)}", "reverse" if self._is_typing else "bold")
            keys.append(
                "  Enter ends it  Esc takes it back" if self._is_typing else "  Esc takes it back  q quit", "dim"
            )
            return keys
        if width < _WIDE:
            keys.append(f"by {self._order}", "reverse")
            keys.append("  / filter  ? help  q quit", "dim")
            return keys
        keys.append("sort: ", "dim")
        for key, order in SORT_BY.items():
            keys.append(f"{key} {order}", "reverse" if order == self._order else "dim")
            keys.append("  ")
        keys.append("/ filter  ? help  q quit", "dim")
        return keys

    def _nothing(self) -> str:
        if self._filter:
            return one_line(f"nothing matches {self._filter!r}")
        return "no locks" if self._glob is None else one_line(f"no resource matches {self._glob!r}")

    def _type(self, key: str) -> None:
        if key == "enter":
            self._is_typing = False
        elif key == "escape":
            self._is_typing, self._filter = False, ""
        elif key == "backspace":
            self._filter = self._filter[:-1]
        elif len(key) == 1 and key.isprintable():
            self._filter = (self._filter + key)[:_LONGEST]
        self._first = 0

    def _scroll(self, key: str) -> None:
        page = max(1, self._room - 1)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -page, "page down": page, " ": page}
        steps |= {"home": -(10**9), "g": -(10**9), "end": 10**9, "G": 10**9}
        self._first = max(0, self._first + steps.get(key, 0))  # the end is found when it is drawn


def _matches(section: Section, text: str) -> bool:
    """Return whether C{text}, in small letters, is in a name, a state, a mode or a client of C{section}."""
    for row in section.rows:
        about = [row.name, row.type, row.state]
        if row.lock is not None:
            about += [spell_client(row.lock), row.lock.address, row.lock.mode or "", row.lock.element or ""]
        if any(text in each.lower() for each in about):
            return True
    return False


def _help() -> RenderableType:
    width = max(len(keys) for keys, _ in _HELP)
    return Group(Text("flomctl top", "bold"), *(Text(f"{keys:<{width}}  {what}") for keys, what in _HELP))
