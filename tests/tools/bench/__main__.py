"""The command line of the benchmark: C{python -m tests.tools.bench --help}."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from tests.tools.bench import patterns, snapshot, startup
from tests.tools.bench.builds import find_builds
from tests.tools.bench.generator import compiled
from tests.tools.bench.quorum import measure_quorum
from tests.tools.bench.report import Bench, Report
from tests.tools.bench.restart import measure_restart
from tests.tools.bench.scaling import (
    measure_fairness,
    measure_memory,
    measure_queue,
    measure_resources,
    measure_storm,
    measure_waiters,
)
from tests.tools.bench.servers import Servers, allow_most_descriptors

MEASUREMENTS: Final[dict[str, Callable[[Bench], None]]] = {
    **{name: partial(patterns.measure, pattern=pattern) for name, pattern in patterns.PATTERNS.items()},
    "waiters": measure_waiters,
    "queue": measure_queue,
    "memory": measure_memory,
    "storm": measure_storm,
    "resources": measure_resources,
    "fairness": measure_fairness,
    "restart": measure_restart,
    "quorum": measure_quorum,
    "snapshot": snapshot.measure_snapshot,
    **{name: partial(startup.measure, row=row) for name, row in startup.ROWS.items()},
}

NAMES: Final = f"one of {', '.join(MEASUREMENTS)}, or what some begin with, such as handover; default: all"

TRANSPORTS: Final = ("unix", "tcp")


def main() -> int:
    """Measure what the command line names; give the exit status."""
    options = _parse()
    names = options.names or list(MEASUREMENTS)
    unknown = [name for name in names if not _chosen([name])]
    if unknown:
        print(f"bench: no measurement is named {unknown[0]!r}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    builds = find_builds(options.vs, os.environ.get("FLOM_PEER"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or else each command would compile all that it imports
    allow_most_descriptors()
    report = Report()
    with compiled() as generator, Servers(builds) as servers:
        transports = (options.transport,) if options.transport else TRANSPORTS
        bench = Bench(builds, generator, servers, report, options.seconds, options.rounds, options.clients, transports)
        chosen = _chosen(names)
        if patterns.PATTERNS.keys() & set(chosen):
            patterns.print_header(bench)
        for name in chosen:
            MEASUREMENTS[name](bench)
    conditions = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "seconds": options.seconds,
        "rounds": options.rounds,
        "builds": {build.name: str(build.bin) for build in builds},
    }
    report.write(options.json, conditions)
    print(f"\n{len(report.verdicts) - len(report.missed)} of {len(report.verdicts)} limits kept; see {options.json}")
    for verdict in report.missed:
        print(f"missed: {verdict}")
    return 1 if report.missed else 0


def _chosen(names: Sequence[str]) -> list[str]:
    """Return the measurements that are called one of C{names}, or that and more behind a dash; in their own order."""
    beginnings = tuple(f"{name}-" for name in names)
    return [name for name in MEASUREMENTS if f"{name}-".startswith(beginnings)]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.bench", description="Measure the daemon and flom-run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=NAMES)
    parser.add_argument(
        "--vs", type=Path, metavar="DIR", help="another checkout, with its .venv, to measure beside this"
    )
    parser.add_argument("--seconds", type=_positive(float), default=0.3, help="of one run (%(default)s)")
    parser.add_argument("--rounds", type=_positive(int), default=5, help="runs of each kind (%(default)s)")
    parser.add_argument("--clients", type=_counts, metavar="N,...", help="how many at a time, in patterns")
    parser.add_argument("--transport", choices=TRANSPORTS, help="in patterns and storms; default: both")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="file to write (%(default)s)")
    return parser.parse_intermixed_args()


def _counts(text: str) -> tuple[int, ...]:
    counts = tuple(map(int, text.split(",")))
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"{text} are not all positive")
    return counts


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def positive(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not positive")
        return value

    return positive


if __name__ == "__main__":
    sys.exit(main())
