"""What a quorum costs a grant: a daemon that etcd lets lead, beside one that nothing can succeed."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from dataclasses import replace
from typing import Final

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.etcd import FakeEtcd
from tests.tools.bench.builds import OUR_BUILD, median_ratio
from tests.tools.bench.generator import Run
from tests.tools.bench.patterns import PATTERNS, ROUNDS_OF_ONE, alternate, rates_of, summarize
from tests.tools.bench.report import Bench
from tests.tools.bench.servers import running_daemon

LEAST: Final = 0.97
"""The ratio of the grants per second with a quorum to those without that there must be."""

_CLIENTS: Final = 10
_PATTERNS: Final = ("own", "same")
_WAIT: Final = "30"  # seconds, in which the daemon leads and begins to grant
_BY_QUORUM: Final = "by quorum"


def measure_quorum(bench: Bench) -> None:
    """The load generator's clients have no sessions, as FLoM's; the daemon by a quorum lets them in."""
    report = bench.report
    report.say(f"\nquorum: {_CLIENTS} clients of a daemon that leads by a quorum, and of one without, in turns")
    for name in _PATTERNS:
        for transport in bench.transports:
            runs: defaultdict[str, list[Run]] = defaultdict(list)
            for first in range(0, bench.rounds, ROUNDS_OF_ONE):
                for server, seen in _run_once(bench, name, transport, min(ROUNDS_OF_ONE, bench.rounds - first)).items():
                    runs[server] += seen
            ours, alone = summarize(runs[_BY_QUORUM]), summarize(runs["daemon"])
            ratio = median_ratio(rates_of(runs[_BY_QUORUM]), rates_of(runs["daemon"]))
            flag = report.judge(f"quorum, {name} over {transport}: ratio to no quorum", ratio, least=LEAST)
            report.say(
                f"  {name} over {transport:4}: {ours.grants_per_second:.0f} grants/s, {ours.cpu_us:.1f} µs of CPU; "
                f"without {alone.grants_per_second:.0f}, {alone.cpu_us:.1f} µs; ratio {ratio:.2f}{flag}"
            )
            rows = report.results.setdefault("quorum", [])
            rows.append({"pattern": name, "transport": transport, "ratio": ratio})


def _run_once(bench: Bench, name: str, transport: str, rounds: int) -> dict[str, list[Run]]:
    """Measure in C{rounds} with daemons that are started for that; see L{alternate}."""
    with FakeEtcd() as etcd:
        options = ("--quorum", f"etcd:{etcd.address.endpoints[0]}", "--sessions", "optional")
        with running_daemon(OUR_BUILD, *options) as leader, running_daemon() as alone:
            subprocess.run([FLOM_RUN, "-s", leader.socket, "-o", f"{_WAIT}s", "--", "true"], check=True)
            servers = [replace(leader, name=_BY_QUORUM), alone]
            return alternate(bench, PATTERNS[name], servers, transport, _CLIENTS, rounds)
