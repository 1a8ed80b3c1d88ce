"""The load generator (load.c) and the programs beside it: compiled, run, and what they tell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.tools.bench.servers import Server

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Run:
    """
    What one run of the generator has seen.

    @ivar grants: how many there were while it was measured.
    @ivar seconds: how long that was.
    @ivar p50_us: half of the clients waited no longer from lock to grant; C{p99_us} and C{max_us} likewise.
    @ivar least: the fewest grants that a client has got; C{most} likewise.
    @ivar errors: connections refused or lost, wrong answers, clients that were never answered.
    @ivar connect_seconds: until all were connected.
    @ivar served: how many clients have got a grant, be it before the measured time.
    @ivar first_grant_p99_us: from the beginning of connecting to a client's first grant.
    @ivar cpu_seconds: what the server has used while it was measured, to 10 ms.
    """

    grants: int
    seconds: float
    p50_us: float
    p99_us: float
    max_us: float
    least: int
    most: int
    errors: int
    connect_seconds: float
    served: int
    first_grant_p99_us: float
    first_grant_max_us: float
    cpu_seconds: float

    @property
    def grants_per_second(self) -> float:
        """How many there were in a second."""
        return self.grants / self.seconds


class Generator:
    """The compiled programs."""

    def __init__(self, folder: Path) -> None:
        """Compile them into C{folder}."""
        for name in ("load", "stamp"):
            subprocess.run(["cc", "-O2", "-o", folder / name, HERE / f"{name}.c"], check=True)
        self._load = folder / "load"
        self.stamp = str(folder / "stamp")

    def run(
        self,
        server: Server,
        transport: str,
        messages: bytes,
        clients: int,
        *flags: str,
        seconds: float = 0.0,
        warm_up: float = 0.1,
    ) -> Run:
        """
        Load C{server}, and return when it has closed the connections.

        @param transport: C{"unix"} or C{"tcp"}.
        @param messages: pairs of lines, as load.c says.
        @param flags: C{"churn"}, C{"once"} or C{"gated"}, as load.c says.
        @param seconds: how long to measure, unless it is C{"once"}.
        """
        quiet = server.descriptors()
        arguments = [str(self._load), server.address(transport), str(clients), str(warm_up), str(seconds), *flags]
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(messages)
                process.stdin.close()
                process.stdout.readline()  # "begin"
                before = server.cpu_seconds()
                line = process.stdout.readline()
                used = server.cpu_seconds() - before
            finally:
                process.stdout.close()
        if process.returncode or not line:
            raise SystemExit(f"bench: the load generator ended with status {process.returncode}")
        server.wait_until_closed(quiet)
        told = json.loads(line)
        return Run(**told, cpu_seconds=used)


@contextmanager
def compiled() -> Iterator[Generator]:
    """Return the generator, compiled for as long as it is needed."""
    with TemporaryDirectory() as folder:
        yield Generator(Path(folder))
