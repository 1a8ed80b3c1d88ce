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
    from collections.abc import Sequence
    from typing import Any

    from flom.config import Config
    from flom.core.modes import LockMode
    from flom.core.protocol.events import Granted


class HistoryFile:
    """
    The file, to which each event of this process's lock is appended as one line, or of several locks, one line for each
    as if it were the only one, in one write: any number of processes of one host may share it. What cannot be written
    is said once; the lock matters more.
    """

    def __init__(self, path: str, configs: Sequence[Config], command: str) -> None:
        """
        Open the file, which is made if need be.

        @param configs: what each lock is.
        @param command: the name of the program that the lock is for.
        @raise ConfigError: it cannot be written to.
        """
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except (OSError, ValueError) as e:
            raise ConfigError(f"history: '{path}' cannot be written to: {reason(e)}") from None
        self._path = path
        self._is_well = True
        self._always = {"clock": clock_id(), "host": os.uname().nodename}
        self._common = {"on_lost": configs[0].on_lost or "warn", "command": command}
        self._locks = [(os.urandom(8).hex(), _about(config)) for config in configs]
        self._token: int | None = None

    def adapt(self, config: Config) -> None:
        """Note what C{config} has become since we know of which kind the daemon is."""
        self._common["on_lost"] = config.on_lost or "warn"

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._file

    def go_on(self, mode: LockMode, token: int | None) -> None:
        """Begin the lines of another acquisition: the command goes on with its only lock in C{mode}, by C{token}."""
        is_new = token is not None and token != self._token
        self._token = token
        self._locks = [(os.urandom(8).hex(), self._locks[0][1] | {"mode": mode.name})]
        told = str(token) if is_new else None
        self.note("request", pid=os.getpid())
        self.note("grant", token=told)
        self.note("begin", token=told)

    def note(self, event: str, granted: Granted | None = None, **more: Any) -> None:
        """
        Append a line for C{event}, which is happening now.

        @param granted: what has become of the locks, if that is to be told.
        @param more: fields; those that are C{None} are left out.
        """
        now = {"boottime_ns": clock_gettime_ns(CLOCK_BOOTTIME), "wall_ns": time_ns()}
        parts = [None] * len(self._locks) if granted is None else granted.parts or (granted,)
        if granted is not None:
            self._token = granted.token
        lines = []
        for (id, lock), part in zip(self._locks, parts, strict=True):
            line: dict[str, Any] = {"format": FORMAT, "event": event} | now | {"id": id} | self._always
            line |= lock | self._common if event in ("request", "begin") else {}
            got = {} if part is None else {"element": part.element, "token": part.token and str(part.token)}
            line |= {key: value for key, value in (more | got).items() if value is not None}
            lines.append(json.dumps(line) + "\n")
        text = "".join(lines).encode()
        try:
            why = "" if os.write(self._file, text) == len(text) else "no space left on device"
        except OSError as e:
            why = reason(e)
        if why and self._is_well:
            self._is_well = False
            warn(f"the history {self._path} is not whole: {why}")


def _about(config: Config) -> dict[str, Any]:
    """Return what the lock is that C{config} asks for."""
    name = parse_name(config.resource_name)
    return {
        "name": config.resource_name,
        "mode": config.lock_mode.name if name.has_mode else "EX",
        "quantity": config.quantity if name.has_quantity else 1,
        "lifespan": config.idle_lifespan_ms / 1000,
        **({"nested": config.nested} if config.nested == "share" else {}),
    }


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
