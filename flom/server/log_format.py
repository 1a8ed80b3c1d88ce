"""How lines of the log are written: as JSON, for programs that read them, or for the journal of systemd."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime, timezone
from typing import IO, Any, Final

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.logfile import LogFile

TEXT: Final = "text"
JSON: Final = "json"
JOURNAL: Final = "journal"

_PRIORITY: Final = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}
"""What the journal, as syslog, calls the levels."""

_OF_LEGACY: Final = frozenset(
    {"message", "time", "system", "isError", "format", "failure", "printed", "logLevel", "eventSource"}
)
"""What C{twisted.python.log} adds to events."""


def json_line(event: LogEvent) -> str | None:
    """
    Return C{event} as an object of JSON and a line feed; C{None} if it says nothing.

    It has C{time} (UTC), C{level}, C{logger} and C{message}; an C{id} if FLoM has one for it; a C{traceback} if it is
    about an error of ours; and the fields of the event, such as C{peer} and C{resource}.
    """
    message = formatEvent(event)
    failure = event.get("log_failure")
    if not message and failure is None:
        return None
    instant = datetime.fromtimestamp(float(event.get("log_time", 0.0)), timezone.utc)
    record: dict[str, Any] = {
        "time": instant.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _level(event).name,
        "logger": event.get("log_namespace", ""),
        "message": message,
    }
    if "log_id" in event:
        record["id"] = event["log_id"]
    if failure is not None:
        record["traceback"] = failure.getTraceback()
    for key, value in event.items():
        if not key.startswith("log_") and key not in _OF_LEGACY:
            record.setdefault(key, value)
    return json.dumps(record, default=str) + "\n"


def journal_lines(event: LogEvent) -> str | None:
    """Return C{event} as lines that begin with its priority (sd-daemon(3)): the journal knows the time itself."""
    text = formatEvent(event)
    if (failure := event.get("log_failure")) is not None:
        text += "\n" + failure.getTraceback()
    prefix = f"<{_PRIORITY[_level(event)]}>"
    return "".join(f"{prefix}{line}\n" for line in text.splitlines() if line) or None


class _Log:
    """The log of this process, whose observer is made when C{twistd} asks for it."""

    def __init__(self) -> None:
        self._make: Callable[[], ILogObserver] | None = None

    def choose(self, make: Callable[[], ILogObserver]) -> None:
        """Set what makes the observer."""
        self._make = make

    def __call__(self) -> ILogObserver:
        assert self._make is not None
        return self._make()


log: Final = _Log()


def choose_log(
    parent: MutableMapping[str, Any],
    chosen: str,
    environ: Mapping[str, str],
    later: Callable[[Callable[[], None]], object],
) -> None:
    """
    Set how C{twistd} writes its log.

    @param parent: twistd's own options.
    @param chosen: L{TEXT}, L{JSON} or L{JOURNAL}; empty for the journal's if stdout leads there, and text otherwise.
    @param later: has the reactor call what it is given; a signal's handler may use it.
    @raise ValueError: these options leave no choice.
    """
    is_elsewhere = [option for option in ("logger", "syslog") if parent.get(option)]
    if not chosen and not is_elsewhere and not parent.get("logfile") and _is_journal(environ, sys.stdout):
        chosen = JOURNAL
    if chosen not in (JSON, JOURNAL):
        return
    if is_elsewhere:
        raise ValueError(f"twistd's --{is_elsewhere[0]} decides how the log is written")
    write = json_line if chosen == JSON else journal_lines
    log.choose(lambda: _observer(parent, write, later))
    parent["logger"] = f"{__name__}.log"  # twistd wants a name


def _observer(
    parent: Mapping[str, Any],
    write: Callable[[LogEvent], str | None],
    later: Callable[[Callable[[], None]], object],
) -> ILogObserver:
    """Return what writes where C{twistd} would have written its text."""
    name, is_in_foreground = parent.get("logfile"), parent.get("nodaemon")
    if name == "-" and not is_in_foreground:
        raise SystemExit("twistd flom: a daemon in the background cannot log to stdout")
    if name == "-" or (is_in_foreground and not name):
        return FileLogObserver(sys.stdout, write)
    file: Any = LogFile.fromFullPath(name or "twistd.log")
    if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, lambda number, frame: later(file.rotate))  # as twistd itself does
    return FileLogObserver(file, write)


def _is_journal(environ: Mapping[str, str], stream: IO[str]) -> bool:
    """Return whether C{stream} leads to the journal, as systemd says."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def _level(event: LogEvent) -> Any:
    level = event.get("log_level")
    return level if level in _PRIORITY else LogLevel.info
