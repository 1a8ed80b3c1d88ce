"""What was logged, in words."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import LogEvent, LogLevel, formatEvent


def errors(log: Iterable[LogEvent]) -> list[str]:
    """Return the texts of the errors in C{log}."""
    return _texts(log, LogLevel.error)


def warnings(log: Iterable[LogEvent]) -> list[str]:
    """Return the texts of the warnings in C{log}."""
    return _texts(log, LogLevel.warn)


def informed(log: Iterable[LogEvent]) -> list[str]:
    """Return the texts in C{log} that only inform."""
    return _texts(log, LogLevel.info)


def _texts(log: Iterable[LogEvent], level: object) -> list[str]:
    return [formatEvent(event) for event in log if event.get("log_level") is level]
