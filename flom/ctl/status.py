"""C{flomctl status}: the locks that are held and waited for."""

from __future__ import annotations

import os
import stat
import sys

from flom.client.blocking.status import open_status
from flom.ctl.output import FAILED, columns, print_error, print_warning
from flom.ctl.place import config_of
from flom.ctl.rows import blocked_first, describe_daemon, plain_lines, sections_of, select
from flom.errors import DaemonUnreachable
from flom.status.json import to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace


def show_status(arguments: Namespace) -> int:
    """Print what the daemon holds, and return the status to exit with."""
    try:
        with open_status(config_of(arguments), print_warning) as reader:
            status = select(reader.read(), arguments.glob)
    except DaemonUnreachable as e:
        e.args = (f"{e}{_socket_hint(arguments.glob)}",)
        raise
    if arguments.glob is not None and not (status.resources or status.incubator):
        print_error(f"no resource matches {arguments.glob!r}{_socket_hint(arguments.glob)}")
        return FAILED
    if arguments.json:
        print(to_json(status))
        return 0
    daemon, sections = describe_daemon(status.daemon), sections_of(status, blocked_first)
    nothing = "no locks" if status.daemon.grace_left is None else "no locks were reclaimed yet"
    if not sys.stdout.isatty():
        print(f"# {daemon}")
        print("\n".join(plain_lines(sections)) if sections else f"# {nothing}")
        return 0
    try:
        from flom.ctl.drawing import make_console, make_table  # with rich, which takes 50 ms
    except ImportError:
        print(daemon)
        print("\n".join(columns([line.split("\t") for line in plain_lines(sections)])) if sections else nothing)
    else:
        console = make_console()
        console.print(daemon, style="bold", soft_wrap=True)
        console.print(make_table(sections, console.width) if sections else nothing)
    return 0


def _socket_hint(glob: str | None) -> str:
    """Return what to add to an error if C{glob}, which is to be a pattern for names, is the path of a socket."""
    try:
        is_socket = glob is not None and stat.S_ISSOCK(os.stat(glob).st_mode)
    except (OSError, ValueError):
        return ""
    return f"; that is a socket: -s {glob}?" if is_socket else ""
