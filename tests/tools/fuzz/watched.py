"""A daemon whose log, memory and table are looked at: L{Watched}."""

from __future__ import annotations

import json
import re
import subprocess
from collections import deque
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Final

from tests.fakes.daemon import BIN, Daemon
from tests.tools.fuzz.checker import Wrong

FORGOTTEN_WITHIN: Final = 20.0
"""Seconds after which no client must be left, and no resource of clients of ours, whose lifespans are up to 1.5 s."""

_ALARMING: Final = re.compile("Traceback|Unhandled|[Ff]ailure|Error:|MemoryError|[\udc80-\udcff]")
"""What no line of its log may have in it; the last are bytes that are no UTF-8."""


class Watched(Daemon):
    """
    A daemon with room for thousands of clients; its log is read as it comes, so that it never waits for us.

    @ivar alarming: lines of its log that tell of a fault of its own.
    @ivar lines: how many lines there were.
    @ivar last: the last of them.
    """

    def __init__(self, *arguments: str, reserves: bool = False) -> None:
        super().__init__(*arguments, descriptors=4096, reserves=reserves)
        self.lines = 0
        self.last: deque[str] = deque(maxlen=20)
        self.alarming: list[str] = []

    def __enter__(self) -> Watched:
        super().__enter__()
        self._reader = Thread(target=self._read_log, daemon=True)
        self._reader.start()
        return self

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines += 1
            self.last.append(line)
            if _ALARMING.search(line) or (self.alarming and len(self.alarming) < 50):
                self.alarming.append(line)  # what follows the first tells more

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self._reader.join(30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill_and_restart(self, seconds: float = 0.0) -> None:
        """Kill it by SIGKILL, and start it anew some seconds later."""
        self.__exit__(None, None, None)
        sleep(seconds)  # clients look for it meanwhile
        self.__enter__()

    def stop(self) -> int:
        """End it in good order; give its exit status."""
        self.process.terminate()
        self.process.wait(30)
        self._reader.join(30)
        return self.process.returncode

    @property
    def rss(self) -> int:
        """KiB of memory that it takes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def status(self) -> dict[str, Any]:
        """Return what C{flomctl} shows of it."""
        shown = subprocess.run(
            [str(BIN / "flomctl"), "status", "-s", self.socket, "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if shown.returncode != 0:
            raise Wrong(f"flomctl cannot show the daemon: {shown.stderr}")
        status: dict[str, Any] = json.loads(shown.stdout)
        return status

    def check(self) -> None:
        """
        See that it lives, that its table is empty (or soon will be), and that its log tells of no fault.

        @raise Wrong: it is not so.
        """
        deadline = monotonic() + FORGOTTEN_WITHIN
        while left := what_is_left(self.status(), max(0.0, deadline - monotonic())):
            if monotonic() > deadline:
                raise Wrong(f"all clients have gone, and this is left: {left}")
            Event().wait(0.2)
        if self.process.poll() is not None:
            raise Wrong(f"the daemon has ended: {self.process.returncode}")
        self.check_log()

    def check_log(self) -> None:
        """
        See that its log tells of no fault.

        @raise Wrong: it does.
        """
        if self.alarming:
            raise Wrong("the log tells of a fault:\n" + "".join(self.alarming))


def what_is_left(status: dict[str, Any], patience: float) -> dict[str, Any]:
    """
    Return what a status has that must not be there when all clients have gone.

    A mutated message may ask for a lifespan of up to 24 days: a resource that no client has, and that will be
    forgotten later than we wait, was asked to stay.

    @param patience: seconds that we still wait.
    """
    left = {
        "resources": [
            resource
            for resource in status["resources"]
            if resource["holders"] or resource["waiters"] or (resource["idle_left"] or 0.0) <= patience
        ],
        "incubator": status["incubator"],
        "connected": max(0, status["daemon"]["connected"] - 1),  # not who asks
    }
    return {what: some for what, some in left.items() if some}
