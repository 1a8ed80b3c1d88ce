"""Grants a second, and how long they take, for some patterns of locking: the daemon beside the control."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Lock, Unlock
from tests.tools.bench.generator import Run
from tests.tools.bench.report import Bench
from tests.tools.bench.servers import Server

CROWD: Final = 10_000
"""From so many clients on, a run is longer, or else not every client would have a turn."""

CROWD_FACTOR: Final = 6


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
    """

    name: str
    about: str
    resource: Callable[[int], str]
    mode: LockMode = LockMode.EX
    slots: int = 0
    churns: bool = False
    clients: tuple[int, ...] = (1, 10, 100, 1000)
    least: float = 0.7


_MANY: Final = (1, 10, 100, 1000, CROWD)

PATTERNS: Final = {
    pattern.name: pattern
    for pattern in (
        Pattern("own", "each client its own resource", "own{}".format, clients=_MANY),
        Pattern("same", "one resource, exclusively", lambda _: "same", slots=1, clients=_MANY),
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


def median_ratio(runs: Sequence[Run], of: Sequence[Run]) -> float:
    """
    Compare grants a second round by round: the machine may be slower in one round than in the next.

    @param runs: one for each round.
    @param of: what they are compared with, likewise.
    """
    return median(ours.grants_per_second / theirs.grants_per_second for ours, theirs in zip(runs, of, strict=True))


def alternate(
    bench: Bench, pattern: Pattern, servers: Sequence[Server], transport: str, clients: int
) -> dict[str, list[Run]]:
    """Load C{servers} in turn, round by round; give what was seen, by their names."""
    lines = messages(map(pattern.resource, range(clients)), pattern.mode)
    flags = ["churn"] if pattern.churns else []
    seconds = bench.seconds * (CROWD_FACTOR if clients >= CROWD else 1)
    runs: dict[str, list[Run]] = {server.name: [] for server in servers}
    for _ in range(bench.rounds):
        for server in servers:
            runs[server.name].append(bench.generator.run(server, transport, lines, clients, *flags, seconds=seconds))
    return runs


def print_header(bench: Bench) -> None:
    """Say what the columns of L{measure}'s lines are."""
    bench.report.say(
        "grants/s, ms from lock to grant (median, 99 %), µs of the server's CPU for a grant; ratios of grants/s (the\n"
        "median of the rounds) and of CPU: where they differ much, something else on the machine was in the way. That\n"
        "of grants/s is judged; where clients wait for each other, that to the control that lets them wait (hand-over)."
    )
    bench.report.say(
        f"{'pattern':8}{'clients':>7} {'via':4} |{'daemon':>8}{'p50':>9}{'p99':>9}{'CPU':>6} |"
        f"{'control':>8}{'p50':>9}{'p99':>9}{'CPU':>6} |{'ratio':>6}{'CPU':>6} | hand-over, ratio to it"
    )


def measure(bench: Bench, pattern: Pattern) -> None:
    """Measure C{pattern} with every number of clients over every transport."""
    report = bench.report
    servers = [bench.servers.daemon, bench.servers.control()]
    if pattern.slots:
        servers.append(bench.servers.control(pattern.slots))
    rows = report.results.setdefault(pattern.name, [])
    for clients in bench.clients or pattern.clients:
        for transport in bench.transports:
            runs = alternate(bench, pattern, servers, transport, clients)
            seen = {name: summarize(its_runs) for name, its_runs in runs.items()}
            daemon, control, hand_over = seen["daemon"], seen["control"], seen.get("hand-over")
            ratio = median_ratio(runs["daemon"], runs["control"])
            cpu_ratio = control.cpu_us / daemon.cpu_us if daemon.cpu_us else 0.0
            what = f"{pattern.name}, {clients} clients over {transport}"
            judged = median_ratio(runs["daemon"], runs["hand-over"]) if hand_over else ratio
            flag = report.judge(f"{what}: ratio to the control", judged, least=pattern.least)
            if errors := sum(summary.errors for summary in seen.values()):
                flag += report.judge(f"{what}: errors", errors, most=0)
            row = {"clients": clients, "transport": transport, "ratio": ratio, "cpu_ratio": cpu_ratio}
            tail = ""
            if hand_over:
                row["ratio_to_hand_over"] = judged
                tail = f"{hand_over.grants_per_second:8.0f}{judged:6.2f}"
            rows.append({**row, **{name: asdict(summary) for name, summary in seen.items()}})
            report.say(
                f"{pattern.name:8}{clients:7} {transport:4} |{_columns(daemon)} |{_columns(control)} |"
                f"{ratio:6.2f}{cpu_ratio:6.2f} |{tail}{flag}"
            )


def _columns(summary: Summary) -> str:
    times = f"{summary.p50_us / 1e3:9.3f}{summary.p99_us / 1e3:9.3f}"
    return f"{summary.grants_per_second:8.0f}{times}{summary.cpu_us:6.1f}"
