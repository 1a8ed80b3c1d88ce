"""The command line of C{flomctl}, and what runs each command."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from flom._version import __version__
from flom.ctl.options import Parser, Range, add_place
from flom.ctl.output import BAD_USAGE, FAILED, print_error, report
from flom.errors import ConfigError
from flom.text import missing_extra

SORT_KEYS: Final = ("waiters", "waiting", "held", "name")
"""What C{flomctl top} sorts by."""


def main() -> None:
    """Run the program of this process's command line, and exit."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name need not be text, nor the terminal take all of it
    arguments = _parse(sys.argv[1:])
    try:
        # imported now, so that no command waits for what only another one needs
        module, _, function = arguments.run.partition(":")
        status = getattr(import_module(f"flom.ctl.{module}"), function)(arguments)
        sys.stdout.flush()
    except ConfigError as e:
        print_error(str(e))
        status = BAD_USAGE
    except ModuleNotFoundError as e:
        print_error(missing_extra(e, "ctl"))
        status = FAILED
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except Exception as e:
        status = report(e)
    sys.exit(status)


def _parse(words: list[str]) -> Namespace:
    parser = Parser(prog="flomctl", description="Look after FLoM's lock daemons, and see what they hold.")
    parser.add_argument("-v", "--version", action="version", version=f"flom {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    place, shown = Parser(add_help=False), Parser(add_help=False)
    add_place(place)
    shown.add_argument("glob", nargs="?", metavar="RESOURCE-GLOB", help="a pattern for names, such as 'db*'")
    parents = [shown, place]
    command = commands.add_parser("status", parents=parents, help="show the holders and waiters of each resource")
    command.add_argument("--json", action="store_true", help="write all of it as one line of JSON")
    command.set_defaults(run="status:show_status")
    help = "show the same live, on a terminal; w, t, h and n sort it, q quits"
    command = commands.add_parser("top", parents=parents, help=help)
    command.add_argument("--sort", choices=SORT_KEYS, default=SORT_KEYS[0], help="what comes first")
    command.set_defaults(run="top:show_live")
    help = "show who blocks whom at a resource; status 3 for a deadlock"
    command = commands.add_parser("wait-for", parents=[place], help=help)
    command.add_argument("resource", metavar="RESOURCE", help="its name; for a hierarchy, that of a node")
    command.set_defaults(run="wait_for:show_waiting")
    _add_discovery(commands.add_parser)
    _add_certs(commands.add_parser("certs", help="make certificates for TLS"))
    return parser.parse_args(words)


def _add_discovery(add_parser: Callable[..., ArgumentParser]) -> None:
    of_group = Parser(add_help=False)
    of_group.add_argument("-A", "--group", required=True, metavar="ADDRESS", help="the multicast group")
    of_group.add_argument("-P", "--port", type=int, choices=Range(1, 65535), default=28015, help="its UDP port")
    of_group.add_argument("-n", "--interface", default="", metavar="NAME", help="the only network interface to use")
    of_group.add_argument(
        "--discovery-ttl", type=int, choices=Range(1, 255), default=1, help="IP TTL of datagrams; 1: same link only"
    )
    of_group.add_argument("--group-key", default="", metavar="FILE", help="the file with its key, if it has one")
    command = add_parser("discover", parents=[of_group], help="list the daemons of a group")
    command.add_argument(
        "-w", "--wait", type=int, choices=Range(1, 60_000), default=1000, help="milliseconds to wait for answers"
    )
    command.set_defaults(run="discover:discover")
    command = add_parser("doctor", parents=[of_group], help="find out why the daemons of a group are not found")
    command.set_defaults(run="doctor:doctor")


def _add_certs(command: ArgumentParser) -> None:
    steps = command.add_subparsers(required=True, metavar="STEP")
    step = steps.add_parser("init", help="make a certificate authority")
    _add_certificate(step, "certs:make_authority", days=3650)
    step = steps.add_parser("issue", help="make a certificate for a host, signed by the authority")
    help = "what flom --unique-id says there; by default, that of this host"
    step.add_argument("--unique-id", metavar="ID", help=help)
    _add_certificate(step, "certs:issue_certificate", days=825)


def _add_certificate(step: ArgumentParser, run: str, days: int) -> None:
    step.add_argument("directory", type=Path, metavar="DIR", help="where the authority is")
    step.add_argument("--days", type=int, choices=Range(1, 36500), default=days, help="how long it is valid")
    step.set_defaults(run=run)
