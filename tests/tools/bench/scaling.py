"""How the daemon fares with many waiters, resources and connections; what they cost, and whether all get a turn."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import asdict
from statistics import median
from typing import Final

from tests.tools.bench.builds import median_ratio
from tests.tools.bench.generator import Run
from tests.tools.bench.patterns import PATTERNS, Summary, messages, rates_of, summarize
from tests.tools.bench.report import Bench
from tests.tools.bench.servers import Server, running_daemon
from tests.tools.bench.snapshot import connect, hear

WAITERS: Final = (1, 10, 100, 1000, 10_000)
QUEUE: Final = 8000
CONNECTIONS: Final = 10_000
RESOURCES: Final = (1, 100, 10_000, 100_000)
CROWD: Final = 100

_REMEMBERED: Final = 3600.0  # seconds
_FILLERS: Final = 10  # clients that fill the table


def measure_waiters(bench: Bench) -> None:
    """A grant must not cost more because many others wait."""
    report = bench.report
    runs: dict[int, list[Run]] = {clients: [] for clients in WAITERS}
    for _ in range(bench.rounds):
        for clients in WAITERS:
            lines = messages(map(PATTERNS["same"].resource, range(clients)))
            run = bench.generator.run(bench.servers.daemon, "unix", lines, clients, seconds=4 * bench.seconds)
            runs[clients].append(run)
    report.say("\nwaiters: clients on one resource, over unix")
    rates: dict[int, Summary] = {}
    for clients in WAITERS:
        rates[clients] = summarize(runs[clients])
        report.say(f"  {clients:6} clients: {_rate(rates[clients])}")
    ratio = median_ratio(rates_of(runs[10]), rates_of(runs[10_000]))
    cpu_ratio = rates[10_000].cpu_us / rates[10].cpu_us
    flag = report.judge("waiters: what a grant costs with 10,000, relative to 10", ratio, most=1.5)
    report.say(f"  a grant with 10,000 waiters costs {ratio:.2f} times one with 10 ({cpu_ratio:.2f} by CPU){flag}")
    report.results["waiters"] = {
        "clients": {clients: asdict(rate) for clients, rate in rates.items()},
        "cost_with_10000_to_cost_with_10": ratio,
        "the_same_by_cpu": cpu_ratio,
    }


def measure_queue(bench: Bench) -> None:
    """Thousands wait for one exclusive lock; then it passes from one to the next until none is left."""
    report = bench.report
    lines = messages(["queue"] * (QUEUE + 1))  # the first holds it until all others wait
    servers = [bench.servers.daemon, bench.servers.control(1)]
    seconds: dict[str, list[float]] = {server.name: [] for server in servers}
    errors = 0
    for _ in range(bench.rounds):
        for server in servers:
            run = bench.generator.run(server, "unix", lines, QUEUE + 1, "once", "gated")
            seconds[server.name].append(run.seconds)
            errors += run.errors + QUEUE + 1 - run.served
    middle = {name: median(its_seconds) for name, its_seconds in seconds.items()}
    flag = report.judge(f"queue: seconds to serve {QUEUE} waiters one after another", middle["daemon"], most=1)
    flag += report.judge("queue: waiters not served", errors, most=0)
    report.say(f"\nqueue: {QUEUE} waiters served one after another, over unix")
    report.say(f"  {middle['daemon']:.3f} s by the daemon{flag}, {middle['hand-over']:.3f} s by the hand-over control")
    report.results["queue"] = {"waiters": QUEUE, "seconds": seconds, "not_served": errors}


def measure_memory(bench: Bench) -> None:
    """What a waiting connection takes of the daemon's memory."""
    report = bench.report
    lines = messages(["memory"] * (CONNECTIONS + 1)).splitlines()[::2]
    with running_daemon() as daemon, ExitStack() as connections:
        _wait(connections, daemon, lines[0])
        before = daemon.rss()
        for line in lines[1:]:
            _wait(connections, daemon, line)
        each = (daemon.rss() - before) / CONNECTIONS
    flag = report.judge("memory: KiB for each waiting connection", each / 1024, most=10)
    report.say(f"\nmemory: {each / 1024:.2f} KiB of RSS for each of {CONNECTIONS} waiting connections, over unix{flag}")
    report.results["memory"] = {"rss_before": before, "bytes_per_waiter": each, "waiters": CONNECTIONS}


def measure_storm(bench: Bench) -> None:
    """Thousands connect as fast as the kernel takes them, each for a resource of its own; none is forgotten."""
    report = bench.report
    lines = messages(map("storm{}".format, range(CONNECTIONS)))
    report.say(f"\nstorm: {CONNECTIONS} connections at once, each with a resource of its own")
    results = report.results["storm"] = {}
    for transport in bench.transports:
        for server in (bench.servers.daemon, bench.servers.control()):
            run = bench.generator.run(server, transport, lines, CONNECTIONS, "once")
            flag = ""
            if server is bench.servers.daemon:
                lost = max(run.errors, CONNECTIONS - run.served)
                flag = report.judge(f"storm over {transport}: connections refused, lost or not served", lost, most=0)
            report.say(
                f"  {transport:4} {server.name:7}: all connected in {run.connect_seconds:.2f} s, all served in "
                f"{run.seconds:.2f} s; first grant after {run.first_grant_p99_us / 1e3:.0f} ms (99 %), "
                f"{run.first_grant_max_us / 1e3:.0f} ms (longest); errors: {run.errors}{flag}"
            )
            results.setdefault(transport, {})[server.name] = asdict(run)


def measure_resources(bench: Bench) -> None:
    """How grants to one client, and to new ones, fare with many resources in the table."""
    report = bench.report
    report.say("\nresources: remembered by the daemon while one client locks one of them, over unix")
    rows = []
    made = 0
    with running_daemon() as daemon:
        empty = daemon.rss()
        for total in RESOURCES:
            names = [f"resource{number}" for number in range(made, total)]
            lines = messages(names, lifespan=_REMEMBERED)
            fillers = min(_FILLERS, len(names))
            filling = bench.generator.run(daemon, "unix", lines, fillers, "churn", "once")
            made = total
            last = messages(names[-1:], lifespan=_REMEMBERED)
            rate = summarize(
                [bench.generator.run(daemon, "unix", last, 1, seconds=bench.seconds) for _ in range(bench.rounds)]
            )
            size = (daemon.rss() - empty) / total
            new = filling.grants / filling.seconds
            report.say(f"  {total:7}: {_rate(rate)}; {new:6.0f} new ones/s; {size / 1024:.2f} KiB each")
            rows.append({"resources": total, "new_per_second": new, "bytes_each": size, **asdict(rate)})
            if errors := filling.errors + rate.errors + len(names) - filling.grants:
                report.say(f"  errors{report.judge('resources: errors', errors, most=0)}")
    report.results["resources"] = rows


def measure_fairness(bench: Bench) -> None:
    """All clients of one resource are granted about equally often."""
    report = bench.report
    lines = messages(["fair"] * CROWD)
    run = bench.generator.run(bench.servers.daemon, "unix", lines, CROWD, seconds=4 * bench.seconds)
    ratio = run.most / max(run.least, 1)
    flag = report.judge("fairness: most to least served client", ratio, most=2)
    served = f"least and most served got {run.least} and {run.most}"
    report.say(f"\nfairness: of {CROWD} clients on one resource, {served} grants{flag}")
    report.results["fairness"] = {"clients": CROWD, "least": run.least, "most": run.most, "ratio": ratio}


def _rate(rate: Summary) -> str:
    return f"{rate.grants_per_second:7.0f} grants/s, {rate.cpu_us:5.1f} µs of CPU each"


def _wait(connections: ExitStack, daemon: Server, lock: bytes) -> None:
    """Connect, ask for the lock, and wait for the first answer to that."""
    connection: socket.socket = connections.enter_context(connect(daemon.socket))
    connection.sendall(lock)
    hear(connection)
