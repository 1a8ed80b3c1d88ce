"""
How it went, at the end of C{flom-run}: C{-V} says so in one line, C{--status-file} keeps it as JSON.

So a status that the command has exited with can be told from the same number of ours.
"""

from __future__ import annotations

import os
from time import monotonic

from flom.codes import ExitStatus
from flom.config import SIGNAL_NAMES
from flom.errors import ConfigError
from flom.job.status import status_after
from flom.run.terminal import print_error, warn
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from flom.config import Config
    from flom.job.wording import Wording

FORMAT: Final = 1
"""The number of the format of a status file; it changes if a key goes or means something else."""


class Account:
    """What has happened to one command and its lock so far, and since when."""

    def __init__(self, config: Config, wording: Wording, names: Sequence[str]) -> None:
        """
        Begin to count, and open the status file, if there is to be one.

        @param config: its C{verbose} says whether there is a line at the end.
        @param names: what is to be locked.
        @raise ConfigError: the file cannot be written to.
        """
        self._wording = wording
        self._names = list(names)
        self._is_told = config.verbose and wording.sums_up
        self._times: dict[str, float] = {}  # of events, in seconds of the monotonic clock
        self._command_status: int | None = None  # -N if signal N has ended it
        self._why: ExitStatus | None = None
        self._is_closed = False
        self._path = config.status_file
        self._file = _open(self._path) if self._path else -1

    def note(self, event: str, status: object = None) -> None:
        """
        Note that an event of the history happens now (docs/reference/history.md).

        @param status: what the command has exited with, -N for signal N, if it C{"end"}s.
        """
        self._times.setdefault(event, monotonic())
        if event == "end" and isinstance(status, int):
            self._command_status = status

    def explain(self, why: ExitStatus) -> None:
        """Note that it is not the command that decides about the status, and C{why}."""
        self._why = why

    def close(self, status: int) -> int:
        """
        Say how it went, once.

        @param status: what this process is about to exit with, -N for death by signal N.
        @return: the same.
        """
        if self._is_closed:
            return status
        self._is_closed = True
        self._times.setdefault("close", monotonic())
        if self._command_status not in (None, status) and self._why is None:
            self._why = ExitStatus.LOST  # nothing else comes between the end of a command and ours
        if self._is_told:
            print_error(self._wording.account(self._spell(status)))
        if self._file >= 0:
            self._write(status)
        return status

    def _between(self, first: str, *last: str) -> float | None:
        """Return the seconds from one event to the first of C{last} that there was, or to now; C{None}: without it."""
        if first not in self._times:
            return None
        return min(self._times[each] for each in (*last, "close") if each in self._times) - self._times[first]

    def _durations(self) -> dict[str, float | None]:
        """Return the seconds for which the lock was waited for and held, and the command ran; C{None}: not at all."""
        return {
            "waited": self._between("request", "grant"),
            "held": self._between("grant", "release", "loss"),
            "ran": self._between("begin", "end"),
        }

    def _spell(self, status: int) -> str:
        times = [f"{what} {seconds:.3f} s" for what, seconds in self._durations().items() if seconds is not None]
        if self._command_status is not None:
            end = f"command {_spell_end(self._command_status)}"
            if self._why is not None:
                end += f"; {self._why.word}, status {status_after(status)}"
            elif "loss" in self._times:
                end += "; the lock was lost"
            return ", ".join([*times, end])
        if self._why is None and status < 0:
            return ", ".join([*times, f"not run: {_signal_name(-status)}"])
        why = ExitStatus.ERROR if self._why is None else self._why
        return ", ".join([*times, f"not run: {why.word}, status {status_after(status)}"])

    def _write(self, status: int) -> None:
        import json

        command = self._command_status
        is_command_s = command is not None and self._why is None
        times = {what: None if seconds is None else round(seconds, 6) for what, seconds in self._durations().items()}
        line: dict[str, Any] = {
            "format": FORMAT,
            "resources": self._names,
            "status": status_after(status),
            "decided_by": "command" if is_command_s else "flom-run",
            "why": None if self._why is None else self._why.word,
            "signal": _signal_name(-status) if status < 0 else None,
            "lost": "loss" in self._times,
            "command_status": None if command is None else status_after(command),
            **times,
        }
        text = (json.dumps(line) + "\n").encode()
        try:
            why = "" if os.write(self._file, text) == len(text) else "no space left on device"
        except OSError as e:
            why = reason(e)
        if why:
            warn(f"the status file {self._path} is not whole: {why}")


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as e:
        raise ConfigError(f"status-file: '{path}' cannot be written to: {reason(e)}") from None


def _spell_end(status: int) -> str:
    return f"exited with {status}" if status >= 0 else f"ended by {_signal_name(-status)}"


def _signal_name(number: int) -> str:
    return SIGNAL_NAMES[number - 1] if number <= len(SIGNAL_NAMES) else f"signal {number}"
