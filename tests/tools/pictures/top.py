"""A picture of C{flomctl top}, as SVG."""

from __future__ import annotations

import io
from typing import Final

from rich.console import Console

from flom.client.blocking.status import open_status
from flom.config import Config
from flom.ctl.browser import Browser

_COLUMNS: Final = 96
_LINES: Final = 17


def draw_top(sock: str) -> str:
    """Return a picture of what C{flomctl top} shows of the daemon on C{sock}."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with open_status(Config(socket_name=sock), print) as reader:
        console.print(Browser(None, "waiters").picture(reader.read(), _COLUMNS, _LINES))
    return console.export_svg(title="flomctl top")
