"""C{flomctl status}: who holds what, and who waits for it."""

from __future__ import annotations

import sys
from argparse import Namespace

from flom.client.blocking.status import open_status
from flom.ctl.options import config_of
from flom.ctl.output import FAILED, complain
from flom.ctl.table import (
    blocked_first,
    describe_daemon,
    make_console,
    make_table,
    plain_lines,
    sections_of,
    select,
)
from flom.status.json import to_json
from flom.status.model import Status


def show_status(arguments: Namespace) -> int:
    """
    Print what the daemon holds.

    @return: the status to exit with.
    @raise flom.errors.FlomError: it cannot be seen.
    """
    with open_status(config_of(arguments), warn) as reader:
        status = select(reader.read(), arguments.glob)
    if arguments.glob is not None and not (status.resources or status.incubator):
        complain(f"no resource matches {arguments.glob!r}")
        return FAILED
    if arguments.json:
        print(to_json(status))
    elif sys.stdout.isatty():
        _print_table(status)
    else:
        _print_plainly(status)
    return 0


def warn(text: str) -> None:
    """Say what the user should know and what is no reason to stop."""
    complain(f"warning: {text}")


def _print_plainly(status: Status) -> None:
    print(f"# {describe_daemon(status.daemon)}")
    sections = sections_of(status, blocked_first)
    print("\n".join(plain_lines(sections)) if sections else "# no locks")


def _print_table(status: Status) -> None:
    console = make_console()
    console.print(describe_daemon(status.daemon), style="bold", soft_wrap=True)
    if sections := sections_of(status, blocked_first):
        console.print(make_table(sections, console.width))
    else:
        console.print("no locks")
