"""C{flomctl status}: the locks that are held and waited for."""

from __future__ import annotations

import sys

from flom.client.blocking.status import open_status
from flom.ctl.output import FAILED, print_error, print_warning
from flom.ctl.place import config_of
from flom.ctl.rows import blocked_first, describe_daemon, plain_lines, sections_of, select
from flom.status.json import to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace


def show_status(arguments: Namespace) -> int:
    """Print what the daemon holds, and return the status to exit with."""
    with open_status(config_of(arguments), print_warning) as reader:
        status = select(reader.read(), arguments.glob)
    if arguments.glob is not None and not (status.resources or status.incubator):
        print_error(f"no resource matches {arguments.glob!r}")
        return FAILED
    if arguments.json:
        print(to_json(status))
        return 0
    daemon, sections = describe_daemon(status.daemon), sections_of(status, blocked_first)
    if sys.stdout.isatty():
        from flom.ctl.drawing import make_console, make_table  # with rich, which takes 50 ms

        console = make_console()
        console.print(daemon, style="bold", soft_wrap=True)
        console.print(make_table(sections, console.width) if sections else "no locks")
    else:
        print(f"# {daemon}")
        print("\n".join(plain_lines(sections)) if sections else "# no locks")
    return 0
