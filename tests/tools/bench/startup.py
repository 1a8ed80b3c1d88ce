"""
How long users wait for C{flom-run}, C{flom}, C{flomctl} and C{flom.lock}: to start, to end, and to hand over.

In each round, everything in a row's block is run once: what the limit counts in, our own build, the checkout of
C{--vs}, the C{flom} of FLOM_PEER. Ratios are medians of those of the rounds. Each build has its own daemon.
"""

from __future__ import annotations

import os
import pty
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from subprocess import DEVNULL
from typing import Final

from flom.codes import Outcome
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Answer, Unlocked
from tests.fakes.netns import WHY_NO_NETWORK_NAMESPACES
from tests.fakes.programs import PATIENCE, Running, eventually, name_of
from tests.tools.bench.builds import OURS, VS, median_ratio, take_turns
from tests.tools.bench.report import Bench
from tests.tools.bench.scene import LEADER, OTHER, Scene
from tests.tools.bench.snapshot import hear

RUNS: Final = 4
"""A run is short beside one of the load generator, so there are this many in each of the rounds of the command line."""

QUIET: Final = 0.1  # seconds; a process that did nothing for so long waits for something


@dataclass(frozen=True, slots=True)
class Unit:
    """
    What a limit counts in.

    @ivar seconds: of one unit, if it is a unit of time.
    @ivar command: whose time is one unit; it runs in each round.
    """

    name: str
    seconds: float = 1.0
    command: str = ""


P: Final = Unit("p", command="python -c pass")
REACTOR: Final = Unit("reactor's import", command="python -c 'from twisted.internet import reactor'")
S: Final = Unit("s")
MS: Final = Unit("ms", 0.001)


def run(scene: Scene, row: Row) -> float:
    """Return the seconds that the command takes."""
    return scene.seconds(row.command, row.host)


def run_on_terminal(scene: Scene, row: Row) -> float:
    """Return the seconds that the command takes if it writes to a terminal."""
    ours, theirs = pty.openpty()  # which has room for what is written
    try:
        return scene.seconds(row.command, row.host, stdout=theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def run_and_start_daemon(scene: Scene, row: Row) -> float:
    """Return the seconds that the command takes, which starts a daemon; end that."""
    took = scene.seconds(row.command, row.host)
    scene.end_daemons()
    return took


def end_after_unlock(scene: Scene, row: Row) -> float:
    """Return the seconds from the moment when the daemon, which is made here, has the unlock to the process' end."""
    Path(scene.socket).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(scene.socket)
        listening.listen()
        listening.settimeout(PATIENCE)
        running = scene.start(scene.words(row.command), row.host, stdin=DEVNULL, stdout=DEVNULL)
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(PATIENCE)
            is_extended = b'extended="1"' in hear(connection)
            connection.sendall(encode(Answer(16, Outcome.GRANTED, peer_id="0" * 32, extended=is_extended)))
            hear(connection)
            unlocked = time.perf_counter()
            if is_extended:
                connection.sendall(encode(Unlocked()))
            with suppress(ConnectionResetError):
                while connection.recv(4096):
                    pass
        running.process.wait()
        took = time.perf_counter() - unlocked
    running.finish()
    return took


def hand_over(scene: Scene, row: Row) -> float:
    """Return the seconds from the last that the holder's command does to the first that the waiter's does."""
    lock = scene.words(row.command)
    holder = scene.start([*lock, "sh", "-c", 'echo; read end; exec "$0"', scene.stamp], row.host)
    holder.line()  # it holds the lock
    waiter = scene.start([*lock, scene.stamp], row.host)
    eventually(lambda: _is_asleep(waiter.pid), "a process that waits for the lock")
    holder.say("")
    ended, began = holder.finish().stdout, waiter.finish().stdout
    return (int(began) - int(ended)) / 1e9


def grant_after_kill(scene: Scene, row: Row) -> float:
    """Return the seconds from SIGKILL of the daemon, of which another command holds something, to the next grant."""
    holder = _hold(scene, row)
    took = _kill_and_lock(scene, row, scene.daemons())
    holder.say("")
    holder.finish()
    scene.end_daemons()
    return took


def grant_after_takeover(scene: Scene, row: Row) -> float:
    """Return the same for the leader of a group, in whose place a daemon leads that has stood by."""
    words = scene.words(f"twistd -n --pidfile= flom --group {GROUP.split()[1]}")
    members = []
    for host, role in (LEADER, "flom"), (OTHER, "flom-standby"):
        members.append(member := scene.start(words, host, stdout=DEVNULL))
        eventually(partial(_is_called, member.pid, role), role)
    holder = _hold(scene, row)
    took = _kill_and_lock(scene, row, [members[0].pid])
    holder.say("")
    holder.finish()
    members[1].signal(signal.SIGKILL)
    for member in members:
        member.finish()
    return took


def _is_called(pid: int, name: str) -> bool:
    return name_of(pid) == name


def _hold(scene: Scene, row: Row) -> Running:
    """Return a command that holds a lock until it gets a line."""
    holder = scene.start([*scene.words(row.command), "-r", "held", "--", "sh", "-c", "echo; read end"], row.host)
    holder.line()
    return holder


def _kill_and_lock(scene: Scene, row: Row, daemons: list[int]) -> float:
    words = [*scene.words(row.command), "-r", "free", "--", scene.stamp]
    killed = time.monotonic_ns()
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    return (int(scene.start(words, row.host).finish().stdout) - killed) / 1e9


@dataclass(frozen=True, slots=True)
class Row:
    """
    What is measured, and its limit.

    @ivar command: what L{Scene.words} takes. A build that does not have its program is left out.
    @ivar most: the limit; C{None} if there is none, because the program is not ours.
    @ivar unit: of the limit.
    @ivar daemon_at: options that say where a daemon is before; none is if there are none.
    @ivar host: L{LEADER} or L{OTHER} in a network of two hosts, where the command runs; C{None} for this machine.
    @ivar measure: measures it once; returns seconds.
    @ivar needs: another program; a build that does not have it is left out.
    @ivar runs: how many of them there are in each round.
    @ivar faster: how many times faster than the build of C{--vs} it has to be, if that is judged.
    """

    name: str
    command: str
    most: float | None
    unit: Unit = P
    daemon_at: str = ""
    host: int | None = None
    measure: Callable[[Scene, Row], float] = run
    needs: str = ""
    runs: int = RUNS
    faster: float | None = None


UNIX: Final = "-s SOCK"
TCP: Final = "-a 127.0.0.1 -p PORT"
TLS: Final = f"{TCP} TLS"
GROUP: Final = "-A ff02::1"

ROWS: Final = {
    row.name: row
    for row in (
        Row("startup-unix", f"flom-run {UNIX} -- true", 3.0, daemon_at=UNIX),
        Row("startup-verbose", f"flom-run -V {UNIX} -- true", 4.0, daemon_at=UNIX),
        Row("startup-group", f"flom {GROUP} -d 0 -- true", 4.0, daemon_at=GROUP, host=LEADER, faster=7),
        Row("startup-group-remote", f"flom {GROUP} -d 0 -- true", 4.0, daemon_at=GROUP, host=OTHER, faster=7),
        Row("startup-group-tls", f"flom {GROUP} TLS -d 0 -- true", 6.5, daemon_at=f"{GROUP} TLS", host=OTHER),
        Row("startup-tls", f"flom {TLS} -d 0 -- true", 6.5, daemon_at=TLS),
        Row("startup-status-json", f"flomctl status {UNIX} --json", 5, daemon_at=UNIX),
        Row("startup-status", f"flomctl status {UNIX}", 9, daemon_at=UNIX),
        Row("startup-status-terminal", f"flomctl status {UNIX}", 9, daemon_at=UNIX, measure=run_on_terminal),
        Row("startup-script", "python SCRIPT", 3.5, daemon_at=UNIX),
        Row("startup-daemon", "flom-run -s NEW -- true", 0.75, REACTOR, measure=run_and_start_daemon),
        Row("startup-election", f"flom-run {GROUP} -- true", 0.85, S, host=OTHER, measure=run_and_start_daemon),
        Row("end", f"flom-run {UNIX} -- true", 1.0, MS, measure=end_after_unlock),
        Row("handover-unix", f"flom-run {UNIX} -r handover --", 3.0, MS, UNIX, measure=hand_over),
        Row("handover-group", f"flom-run {GROUP} -r handover --", 3.0, MS, GROUP, OTHER, hand_over),
        Row("handover-tls", f"flom-run {TLS} -r handover --", 3.0, MS, TLS, measure=hand_over),
        Row("kill-unix", f"flom-run {UNIX}", 1.5, S, measure=grant_after_kill, runs=1),
        Row("kill-tcp", f"flom-run {TCP}", 2.5, S, measure=grant_after_kill, runs=1),
        Row(
            "kill-group",
            f"flom-run {GROUP} -d 0",
            3.5,
            S,
            host=OTHER,
            measure=grant_after_takeover,
            needs="twistd",
            runs=1,
        ),
        Row("kill-group-alone", f"flom-run {GROUP}", 3.5, S, host=OTHER, measure=grant_after_kill, runs=1),
        Row("handover-flock", "flock NEW", None, MS, measure=hand_over),  # what the machine adds
    )
}


def measure(bench: Bench, row: Row) -> None:
    """Measure C{row} with every build that can do it, and beside what its limit counts in."""
    report, program = bench.report, row.command.split()[0]
    if row.host is not None and WHY_NO_NETWORK_NAMESPACES:
        report.say(f"\n{row.name}: skipped: {WHY_NO_NETWORK_NAMESPACES}")
        return
    if bench.builds[0].program(program) is None:
        report.say(f"\n{row.name}: skipped: there is no {program} here")
        return
    with ExitStack() as stack:
        scenes = {
            build.name: stack.enter_context(
                Scene(build, bench.generator.stamp, daemon_at=row.daemon_at, has_hosts=row.host is not None)
            )
            for build in bench.builds
            if build.program(program) and build.program(row.needs or program)
        }
        contenders: dict[str, Callable[[], float]] = {}
        if row.unit.command:
            contenders[row.unit.name] = partial(scenes[OURS].seconds, row.unit.command, row.host)
        contenders |= {name: partial(row.measure, scene, row) for name, scene in scenes.items()}
        take_turns(contenders, 1)  # which compiles what was not compiled yet
        took = take_turns(contenders, row.runs * bench.rounds)
    _judge(bench, row, took)


def _judge(bench: Bench, row: Row, took: dict[str, list[float]]) -> None:
    report, ours = bench.report, took[OURS]
    units = took.get(row.unit.name, [row.unit.seconds] * len(ours))
    value = median_ratio(ours, units)
    report.say(f"\n{row.name}: {row.command}; ms (least, median, longest) of {len(ours)} runs")
    for name, seconds in took.items():
        least, middle, longest = (1000 * figure for figure in (min(seconds), median(seconds), max(seconds)))
        line = f"  {name:16}{least:8.2f}{middle:8.2f}{longest:8.2f}"
        if name == OURS:
            flag = "" if row.most is None else report.judge(f"{row.name}: {row.unit.name}", value, most=row.most)
            line += f"   {value:.2f} {row.unit.name}{flag}"
        elif name != row.unit.name:
            ratio = median_ratio(seconds, ours)
            flag = ""
            if name == VS and row.faster is not None:
                flag = report.judge(f"{row.name}: times faster than the build of --vs", ratio, least=row.faster)
            line += f"   {ratio:.2f} of ours{flag}"
        report.say(line)
    report.results[row.name] = {"command": row.command, "unit": row.unit.name, "value": value, "seconds": took}


def _is_asleep(pid: int) -> bool:
    """Return whether nothing has woken any thread of a process for L{QUIET} seconds."""
    before = _switches(pid)
    time.sleep(QUIET)
    return before == _switches(pid) and not any("State" in line and "sleeping" not in line for line in before)


def _switches(pid: int) -> list[str]:
    """Return which threads a process has, what they do, and how often they were woken."""
    lines: list[str] = []
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(OSError):  # it has ended meanwhile
            lines += status.read_text().splitlines()
    return [line for line in lines if line.startswith(("Pid:", "State:", "voluntary_", "nonvoluntary_"))]
