"""C{flomctl top}: the locks that are held and waited for, live."""

from __future__ import annotations

import gc
import signal
from argparse import Namespace
from collections.abc import Callable
from time import monotonic
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from flom.client.blocking.status import TIMEOUT, StatusReader, open_status
from flom.config import Config
from flom.ctl.drawing import make_table
from flom.ctl.output import BAD_USAGE, print_error, print_warning
from flom.ctl.place import config_of
from flom.ctl.rows import ORDERS, describe_daemon, sections_of, select
from flom.ctl.screen import Ended, Screen
from flom.errors import FlomError
from flom.status.model import Status
from flom.text import one_line

_PERIOD: Final = 1.0  # seconds from one picture to the next
_PATIENCE: Final = 2.0  # seconds that a daemon has, while the keys wait
_KEYS: Final = {"w": "waiters", "t": "waiting", "h": "held", "n": "name"}
_LINES_AROUND: Final = 6  # beside the rows: the daemon, the keys, headings, what is left out


def show_live(arguments: Namespace) -> int:
    """Show what the daemon holds until the user quits, and return the status to exit with."""
    config = config_of(arguments)
    screen = Screen()
    if not screen.is_usable:
        print_error("top needs a terminal; flomctl status does not")
        return BAD_USAGE
    source = _Source(config)
    source.open(TIMEOUT, print_warning)  # errors and warnings of the start are for stderr
    gc.enable()  # this may run for hours
    try:
        with screen:
            _Top(source, arguments.glob, arguments.sort).run(screen)
    except Ended as e:
        return 0 if e.number == signal.SIGINT else 128 + e.number
    finally:
        source.close()
    return 0


class _Source:
    """
    Where the status comes from, even if the daemon is another one by now.

    @ivar problem: why there is none at the moment; the empty string if there is one.
    """

    def __init__(self, config: Config) -> None:
        self.problem = ""
        self._config = config
        self._reader: StatusReader | None = None

    def open(self, timeout: float, warn: Callable[[str], None]) -> StatusReader:
        """Connect, unless that is done; C{warn} is called with each warning for the user."""
        if self._reader is None:
            self._reader = open_status(self._config, warn, timeout)
        return self._reader

    def read(self) -> Status | None:
        """Return the status; C{None} if the daemon does not show it, see L{problem}."""
        try:
            status = self.open(_PATIENCE, lambda text: None).read(timeout=_PATIENCE)
        except (FlomError, OSError) as e:
            self.close()
            self.problem = str(e)
            return None
        self.problem = ""
        return status

    def close(self) -> None:
        """Disconnect."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


class _Top:
    """What is on the screen."""

    def __init__(self, source: _Source, glob: str | None, order: str) -> None:
        self._source = source
        self._glob = glob
        self._order = order

    def run(self, screen: Screen) -> None:
        """Draw, until C{q} is pressed or there are no keys any more."""
        status, next_time = self._source.read(), monotonic() + _PERIOD
        while True:
            screen.draw(self._picture(status, *screen.size))
            key = screen.wait_for_key(next_time - monotonic())
            if key in ("q", "Q", ""):
                return
            if key is not None:
                self._order = _KEYS.get(key, self._order)
            if monotonic() >= next_time:
                status, next_time = self._source.read(), monotonic() + _PERIOD

    def _picture(self, status: Status | None, width: int, height: int) -> RenderableType:
        keys = Text(no_wrap=True, overflow="crop")
        for key, order in _KEYS.items():
            keys.append(f"{key} {order}  ", "reverse" if order == self._order else "dim")
        keys.append("q quit", "dim")
        if status is None:
            problem = one_line(f"daemon unreachable, trying again: {self._source.problem}")
            return Group(Text(problem, "bold red"), keys)
        head = Text(describe_daemon(status.daemon), "bold", no_wrap=True, overflow="ellipsis")
        sections = sections_of(select(status, self._glob), ORDERS[self._order])
        if not sections:
            nothing = "no locks" if self._glob is None else one_line(f"no resource matches {self._glob!r}")
            return Group(head, keys, Text(nothing))
        room = max(1, height - _LINES_AROUND)
        left_out = sum(len(section.rows) for section in sections) - room
        more = Text(f"and {left_out} more" if left_out > 0 else "", "dim")
        return Group(head, keys, Text(), make_table(sections, width, most=room, folds=False), more)
