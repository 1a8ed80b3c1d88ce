"""What a benchmark has to say: lines for people, values for the JSON file, and verdicts on limits."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.tools.bench.builds import Build
from tests.tools.bench.generator import Generator
from tests.tools.bench.servers import Servers


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Whether a limit is kept.

    @ivar what: is measured.
    @ivar least: the value may not be below this; C{None} if there is no such limit.
    @ivar most: the value may not be above this; likewise.
    """

    what: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether the limit is not kept."""
        is_too_low = self.least is not None and self.value < self.least
        is_too_high = self.most is not None and self.value > self.most
        return is_too_low or is_too_high

    def __str__(self) -> str:
        if self.least is not None:
            return f"{self.what}: {self.value:.3g}, at least {self.least:g} wanted"
        return f"{self.what}: {self.value:.3g}, at most {self.most:g} wanted"


@dataclass(slots=True)
class Report:
    """
    Collects what was measured.

    @ivar results: by name of the measurement; what JSON can say.
    """

    results: dict[str, Any] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    def say(self, line: str = "") -> None:
        """Print C{line} now: who waits for minutes wants to see something."""
        print(line, flush=True)

    def judge(self, what: str, value: float, *, least: float | None = None, most: float | None = None) -> str:
        """Note whether a limit is kept; give what to print beside the value: nothing, if it is."""
        verdict = Verdict(what, value, least, most)
        self.verdicts.append(verdict)
        limit = f"< {least:g}" if least is not None else f"> {most:g}"
        return f"  <-- {limit}" if verdict.is_missed else ""

    @property
    def missed(self) -> list[Verdict]:
        """The limits that are not kept."""
        return [verdict for verdict in self.verdicts if verdict.is_missed]

    def write(self, path: Path, conditions: dict[str, Any]) -> None:
        """
        Write everything to the file C{path}, as JSON.

        @param conditions: under which it was measured.
        """
        limits = [{**asdict(verdict), "missed": verdict.is_missed} for verdict in self.verdicts]
        everything = {"conditions": conditions, "results": self.results, "limits": limits}
        path.write_text(json.dumps(everything, indent=1) + "\n")


@dataclass(frozen=True, slots=True)
class Bench:
    """
    What every measurement needs.

    @ivar builds: what is measured, our own first.
    @ivar seconds: how long to measure one thing, once.
    @ivar rounds: how often to measure it.
    @ivar clients: how many at a time, in patterns; C{None} for all numbers that a pattern has a use for.
    @ivar transports: C{"unix"}, C{"tcp"} or both, in patterns and storms.
    """

    builds: tuple[Build, ...]
    generator: Generator
    servers: Servers
    report: Report
    seconds: float
    rounds: int
    clients: tuple[int, ...] | None
    transports: tuple[str, ...]
