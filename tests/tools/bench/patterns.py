"""Grants a second, and how long they take, for some patterns of locking: the daemon beside the control."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from statistics import median
from typing import Final

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Lock, Unlock
from tests.tools.bench.builds import PEER, VS, median_ratio, take_turns
from tests.tools.bench.generator import Run
from tests.tools.bench.report import Bench
from tests.tools.bench.servers import Server

CROWD: Final = 10_000
"""From so many clients on, a run is longer, or else not every client would have a turn."""

CROWD_FACTOR: Final = 6

LEAST_BESIDE_VS: Final = 0.95
"""The ratio to the throughput of the checkout of C{--vs} that there must be."""

ROUNDS_OF_ONE: Final = 2
"""
After so many rounds all servers are started anew: where its memory lies makes a process up to a tenth faster or slower
than another one of the same program, for as long as it lives.
"""

MOST_OF_PEER: Final = 100
"""FLoM's daemon gets no more clients: with 1024 descriptors, 340 that have a resource each end it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    Who locks what.

    @ivar about: in words.
    @ivar resource: names what a client locks, by its number.
    @ivar slots: how many can hold at a time, where clients wait for each other; 0 where they do not.
    @ivar churns: whether a connection serves for one lock.
    @ivar clients: how many at a time.
    @ivar least: the ratio to the control's throughput that there must be.
    @ivar least_beside_peer: the same for the throughput of FLOM_PEER, by the number of clients.
    """

    name: str
    about: str
    resource: Callable[[int], str]
    mode: LockMode = LockMode.EX
    slots: int = 0
    churns: bool = False
    clients: tuple[int, ...] = (1, 10, 100, 1000)
    least: float = 0.7
    least_beside_peer: Mapping[int, float] = field(default_factory=dict)


_MANY: Final = (1, 10, 100, 1000, CROWD)

PATTERNS: Final = {
    pattern.name: pattern
    for pattern in (
        Pattern("own", "each client its own resource", "own{}".format, clients=_MANY),
        Pattern(
            "same", "one resource, exclusively", lambda _: "same", slots=1, clients=_MANY, least_beside_peer={10: 1.2}
        ),
        Pattern("read", "one resource, shared (PR)", lambda _: "shared", LockMode.PR),
        Pattern("numeric", "one unit of a pool of 8", lambda _: "pool[8]", slots=8),
        Pattern("hier", "leaves under one root", "/bench/{}".format),
        Pattern("churn", "connect, lock, unlock, close", "churn{}".format, churns=True, least=0.6),
    )
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What all runs with one server have seen; as L{Run}, but C{cpu_us}: what a grant has cost the server."""

    grants_per_second: float
    p50_us: float
    p99_us: float
    max_us: float
    cpu_us: float
    least: int
    most: int
    errors: int
    connect_seconds: float
    first_grant_p99_us: float


def messages(names: Iterable[str], mode: LockMode = LockMode.EX, *, quantity: int = 1, lifespan: float = 0.0) -> bytes:
    """Return pairs of messages for the load generator, with a peer id each."""
    lines = []
    for number, name in enumerate(names):
        lock = Lock(name, mode, quantity, wait=True, create=True, lifespan=lifespan, peer_id=f"{number:032x}")
        lines += [encode(lock), encode(Unlock(name))]
    return b"\n".join(lines) + b"\n"


def summarize(runs: Sequence[Run]) -> Summary:
    """Make one of many runs with one server."""
    grants = sum(run.grants for run in runs)
    return Summary(
        grants_per_second=grants / sum(run.seconds for run in runs),
        p50_us=median(run.p50_us for run in runs),
        p99_us=median(run.p99_us for run in runs),
        max_us=max(run.max_us for run in runs),
        cpu_us=sum(run.cpu_seconds for run in runs) / max(grants, 1) * 1e6,
        least=min(run.least for run in runs),
        most=max(run.most for run in runs),
        errors=sum(run.errors for run in runs),
        connect_seconds=median(run.connect_seconds for run in runs),
        first_grant_p99_us=median(run.first_grant_p99_us for run in runs),
    )


def rates_of(runs: Iterable[Run]) -> list[float]:
    """Return the grants a second of each run."""
    return [run.grants_per_second for run in runs]


def alternate(
    bench: Bench, pattern: Pattern, servers: Sequence[Server], transport: str, clients: int, rounds: int
) -> dict[str, list[Run]]:
    """Load C{servers} in turn, in so many rounds; return what was seen, by their names."""
    lines = messages(map(pattern.resource, range(clients)), pattern.mode)
    flags = ["churn"] if pattern.churns else []
    seconds = bench.seconds * (CROWD_FACTOR if clients >= CROWD else 1)
    contenders = {
        server.name: partial(bench.generator.run, server, transport, lines, clients, *flags, seconds=seconds)
        for server in servers
    }
    return take_turns(contenders, rounds)


def print_header(bench: Bench) -> None:
    """Say what the columns of L{measure}'s lines are."""
    bench.report.say(
        "grants/s, ms from lock to grant (median, 99 %), µs of the server's CPU for a grant; ratios of grants/s (the\n"
        "median of the rounds) and of CPU: where they differ much, something else on the machine was in the way. That\n"
        "of grants/s is judged; where clients wait for each other, to the control that lets them wait (hand-over).\n"
        "Others are that one, the checkout of --vs and the flom of FLOM_PEER: grants/s, and the ratio to these."
    )
    bench.report.say(
        f"{'pattern':8}{'clients':>7} {'via':4} |{'daemon':>8}{'p50':>9}{'p99':>9}{'CPU':>6} |"
        f"{'control':>8}{'p50':>9}{'p99':>9}{'CPU':>6} |{'ratio':>6}{'CPU':>6} | others"
    )


def measure(bench: Bench, pattern: Pattern) -> None:
    """Measure C{pattern} with every number of clients over every transport."""
    for clients in bench.clients or pattern.clients:
        for transport in bench.transports:
            runs: defaultdict[str, list[Run]] = defaultdict(list)
            for first in range(0, bench.rounds, ROUNDS_OF_ONE):
                rounds = min(ROUNDS_OF_ONE, bench.rounds - first)
                for name, seen in _run_once(bench, pattern, transport, clients, rounds).items():
                    runs[name] += seen
            _judge(bench, pattern, transport, clients, runs)


def _run_once(bench: Bench, pattern: Pattern, transport: str, clients: int, rounds: int) -> dict[str, list[Run]]:
    """Measure in C{rounds} with servers that are started for that; see L{alternate}."""
    bench.servers.end()
    servers = [bench.servers.daemon, bench.servers.control()]
    if pattern.slots:
        servers.append(bench.servers.control(pattern.slots))
    servers += bench.servers.others
    with bench.servers.peer(transport) if clients <= MOST_OF_PEER else nullcontext() as peer:
        contenders = servers if peer is None else [*servers, peer]
        return alternate(bench, pattern, contenders, transport, clients, rounds)


def _judge(bench: Bench, pattern: Pattern, transport: str, clients: int, runs: Mapping[str, Sequence[Run]]) -> None:
    report = bench.report
    seen = {name: summarize(its_runs) for name, its_runs in runs.items()}
    ratios = {
        name: median_ratio(rates_of(runs["daemon"]), rates_of(its_runs))
        for name, its_runs in runs.items()
        if name != "daemon"
    }
    daemon, control = seen["daemon"], seen["control"]
    cpu_ratio = control.cpu_us / daemon.cpu_us if daemon.cpu_us else 0.0
    judged = "hand-over" if pattern.slots else "control"
    limits = {judged: pattern.least, VS: LEAST_BESIDE_VS, PEER: pattern.least_beside_peer.get(clients)}
    what = f"{pattern.name}, {clients} clients over {transport}"
    flag = "".join(
        report.judge(f"{what}: ratio to {name}", ratio, least=limit)
        for name, ratio in ratios.items()
        if (limit := limits.get(name)) is not None
    )
    if errors := sum(summary.errors for name, summary in seen.items() if name != PEER):
        flag += report.judge(f"{what}: errors", errors, most=0)
    row = {"clients": clients, "transport": transport, "ratios": ratios, "cpu_ratio": cpu_ratio}
    rows = report.results.setdefault(pattern.name, [])
    rows.append({**row, **{name: asdict(summary) for name, summary in seen.items()}})
    others = "".join(
        f" | {name}{seen[name].grants_per_second:8.0f}{ratio:6.2f}"
        for name, ratio in ratios.items()
        if name != "control"
    )
    report.say(
        f"{pattern.name:8}{clients:7} {transport:4} |{_columns(daemon)} |{_columns(control)} |"
        f"{ratios['control']:6.2f}{cpu_ratio:6.2f}{others}{flag}"
    )


def _columns(summary: Summary) -> str:
    times = f"{summary.p50_us / 1e3:9.3f}{summary.p99_us / 1e3:9.3f}"
    return f"{summary.grants_per_second:8.0f}{times}{summary.cpu_us:6.1f}"
