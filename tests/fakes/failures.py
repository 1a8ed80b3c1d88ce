"""Failures that are only logged, and would not be seen otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import provider


@contextmanager
def failures_logged() -> Iterator[list[Failure]]:
    """Collect those that are logged meanwhile, be it by C{twisted.logger} or by C{twisted.python.log.err}."""
    failures: list[Failure] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if failure := event.get("log_failure") or event.get("failure"):
            failures.append(failure)

    globalLogPublisher.addObserver(observe)
    try:
        yield failures
    finally:
        globalLogPublisher.removeObserver(observe)
