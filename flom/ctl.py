"""The door of C{flomctl}: looking after the daemons of a multicast group, and certificates for them."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure

from flom import __version__
from flom.client.discovery import Answer, Asker
from flom.client.doctor import Verdict, examine
from flom.errors import FlomError, one_line
from flom.multicast import Group, make_group

FAILED: Final = 1
"""Exit status: nobody answered, or a check has failed."""

BAD_USAGE: Final = 2
"""Exit status: the command line makes no sense."""

_ASKED: Final = 3  # times, for datagrams get lost


class _Parser(ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_USAGE, one_line(f"{self.prog}: {message}") + "\n")


def main() -> None:
    """Run the program of this process's command line, and exit."""
    arguments = _parse(sys.argv[1:])
    if arguments.local_command:
        sys.exit(_run_locally(arguments))
    try:
        group = make_group(arguments.group, arguments.port, arguments.interface, arguments.discovery_ttl)
    except FlomError as e:
        _complain(str(e))
        sys.exit(BAD_USAGE)

    from twisted.internet import reactor

    sys.exit(_run(reactor, lambda: arguments.command(reactor, group, arguments)))


def make_authority(arguments: Namespace) -> list[str]:
    """Make a certificate authority; tell what to do with it."""
    from flom import certs  # the other commands need not wait for its import

    authority = certs.make_authority(arguments.directory, arguments.days)
    return [
        f"authority: {authority.certificate}, {authority.key} (keep the key to yourself)",
        f"next, for each host: flomctl certs issue {quote(str(arguments.directory))} --unique-id ID",
        "where ID is what flom --unique-id says there",
    ]


def issue_certificate(arguments: Namespace) -> list[str]:
    """Make a certificate for a host; tell how it is used."""
    from flom import certs
    from flom.identity import unique_id

    name = unique_id() if arguments.unique_id is None else arguments.unique_id
    issued = certs.issue(arguments.directory, name, arguments.days)
    return [
        f"--tls-certificate {quote(str(issued.certificate))}",
        f"--tls-private-key {quote(str(issued.key))}",
        f"--tls-ca-certificate {quote(str(arguments.directory / certs.CA_CERTIFICATE))}",
    ]


async def discover(reactor: Any, group: Group, arguments: Namespace) -> int:
    """Print who answers in C{group}, whoever leads first."""
    with Asker(group, reactor, everyone=True) as asker:
        for _ in range(_ASKED):
            await asker.collect(arguments.wait / _ASKED / 1000)
        if asker.problem is not None and not asker.answers:
            raise asker.problem
    for line in _table([_row(answer) for answer in asker.answers]):
        print(one_line(line))
    if not asker.answers:
        _complain(f"no daemon answers in {group}; flomctl doctor may tell why")
        return FAILED
    return 0


async def doctor(reactor: Any, group: Group, arguments: Namespace) -> int:
    """Print what is right and wrong with discovery in C{group}."""
    status = 0
    async with aclosing(examine(reactor, group)) as findings:
        async for finding in findings:
            print(f"{finding.verdict.value:<8} {finding.check}: {finding.detail}", flush=True)
            if finding.verdict is Verdict.FAILED:
                status = FAILED
    return status


def _parse(words: list[str]) -> Namespace:
    of_group = _Parser(add_help=False)
    of_group.add_argument("-A", "--group", required=True, metavar="ADDRESS", help="the multicast group")
    of_group.add_argument("-P", "--port", type=int, choices=_Range(1, 65535), default=28015, help="its UDP port")
    of_group.add_argument("-n", "--interface", default="", metavar="NAME", help="the only network interface to use")
    of_group.add_argument(
        "--discovery-ttl", type=int, choices=_Range(1, 255), default=1, help="routers, less one, that may be passed"
    )
    parser = _Parser(prog="flomctl", description="Look after FLoM's lock daemons.")
    parser.add_argument("-v", "--version", action="version", version=f"flom {__version__}")
    parser.set_defaults(local_command=None)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("discover", parents=[of_group], help="list the daemons of a group")
    command.add_argument(
        "-w", "--wait", type=int, choices=_Range(1, 60_000), default=1000, help="milliseconds to wait for answers"
    )
    command.set_defaults(command=discover)
    command = commands.add_parser("doctor", parents=[of_group], help="tell why the daemons of a group are not found")
    command.set_defaults(command=doctor)
    command = commands.add_parser("certs", help="make certificates for TLS")
    steps = command.add_subparsers(required=True, metavar="STEP")
    step = steps.add_parser("init", help="make a certificate authority")
    _add_certificate(step, make_authority, days=3650)
    step = steps.add_parser("issue", help="make a certificate for a host, signed by the authority")
    step.add_argument(
        "--unique-id", metavar="ID", help="what flom --unique-id says there; by default, that of this host"
    )
    _add_certificate(step, issue_certificate, days=825)
    return parser.parse_args(words)


def _add_certificate(step: ArgumentParser, command: Callable[[Namespace], list[str]], days: int) -> None:
    step.add_argument("directory", type=Path, metavar="DIR", help="where the authority is")
    step.add_argument(
        "--days",
        type=int,
        choices=_Range(1, 36500),
        default=days,
        help="how long it is valid",
    )
    step.set_defaults(local_command=command)


def _run_locally(arguments: Namespace) -> int:
    """Run a command that needs no network, and print what it says; give its status."""
    try:
        print("\n".join(arguments.local_command(arguments)), flush=True)
    except (FlomError, OSError) as e:
        return _failed(e)
    return 0


def _failed(error: BaseException | None) -> int:
    """Say what went wrong; give the status."""
    if isinstance(error, BrokenPipeError):  # whoever has read this has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for good)
        return 0
    is_expected = isinstance(error, FlomError | CannotListenError | OSError)
    _complain(str(error) if is_expected else f"internal error: {error!r}")
    return FAILED


class _Range:
    """The numbers from one to another, as C{choices} that argparse can spell."""

    def __init__(self, low: int, high: int) -> None:
        self._range = range(low, high + 1)

    def __contains__(self, number: int) -> bool:
        return number in self._range

    def __iter__(self) -> Any:
        return iter((f"{self._range[0]} to {self._range[-1]}",))


def _run(reactor: Any, job: Callable[[], Awaitable[int]]) -> int:
    """Run C{job} to its end; give its status."""
    statuses: list[int] = []

    def failed(failure: Failure) -> int:
        return _failed(failure.value)

    def end(status: int) -> None:
        statuses.append(status)
        reactor.stop()

    def begin() -> None:
        Deferred.fromCoroutine(job()).addErrback(failed).addCallback(end)  # type: ignore[arg-type]

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0] if statuses else FAILED


def _complain(why: str) -> None:
    print(one_line(f"flomctl: {why}"), file=sys.stderr)


def _row(answer: Answer) -> list[str]:
    standing = answer.reply.standing
    if standing is None:
        return ["leader", answer.host, str(answer.port), "-", "FLoM", "-"]
    since = datetime.fromtimestamp(standing.since / 1000).strftime("%Y-%m-%d %H:%M:%S")
    return [standing.role.value, answer.host, str(answer.port), answer.reply.host, answer.reply.version, since]


def _table(rows: list[list[str]]) -> list[str]:
    """Write C{rows} below each other, with a heading."""
    if not rows:
        return []
    rows = [["ROLE", "ADDRESS", "PORT", "HOST", "VERSION", "SINCE"], *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
