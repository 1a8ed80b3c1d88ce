"""
C{python -m tests.tools.beside --etcd DIR}: what C{etcdctl lock} and C{flom-run} do while something fails, as tables for
docs/explanation/quorum.md.

A command under the lock marks when it begins and ends; another one asks for the same lock when the fault is there.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tests.fakes.exclusion import Marks
from tests.tools.beside.cluster import Cluster
from tests.tools.beside.programs import TTL, Etcdctl, FlomRun, Program

WATCH: Final = 15
"""Seconds for which the second command is waited for, while the fault lasts."""


class Row(NamedTuple):
    """What came of one fault."""

    second: str
    first: str


class Scene:
    """One fault: a first holder that reaches what it asks by cables, and a second one that wants the same."""

    def __init__(self, program: Program, cluster: Cluster, directory: Path) -> None:
        self.program = program
        self.cluster = cluster
        self._marks = Marks(directory / "marks")
        self._directory = directory
        self.first = self._start("first", seconds=None)
        deadline = time.monotonic() + 30
        while not self._marks.holdings():
            assert time.monotonic() < deadline, self._said("first")
            time.sleep(0.05)

    @property
    def command(self) -> int:
        """The process of the first command."""
        return self._marks.holdings()[0].who

    def cut(self, is_cut: bool) -> None:
        """Cut the first holder off from all that it asks, or undo that."""
        for cable in self.program.cables:
            cable.is_cut = is_cut

    def observe(self, heal: Callable[[], object] = lambda: None) -> Row:
        """Ask for the lock a second time; heal after a while, end the first command, and return what came of it."""
        began = time.monotonic()
        second = self._start("second", seconds=0.3)
        ended = 0.0
        while len(self._marks.holdings()) == 1 and time.monotonic() < began + WATCH:
            ended = ended or (0.0 if _is_running(self.command) else time.monotonic() - began)
            time.sleep(0.02)
        took = time.monotonic() - began
        has_begun = len(self._marks.holdings()) > 1
        is_beside = _is_running(self.command)
        heal()
        time.sleep(1)
        goes_on = _is_running(self.command)
        assert self.first.stdin is not None
        if goes_on:
            self.first.stdin.write(b"\n")
        self.first.stdin.close()
        status = self.first.wait(60)
        second.wait(60)
        told = f"after {took:.1f} s, {'**beside the first**' if is_beside else 'alone'}"
        fate = "goes on to its end" if goes_on else f"is ended after {ended:.1f} s" if ended else "is ended as it wakes"
        said = self._said("first")
        return Row(
            told if has_begun else f"not within {WATCH} s, but when the first has ended",
            f"{fate}; status {status}{f', `{said[-1]}`' if said else ''}",
        )

    def _start(self, name: str, *, seconds: float | None) -> subprocess.Popen[bytes]:
        # etcdctl gives its command no stdin; a pipe does instead
        reading, writing = os.pipe()
        shell = ["sh", "-c", f'exec "$@" </proc/{os.getpid()}/fd/{reading}', "sh"]
        words = [*self.program.words(by_cables=name == "first"), *shell, *self._marks.command(seconds=seconds)]
        output = (self._directory / name).open("wb")
        started = subprocess.Popen(words, stdout=output, stderr=output, env={**os.environ, "ETCDCTL_API": "3"})
        started.stdin = os.fdopen(writing, "wb", buffering=0)
        return started

    def _said(self, name: str) -> list[str]:
        lines = (self._directory / name).read_text().strip().splitlines()
        return [line for line in lines if line not in ("", "held", "R")]


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def nothing(scene: Scene) -> Row:
    """none"""
    return scene.observe()


def kill_client(scene: Scene) -> Row:
    """the program is killed by SIGKILL, its command goes on"""
    scene.first.kill()
    return scene.observe()


def stop_client(scene: Scene) -> Row:
    """the program is stopped, and goes on later"""
    scene.first.send_signal(signal.SIGSTOP)
    return scene.observe(lambda: scene.first.send_signal(signal.SIGCONT))


def freeze_host(scene: Scene) -> Row:
    """the program and its command are frozen, and woken later"""
    frozen = [scene.first.pid, *_children(scene.first.pid)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)

    def wake() -> None:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)

    return scene.observe(wake)


def cut_client(scene: Scene) -> Row:
    """the program is cut off, and the way is clear again later"""
    scene.cut(True)
    return scene.observe(lambda: scene.cut(False))


def kill_leader_of_etcd(scene: Scene) -> Row:
    """the leader of etcd is killed"""
    leader = scene.cluster.leader()
    assert leader is not None
    scene.cluster.kill(leader)
    return scene.observe(lambda: scene.cluster.start(leader))


def kill_majority(scene: Scene) -> Row:
    """two of three members of etcd are killed, and come back later"""
    for number in (0, 1):
        scene.cluster.kill(number)

    def heal() -> None:
        for number in (0, 1):
            scene.cluster.start(number)
        scene.cluster.await_leader()

    return scene.observe(heal)


def kill_daemon(scene: Scene) -> Row:
    """the daemon that leads is killed"""
    assert isinstance(scene.program, FlomRun)
    scene.program.leader().kill()
    return scene.observe()


def stop_daemon(scene: Scene) -> Row:
    """the daemon that leads is stopped, and goes on later"""
    assert isinstance(scene.program, FlomRun)
    leader = scene.program.leader()
    leader.send_signal(signal.SIGSTOP)
    return scene.observe(lambda: leader.send_signal(signal.SIGCONT))


def end_daemon(scene: Scene) -> Row:
    """the daemon that leads is ended by SIGTERM"""
    assert isinstance(scene.program, FlomRun)
    scene.program.leader().terminate()
    return scene.observe()


FAULTS: Final = (nothing, kill_client, stop_client, freeze_host, cut_client, kill_leader_of_etcd, kill_majority)
OF_DAEMONS: Final = (kill_daemon, stop_daemon, end_daemon)


def _children(pid: int) -> list[int]:
    found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [each for child in found for each in _children(child)]


def _run(kind: type[Etcdctl] | type[FlomRun], fault: Callable[[Scene], Row], etcd: Path) -> Row:
    with (
        tempfile.TemporaryDirectory() as folder,
        Cluster(str(etcd / "etcd"), Path(folder)) as cluster,
        kind(etcd, cluster, Path(folder)) as program,
    ):
        return fault(Scene(program, cluster, Path(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--etcd", type=Path, default=Path("/usr/bin"), help="the directory with etcd and etcdctl")
    parser.add_argument("programs", nargs="*", default=["etcdctl", "flom-run"], help="etcdctl, flom-run")
    options = parser.parse_args()
    for name in options.programs:
        kind = Etcdctl if name == "etcdctl" else FlomRun
        print(f"{name}, leases of {TTL} s:\n\n| Fault | A second command runs | The first command |\n|---|---|---|")
        for fault in FAULTS if kind is Etcdctl else (*FAULTS, *OF_DAEMONS):
            row = _run(kind, fault, options.etcd)
            print(f"| {fault.__doc__} | {row.second} | {row.first} |", flush=True)
        print()


if __name__ == "__main__":
    main()
