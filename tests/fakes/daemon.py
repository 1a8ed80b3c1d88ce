"""A real daemon in a process of its own, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Timer
from types import TracebackType

BIN = Path(sys.executable).parent
"""Where the programs of this virtual environment are."""

FLOM_RUN = str(BIN / "flom-run")

FLOM_RUN_IN_PYTHON = [sys.executable, "-c", "from flom.run.main import main; main()"]
"""Without the script, which wants ten descriptors more, and has Python ignore its variables."""


class Daemon:
    """
    C{twistd -n flom} with some arguments; as a context manager, it is ready inside and gone outside.

    @ivar socket: the UNIX socket among the arguments, if there is one.
    """

    def __init__(
        self,
        *arguments: str,
        ready: str = "FLM003N ready",
        descriptors: int = 1024,
        environment: Mapping[str, str] | None = None,
        reserves: bool = False,
        programs: Path = BIN,
    ) -> None:
        """
        @param ready: what the log says when the daemon can be used.
        @param descriptors: how many it may have open.
        @param environment: what to add to ours.
        @param reserves: whether commands wait for it if it was killed; the port may be that of another test by then.
        @param programs: the folder where C{twistd} is.
        """
        self.arguments = arguments if reserves or "--reservation" in arguments else (*arguments, "--reservation", "0")
        self.ready = ready
        self.descriptors = descriptors
        self.environment = dict(environment or {})
        self.programs = programs
        self.socket = arguments[arguments.index("--socket-name") + 1] if "--socket-name" in arguments else ""

    def __enter__(self) -> Daemon:
        self.process = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh"]
            + [str(self.programs / "twistd"), "-n", "--pidfile=", "flom", *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            env=os.environ | self.environment,
        )
        self.log = ""
        self.wait_for_log(self.ready)
        return self

    def wait_for_log(self, text: str) -> None:
        """Read the log until a line with C{text} has come."""
        assert self.process.stdout is not None
        watchdog = Timer(30, self.process.kill)  # it may go on without ever saying that
        watchdog.start()
        try:
            while text not in (line := self.process.stdout.readline()):
                assert line, f"the daemon ended without logging {text!r}:\n{self.log}"
                self.log += line
            self.log += line
        finally:
            watchdog.cancel()

    def stop(self) -> int:
        """End it in good order; give its exit status."""
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=30)
        self.log += rest
        return self.process.returncode

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=30)
