"""The command line of C{flomctl}: its commands and their options."""

from __future__ import annotations

from argparse import REMAINDER
from importlib import import_module

from flom._version import __version__
from flom.ctl.options import Parser, Range, duration, filled, interval, lasting, title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Final

SORT_KEYS: Final = ("waiters", "waiting", "held", "name")
"""What C{flomctl top} sorts by."""


def parse(words: list[str]) -> Namespace:
    """Read C{words}, the command line without the name of the program; exit if they make no sense, or ask for help."""
    return make_parser().parse_args(words)


def make_parser() -> Parser:
    """Return what reads the command line, whose commands get their options when they are needed."""
    parser = Parser(prog="flomctl", description="Look after FLoM's lock daemons, and see what they hold.")
    parser.add_argument("-v", "--version", action="version", version=f"flom {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, add_options, help in (
        ("status", _add_status, "show the holders and waiters of each resource"),
        ("top", _add_top, "show the same live, on a terminal; ? shows its keys"),
        ("wait-for", _add_wait_for, "show who blocks whom; status 3 for a deadlock"),
        ("deadlocks", _add_deadlocks, "show which holders wait for one another; status 3 if there are any"),
        ("value", _add_value, "show the values of resources, and when jobs of --once-per were done last; or set one"),
        ("hold", _add_hold, "hold a lock without a process, and print its handle"),
        ("renew", _add_renew, "begin the time of such a hold anew"),
        ("release", _add_release, "release a hold by its handle, or end a lock that another client holds"),
        ("shutdown", _add_shutdown, "end a daemon, unless locks are held"),
        ("drain", _add_drain, "have a daemon grant nothing more, and end when nothing is held"),
        (
            "handover",
            _add_handover,
            "have the leader of a group, or by a quorum, leave the granting, and all locks, to a standby",
        ),
        ("discover", _add_discover, "list the daemons of a group, or who leads by a quorum"),
        (
            "doctor",
            _add_doctor,
            "find out why a daemon, or those of a group, are not found, or what is wrong with a quorum",
        ),
        ("epoch", _add_epoch, "show the epoch of a quorum, or raise it after a restore of etcd"),
        ("certs", _add_certs, "make certificates for TLS"),
        ("convert", _add_convert, "change the mode of the lock of the flom-run that this runs under"),
        ("fence", _add_fence, "run a command unless its lock has been lost to a later holder"),
        ("explain", _add_explain, "say what an exit status, a return code or a name means, and what to do"),
        ("check", _add_check, "verify that locks have excluded each other, from histories of flom-run --history"),
    ):
        commands.add_parser(name, add_options=add_options, help=help, description=f"{help[0].upper()}{help[1:]}.")
    return parser


def find_command(arguments: Namespace) -> Callable[[Namespace], int]:
    """Import what runs the command that L{parse} has found, and return it; it returns the status to exit with."""
    module, _, function = arguments.run.partition(":")
    command: Callable[[Namespace], int] = getattr(import_module(f"flom.ctl.{module}"), function)
    return command


def _add_status(command: Parser) -> None:
    _add_glob(command)
    _add_place(command)
    _add_json(command)
    command.set_defaults(run="status:show_status")


def _add_top(command: Parser) -> None:
    _add_glob(command)
    _add_place(command)
    command.add_argument("--sort", choices=SORT_KEYS, default=SORT_KEYS[0], help="what comes first")
    help = "seconds from one look at the daemon to the next, 0.1 to 3600; by default 1"
    command.add_argument("--interval", type=interval, default=1.0, metavar="SECONDS", help=help)
    command.set_defaults(run="top:show_live")


def _add_wait_for(command: Parser) -> None:
    _add_place(command)
    help = "its name; for a hierarchy, that of a node; by default, all that is waited for"
    command.add_argument("resource", nargs="?", metavar="RESOURCE", help=help)
    _add_json(command)
    command.set_defaults(run="wait_for:show_waiting")


def _add_deadlocks(command: Parser) -> None:
    _add_place(command)
    _add_json(command)
    command.set_defaults(run="deadlocks:show_deadlocks")


def _add_value(command: Parser) -> None:
    help = (
        "in a command under flom-run --value, --read-value or --once-per: the value that is kept if the command ends "
        "with 0, up to 64 bytes; -: the first line of stdin"
    )
    command.add_argument("--set", dest="text", metavar="TEXT", help=help)
    _add_glob(command)
    _add_place(command)
    _add_json(command)
    command.set_defaults(run="value:show_values")


def _add_hold(command: Parser) -> None:
    from flom.ctl.place import add_lock

    command.add_argument("resource", type=filled, metavar="RESOURCE", help="its name; for a hierarchy, that of a node")
    help = "how long it lasts unless it is renewed or adopted, such as 90s, 10m, 8h; by default 10m"
    command.add_argument("--ttl", type=lasting, default=600.0, metavar="TIME", help=help)
    help = "what it is for, as the status shows it; 40 characters at most"
    command.add_argument("--as", dest="title", type=title, metavar="NAME", help=help)
    add_lock(command)
    _add_place(command)
    _add_json(command)
    command.set_defaults(run="hold:hold")


def _add_renew(command: Parser) -> None:
    command.add_argument("handle", type=filled, metavar="HANDLE", help="what flomctl hold has printed")
    help = "its new TTL, such as 90s, 10m, 8h; by default, the one that it has"
    command.add_argument("--ttl", type=lasting, metavar="TIME", help=help)
    _add_place(command)
    _add_json(command)
    command.set_defaults(run="hold:renew")


def _add_release(command: Parser) -> None:
    _add_place(command)
    _add_json(command)
    help = (
        "its name; for a hierarchy, that of a node; or the handle of a hold: hold-..., as flomctl hold has printed it"
    )
    command.add_argument("resource", type=filled, metavar="RESOURCE|HANDLE", help=help)
    help = "that of the holder, if there are several, as flomctl status shows it in a pipe"
    which = command.add_mutually_exclusive_group()
    which.add_argument("number", nargs="?", type=int, choices=Range(1, 2**63 - 1), metavar="NUMBER", help=help)
    which.add_argument("--all", action="store_true", help="end all that is held of it, or at or below the node")
    command.set_defaults(run="release:release")


def _add_shutdown(command: Parser) -> None:
    _add_place(command)
    help = "end it at once, though locks are held: a holder reclaims its lock from the next daemon, or loses it"
    command.add_argument("--now", action="store_true", help=help)
    command.set_defaults(run="shutdown:shutdown")


def _add_drain(command: Parser) -> None:
    _add_place(command)
    help = "seconds, or 500ms, 2m, to wait for its end, which comes in any case; status 1 if they are over"
    command.add_argument("--timeout", type=duration, metavar="SECONDS", help=help)
    command.set_defaults(run="drain:drain")


def _add_handover(command: Parser) -> None:
    _add_place(command)
    command.set_defaults(run="handover:hand_over")


def _add_discover(command: Parser) -> None:
    _add_group(command)
    _add_quorum(command)
    command.add_argument(
        "-w",
        "--wait",
        type=int,
        choices=Range(1, 60_000),
        default=1000,
        metavar="MS",
        help="milliseconds to wait for answers, 1 to 60000",
    )
    _add_json(command)
    command.set_defaults(run="discover:discover")


def _add_doctor(command: Parser) -> None:
    from flom.ctl.place import add_address

    add_address(command)
    _add_group(command)
    _add_quorum(command)
    _add_json(command)
    command.set_defaults(run="doctor:doctor")


def _add_epoch(command: Parser) -> None:
    _add_quorum(command)
    help = "put the next epoch above all that there can have been, and let daemons lead again"
    command.add_argument("--raise", dest="should_raise", action="store_true", help=help)
    help = "with --raise: an epoch that the next one is to be above, such as that of a token that a store has seen"
    most = 2**31 - 2**20 - 2
    command.add_argument("--above", type=int, choices=Range(0, most), default=-1, metavar="EPOCH", help=help)
    _add_json(command)
    command.set_defaults(run="epoch:epoch")


def _add_certs(command: Parser) -> None:
    steps = command.add_subparsers(required=True, metavar="STEP")
    steps.add_parser("init", add_options=_add_init, help="make a certificate authority")
    help = "make a certificate for a host, signed by the authority"
    steps.add_parser("issue", add_options=_add_issue, help=help)


def _add_init(step: Parser) -> None:
    _add_certificate(step, days=3650)
    step.set_defaults(run="certs:make_authority")


def _add_issue(step: Parser) -> None:
    help = "what flom --unique-id says there; by default, that of this host"
    step.add_argument("--unique-id", metavar="ID", help=help)
    _add_certificate(step, days=825)
    step.set_defaults(run="certs:issue_certificate")


def _add_fence(command: Parser) -> None:
    help = "what the command changes; FILE.fence has the highest token"
    command.add_argument("file", type=filled, metavar="FILE", help=help)
    help = "the command and its arguments, which runs if FLOM_TOKEN is not lower; else, the status is 94"
    command.add_argument("command", nargs=REMAINDER, metavar="-- COMMAND [ARG...]", help=help)
    command.set_defaults(run="fence:run_fenced")


def _add_explain(command: Parser) -> None:
    help = "a status, such as 98; a return code of FLoM, such as -5; a name, such as SIGTERM; by default, all there are"
    command.add_argument("what", nargs="*", type=filled, metavar="WHAT", help=help)
    _add_json(command)
    command.set_defaults(run="explain:explain")


def _add_convert(command: Parser) -> None:
    help = "NL, CR, CW, PR, PW or EX; what excludes no more than the mode that is held is granted at once"
    command.add_argument(
        "mode", type=str.upper, choices=("NL", "CR", "CW", "PR", "PW", "EX"), metavar="MODE", help=help
    )
    limit = command.add_mutually_exclusive_group()
    help = "seconds, or 500ms, 2m, to wait for it at most; if they are over, the lock is held as it was, with status 98"
    limit.add_argument("--timeout", "--wait", dest="wait", type=duration, metavar="SECONDS", help=help)
    limit.add_argument("--no-wait", action="store_true", help="do not wait: status 98 if other holders are in the way")
    command.set_defaults(run="convert:convert")


def _add_check(command: Parser) -> None:
    help = "files of flom-run --history, of one host or of several, all that used the resources; -: stdin"
    command.add_argument("history", nargs="+", type=filled, metavar="HISTORY", help=help)
    help = "seconds by which the wall clocks of two hosts may differ; by default 1"
    command.add_argument("--skew", type=duration, default=1.0, metavar="SECONDS", help=help)
    help = "leave out commands that have told no end, as if each had ended before another began"
    command.add_argument("--assume-ended", action="store_true", help=help)
    command.set_defaults(run="check:check")


def _add_json(command: Parser) -> None:
    command.add_argument("--json", action="store_true", help="write all of it as one line of JSON")


def _add_glob(command: Parser) -> None:
    command.add_argument("glob", nargs="?", metavar="RESOURCE-GLOB", help="a pattern for names, such as 'db*'")


def _add_place(command: Parser) -> None:
    # with all settings, which neither commands for groups nor those for certificates need
    from flom.ctl.place import add_place

    add_place(command)


def _add_quorum(command: Parser) -> None:
    from flom.ctl.quorum import add_quorum  # with all settings

    add_quorum(command)


def _add_group(command: Parser) -> None:
    group = command.group("Group")
    group.add_argument("-A", "--group", metavar="ADDRESS", help="the multicast group")
    group.add_argument(
        "-P", "--port", type=int, choices=Range(1, 65535), default=28015, metavar="PORT", help="its UDP port"
    )
    group.add_argument("-n", "--interface", default="", metavar="IF", help="the only network interface to use")
    help = "IP TTL of datagrams, 1 to 255; 1: same link only"
    group.add_argument("--discovery-ttl", type=int, choices=Range(1, 255), default=1, metavar="N", help=help)
    group.add_argument("--group-key", type=filled, metavar="FILE", help="the file with its key, if it has one")


def _add_certificate(step: Parser, days: int) -> None:
    step.add_argument("directory", type=filled, metavar="DIR", help="where the authority is")
    step.add_argument(
        "--days", type=int, choices=Range(1, 36500), default=days, metavar="DAYS", help="how long it is valid"
    )
