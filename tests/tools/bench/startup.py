"""What C{flom-run} adds to a command, and how long a lock is under way from one to another."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which
from statistics import median
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Final

from flom.client.blocking.status import StatusReader, open_status
from flom.config import Config
from tests.fakes.daemon import FLOM_RUN
from tests.tools.bench.report import Bench

STARTS: Final = 20
HAND_OVERS: Final = 30

_REACTOR: Final = [sys.executable, "-c", "from twisted.internet import reactor"]
_RESOURCE: Final = "handover"
_POLL: Final = 0.002  # seconds between two looks at who waits


def measure_startup(bench: Bench) -> None:
    """C{flom-run -- true}, with a daemon that runs and with one that must be started, beside a reactor's import."""
    report = bench.report
    daemon = bench.servers.daemon
    took: dict[str, list[float]] = {"reactor": [], "warm": [], "cold": []}
    with TemporaryDirectory() as folder:
        for number in range(STARTS):
            path = f"{folder}/{number}"
            took["warm"].append(_seconds([FLOM_RUN, "-s", daemon.socket, "--", "true"]))
            took["reactor"].append(_seconds(_REACTOR))
            took["cold"].append(_seconds([FLOM_RUN, "-s", path, "-d", "1", "--", "true"]))
            # the daemon would end by itself, but during the next round
            subprocess.run([FLOM_RUN, "-s", path, "-X"], check=True, stdout=subprocess.DEVNULL)
    report.say(f"\nstart-up: seconds of {STARTS} rounds, and the ratio of the medians")
    for name, about, limit in (
        ("reactor", "python -c 'from twisted.internet import reactor'", None),
        ("warm", "flom-run -- true, with a daemon", 0.6),
        ("cold", "flom-run -- true, which starts a daemon", 0.75),
    ):
        ratio = median(took[name]) / median(took["reactor"])
        flag = report.judge(f"start-up, {name}: ratio to a reactor's import", ratio, most=limit) if limit else ""
        least, middle = min(took[name]), median(took[name])
        report.say(f"  {about:50} least {least:.3f}, median {middle:.3f}, ratio {ratio:.2f}{flag}")
    report.results["startup"] = took


def measure_handover(bench: Bench) -> None:
    """
    From the end of one command to the beginning of the next, which waits in another C{flom-run}.

    C{flock} does the same in turn, where there is one: with no daemon between, it shows what the machine adds.
    """
    report, stamp = bench.report, bench.generator.stamp
    socket_name = bench.servers.daemon.socket
    flom_run = [FLOM_RUN, "-s", socket_name, "-r", _RESOURCE, "--"]
    took: dict[str, list[float]] = {"flom-run": [], "flock": []}
    with open_status(Config(socket_name=socket_name), report.say) as status, NamedTemporaryFile() as file:
        for _ in range(HAND_OVERS):
            took["flom-run"].append(_hand_over(flom_run, stamp, lambda _: _waits_for_daemon(status)))
            if which("flock"):
                took["flock"].append(_hand_over(["flock", file.name], stamp, _waits_for_file))
    report.say(f"\nhand-over from one command to the next that waits, {HAND_OVERS} times, in ms")
    flag = report.judge("hand-over: median ms from one flom-run to the next", median(took["flom-run"]), most=5)
    for name, note in (("flom-run", flag), ("flock", "")):
        if ms := took[name]:
            report.say(f"  {name:8} least {min(ms):5.2f}, median {median(ms):5.2f}, longest {max(ms):5.2f}{note}")
    report.results["handover"] = took


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return time.perf_counter() - began


def _hand_over(lock: list[str], stamp: str, is_waiting: Callable[[int], bool]) -> float:
    """
    Return the milliseconds from the last that the holder's command does to the first that the waiter's does.

    @param lock: the beginning of a command line that runs the rest under the lock.
    @param is_waiting: tells whether the process of that id waits for the lock.
    """
    holding = [*lock, "sh", "-c", 'echo; read end; exec "$0"', stamp]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()  # it holds the lock
        with subprocess.Popen([*lock, stamp], stdout=subprocess.PIPE, text=True) as waiter:
            while not is_waiting(waiter.pid):
                time.sleep(_POLL)
            ended, _ = holder.communicate("\n")
            began, _ = waiter.communicate()
    return (int(began) - int(ended)) / 1e6


def _waits_for_daemon(status: StatusReader) -> bool:
    return any(resource.waiters for resource in status.read(_RESOURCE).resources)


def _waits_for_file(pid: int) -> bool:
    return any("->" in line and str(pid) in line.split() for line in Path("/proc/locks").read_text().splitlines())
