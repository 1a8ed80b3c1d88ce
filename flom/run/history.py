"""The history that C{flom-run --history} appends to (docs/reference/history.md), for C{flomctl check}."""

from __future__ import annotations

import json
import os
from time import CLOCK_BOOTTIME, clock_gettime_ns, time_ns

from flom.core.history.lines import FORMAT
from flom.core.names import parse_name
from flom.errors import ConfigError
from flom.run.terminal import warn
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flom.config import Config


class HistoryFile:
    """
    The file, to which each event of this process's lock is appended as one line, in one write: any number of processes
    of one host may share it. What cannot be written is said once; the lock matters more.
    """

    def __init__(self, path: str, config: Config, command: str) -> None:
        """
        Open the file, which is made if need be.

        @param command: the name of the program that the lock is for.
        @raise ConfigError: it cannot be written to.
        """
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except (OSError, ValueError) as e:
            raise ConfigError(f"history: '{path}' cannot be written to: {reason(e)}") from None
        self._path = path
        self._is_well = True
        self._always = {"id": os.urandom(8).hex(), "clock": clock_id(), "host": os.uname().nodename}
        name = parse_name(config.resource_name)
        self._lock: dict[str, Any] = {
            "name": config.resource_name,
            "mode": config.lock_mode.name if name.has_mode else "EX",
            "quantity": config.quantity if name.has_quantity else 1,
            "lifespan": config.idle_lifespan_ms / 1000,
            "on_lost": config.on_lost or "warn",
            "command": command,
        }

    def adapt(self, config: Config) -> None:
        """Note what C{config} has become since we know of which kind the daemon is."""
        self._lock["on_lost"] = config.on_lost or "warn"

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._file

    def note(self, event: str, **more: Any) -> None:
        """
        Append a line for C{event}, which is happening now.

        @param more: fields; those that are C{None} are left out.
        """
        line = {"format": FORMAT, "event": event, "boottime_ns": clock_gettime_ns(CLOCK_BOOTTIME), "wall_ns": time_ns()}
        line |= self._always | (self._lock if event in ("request", "begin") else {})
        line |= {key: value for key, value in more.items() if value is not None}
        text = (json.dumps(line) + "\n").encode()
        try:
            why = "" if os.write(self._file, text) == len(text) else "no space left on device"
        except OSError as e:
            why = reason(e)
        if why and self._is_well:
            self._is_well = False
            warn(f"the history {self._path} is not whole: {why}")


def clock_id() -> str:
    """
    Return what tells the clock of this process from others: two that have the same can compare their boottimes.

    It is the kernel's, since its last start, and that of the time namespace, which may have the clock shifted.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        namespace = os.readlink("/proc/self/ns/time") if os.path.lexists("/proc/self/ns/time") else ""
    except OSError:  # no /proc
        return f"host {os.uname().nodename}"
    return f"{boot} {namespace}".rstrip()
