"""C{python -m tests.tools.shards}: the tables of docs/explanation/shards.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from random import Random
from statistics import mean

from tests.tools.shards.placement import Placement, zipf
from tests.tools.shards.takeover import Times, take_over

GRANTS = 10_000.0  # a second, of one daemon: docs/explanation/performance.md has it as churn over TCP
TRANSACTIONS = 2_000.0  # a second, of etcd: assumed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--resources", type=int, default=1000, help="for each host")
    parser.add_argument("--zipf", type=float, default=0.8, help="exponent of the popularity of resources")
    parser.add_argument("--grants", type=float, default=GRANTS, help="that a daemon can do, a second")
    parser.add_argument("--transactions", type=float, default=TRANSACTIONS, help="that etcd can do, a second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(
        "| hosts | shards | busiest leader's load | grants/s in all | of one host's death: resources stalled |", end=""
    )
    print(" daemons of 100 resources |")
    print("|---|---|---|---|---|---|")
    placements = {}
    for hosts in options.hosts:
        for shards in (1, hosts, 8 * hosts, 32 * hosts) if hosts < 1000 else (1, hosts, 8 * hosts):
            placements[hosts, shards] = placement = _place(hosts, shards, options)
            print(_row(hosts, shards, placement, options))
    print()
    print("| hosts | shards | dead | candidates | transactions | first elected | last elected | last grants | events |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (hosts, shards), placement in placements.items():
        if shards in (1, 8 * hosts):
            for line in _takeovers(hosts, shards, placement, options):
                print(line)


def _place(hosts: int, shards: int, options: argparse.Namespace) -> Placement:
    popularity = zipf(options.resources * hosts, options.zipf)
    return Placement(hosts, shards, popularity, Random(options.seed))


def _row(hosts: int, shards: int, placement: Placement, options: argparse.Namespace) -> str:
    busiest = max(placement.shares)
    leading = [count for count in placement.resources if count]
    stalled = mean(placement.resources) / sum(placement.resources), max(leading) / sum(leading)
    random = Random(options.seed)
    daemons = mean(placement.leaders_of(100, random) for _ in range(50))
    return (
        f"| {hosts:,} | {shards:,} | {busiest * hosts:.2f} times the mean | {options.grants / busiest:,.0f} | "
        f"{stalled[0]:.1%} on the average, {stalled[1]:.1%} at most | {daemons:.0f} |"
    )


def _takeovers(hosts: int, shards: int, placement: Placement, options: argparse.Namespace) -> Iterator[str]:
    random = Random(options.seed)
    for count in sorted({1, hosts // 10}):
        for ordered in (False, True):
            rounds = []
            for _ in range(options.rounds):
                some = set(random.sample(sorted(set(placement.leaders)), min(count, len(set(placement.leaders)))))
                rounds.append(
                    take_over(hosts, placement.leaders, some, options.transactions, random, Times(), ordered=ordered)
                )
            first, last, granting, transactions, events = (mean(values) for values in zip(*rounds, strict=True))
            how = "in order" if ordered else "all at once"
            yield (
                f"| {hosts:,} | {shards:,} | {count} | {how} | {transactions:,.0f} | "
                f"{first:.1f} s | {last:.1f} s | {granting:.1f} s | {events:,.0f} |"
            )


if __name__ == "__main__":
    main()
