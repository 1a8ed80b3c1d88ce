"""C{flomctl top}: the locks that are held and waited for, live."""

from __future__ import annotations

import gc
import signal
from argparse import Namespace
from collections.abc import Callable
from time import monotonic
from typing import Final

from flom.client.blocking.status import TIMEOUT, StatusReader, open_status
from flom.config import Config
from flom.ctl.browser import Browser
from flom.ctl.output import BAD_USAGE, print_error, print_warning
from flom.ctl.place import config_of
from flom.ctl.screen import Ended, Screen
from flom.errors import FlomError
from flom.status.model import Status

_PATIENCE: Final = 2.0  # seconds that a daemon has, while the keys wait


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
            _run(screen, source, Browser(arguments.glob, arguments.sort), arguments.interval)
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


def _run(screen: Screen, source: _Source, browser: Browser, interval: float) -> None:
    """Draw, until the user has quit."""
    status, next_time = source.read(), monotonic() + interval
    while not browser.is_over:
        screen.draw(browser.picture(status, *screen.size, source.problem))
        for key in screen.wait_for_keys(next_time - monotonic()):
            browser.press(key)
        if monotonic() >= next_time:
            status, next_time = source.read(), monotonic() + interval
