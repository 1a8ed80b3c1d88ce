"""C{flomctl discover} and C{flomctl doctor}: who answers in a multicast group, and why nobody does."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure

from flom.client.deferred.discovery import Answer, Asker
from flom.core.group.addresses import Group
from flom.ctl.doctor import Verdict, examine
from flom.ctl.output import BAD_USAGE, FAILED, complain, failed
from flom.errors import FlomError
from flom.net.multicast import make_group
from flom.text import one_line

_ASKED: Final = 3  # times, for datagrams get lost

Job = Callable[[Any, Group, Namespace], Coroutine[Any, Any, int]]
"""A command: it gets the reactor, the group and the arguments, and gives its status."""


def run_in_group(job: Job, arguments: Namespace) -> int:
    """Run C{job} to its end; give its status."""
    try:
        group = make_group(arguments.group, arguments.port, arguments.interface, arguments.discovery_ttl)
    except FlomError as e:
        complain(str(e))
        return BAD_USAGE

    from twisted.internet import reactor as the_reactor

    reactor: Any = the_reactor
    statuses: list[int] = []

    def lament(failure: Failure) -> int:
        return failed(failure.value, CannotListenError)

    def end(status: int) -> None:
        statuses.append(status)
        reactor.stop()

    def begin() -> None:
        Deferred.fromCoroutine(job(reactor, group, arguments)).addErrback(lament).addCallback(end)

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0] if statuses else FAILED


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
        complain(f"no daemon answers in {group}; flomctl doctor may tell why")
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
