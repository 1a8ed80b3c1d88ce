"""What a daemon does not keep of the program that has started it (docs/reference/daemon.md, "Started by a command")."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.mounts import needs_root
from tests.fakes.programs import PATIENCE, Programs, eventually, ignoring, is_alive

CI_SERVER = {"JENKINS_NODE_COOKIE": "durable-1", "AWS_SECRET_ACCESS_KEY": "hunter2", "LD_PRELOAD": ""}
MEANT_FOR_ALL = {"TZ": "Asia/Tokyo", "LC_TIME": "C", "XDG_RUNTIME_DIR": "/nowhere", "FLOM_TRACE_MASK": "0x10"}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


def daemon_of(programs: Programs, path: str, **options: Any) -> int:
    """Start a daemon at C{path} by a command that holds a lock, and return its process."""
    running = programs.start("-s", path, "-d", "300", "--", "sh", "-c", "echo; read line", **options)
    running.line()
    (pid,) = programs.daemons()
    return pid


def test_its_environment_is_not_that_of_the_command(programs: Programs, path: str) -> None:
    pid = daemon_of(programs, path, environment=CI_SERVER | MEANT_FOR_ALL)
    environment = dict(
        variable.split("=", 1) for variable in Path(f"/proc/{pid}/environ").read_text().split("\0") if variable
    )
    assert environment.keys() & CI_SERVER.keys() == set()
    assert MEANT_FOR_ALL.items() <= environment.items()
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("limit", ["CPU", "FSIZE", "AS", "DATA", "NPROC", "NOFILE", "MEMLOCK"])
def test_its_soft_limits_are_raised_to_the_hard_ones(programs: Programs, path: str, limit: str) -> None:
    number = getattr(resource, f"RLIMIT_{limit}")
    hard = resource.getrlimit(number)[1]
    soft = {"NPROC": 5000, "NOFILE": 256, "MEMLOCK": 4096}.get(limit, 2**32)

    def limit_it() -> None:
        resource.setrlimit(number, (soft, hard))

    pid = daemon_of(programs, path, first=limit_it)
    raised, _ = resource.prlimit(pid, number)
    assert raised in (hard, resource.RLIM_INFINITY)


def be_nice() -> None:
    os.nice(7)


def be_idle() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def be_first_to_go() -> None:
    Path("/proc/self/oom_score_adj").write_text("700")


def use_one_processor() -> None:
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


@needs_root
@pytest.mark.parametrize(
    ("first", "is_set_back"),
    [
        (be_nice, lambda pid: os.getpriority(os.PRIO_PROCESS, pid) == 0),
        (be_idle, lambda pid: os.sched_getscheduler(pid) == os.SCHED_OTHER),
        (be_first_to_go, lambda pid: Path(f"/proc/{pid}/oom_score_adj").read_text() == "0\n"),
        (use_one_processor, lambda pid: os.sched_getaffinity(pid) == os.sched_getaffinity(1)),
    ],
    ids=["nice", "scheduler", "oom", "affinity"],
)
def test_its_priority_is_that_of_every_process(
    programs: Programs, path: str, first: Callable[[], None], is_set_back: Callable[[int], bool]
) -> None:
    assert is_set_back(daemon_of(programs, path, first=first))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_it_heeds_signals_that_the_command_ignores(programs: Programs, path: str, number: signal.Signals) -> None:
    pid = daemon_of(programs, path, first=ignoring(number))
    os.kill(pid, number)
    eventually(lambda: not is_alive(pid), "the end of the daemon")


# a scope of systemd's; busctl is a script that writes its arguments into a pipe, and goes on for longer than we wait

STRANGER = 65534
AS_STRANGER = "setpriv --reuid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search"


class Manager:
    """
    A systemd that listens, as far as a daemon looks at it, and a busctl on the PATH.

    @ivar environment: in which it is that of a user.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._listening = socket.socket(socket.AF_UNIX)
        os.mkdir(directory / "systemd")
        os.mkfifo(directory / "calls")
        os.chmod(directory / "calls", 0o666)
        self._calls = os.open(directory / "calls", os.O_RDWR)
        busctl = directory / "busctl"
        busctl.write_text(f'#!/bin/sh\necho "$XDG_RUNTIME_DIR" "$@" >\'{directory}/calls\'\nexec sleep 60\n')
        busctl.chmod(0o755)
        self.environment = {"XDG_RUNTIME_DIR": str(directory), "PATH": f"{directory}:{os.environ['PATH']}"}

    def listen(self, user: int) -> None:
        os.seteuid(user)
        try:
            self._listening.bind(str(self.directory / "socket"))
            self._listening.listen()
        finally:
            os.seteuid(0)
        os.chmod(self.directory / "socket", 0o666)
        os.rename(self.directory / "socket", self.directory / "systemd" / "private")

    def as_run(self, *words: str) -> list[str]:
        """Return what runs C{words} where its directory is C{/run}."""
        return ["unshare", "-m", "sh", "-ec", 'mount --bind "$0" /run; exec "$@"', str(self.directory), *words]

    def call(self) -> list[str]:
        """Wait for a call; return the value of XDG_RUNTIME_DIR and the arguments."""
        readable, _, _ = select.select([self._calls], [], [], PATIENCE)
        assert readable, "busctl was not called"
        return os.read(self._calls, 4096).decode().split()

    def has_been_called(self) -> bool:
        return select.select([self._calls], [], [], 0)[0] != []

    def close(self) -> None:
        self._listening.close()
        os.close(self._calls)


@pytest.fixture
def manager() -> Iterator[Manager]:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        manager = Manager(Path(directory))
        yield manager
        manager.close()


@needs_root
def test_a_user_s_systemd_is_asked_for_a_scope_of_its_own(programs: Programs, manager: Manager) -> None:
    manager.listen(STRANGER)
    where = ["-s", str(manager.directory / "s"), "-d", "300"]
    began = time.monotonic()
    running = programs.start_program(
        *AS_STRANGER.split(), "--", FLOM_RUN, *where, "--", "echo", "ran", environment=manager.environment
    )
    assert running.finish().stdout == "ran\n"
    assert time.monotonic() - began < 50, "busctl was waited for"
    (pid,) = programs.daemons()
    runtime, *words = manager.call()
    assert runtime == str(manager.directory)
    assert words[0] == "--user"
    assert " ".join(words[3:8]) == (
        "call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StartTransientUnit"
    )
    assert words[8:16] == ["ssa(sv)a(sa(sv))", f"flom-{pid}.scope", "fail", "3", "PIDs", "au", "1", str(pid)]


@needs_root
@pytest.mark.parametrize("environment", [{}, {"XDG_RUNTIME_DIR": "/run"}], ids=["cron", "su"])
def test_it_is_found_without_its_place_in_the_environment(
    programs: Programs, manager: Manager, environment: dict[str, str]
) -> None:
    manager.listen(STRANGER)
    (manager.directory / "user").mkdir()
    (manager.directory / "user" / str(STRANGER)).symlink_to("../own")
    (manager.directory / "own").mkdir()
    (manager.directory / "systemd").rename(manager.directory / "own" / "systemd")
    words = [FLOM_RUN, "-s", str(manager.directory / "s"), "-d", "300", "--", "true"]
    words = manager.as_run(*AS_STRANGER.split(), "--", *words)
    done = programs.start_program(*words, environment=environment | {"PATH": manager.environment["PATH"]}).finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert manager.call()[0] == f"/run/user/{STRANGER}"


@needs_root
def test_root_asks_the_system_s_systemd(programs: Programs, manager: Manager) -> None:
    manager.listen(0)
    words = manager.as_run(FLOM_RUN, "-s", str(manager.directory / "s"), "-d", "300", "--", "echo", "ran")
    environment = manager.environment | {"XDG_RUNTIME_DIR": "/nowhere"}
    assert programs.start_program(*words, environment=environment).finish().stdout == "ran\n"
    (pid,) = programs.daemons()
    words = manager.call()
    assert words[:2] == ["/run", "--system"]
    assert f"flom-{pid}.scope" in words


def _cgroups() -> Path | None:
    """Return where cgroups of version 2 can be made."""
    for mount in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options, *_ = mount.split()
        if kind == "cgroup2" and options.split(",")[0] == "rw" and os.access(where, os.W_OK):
            return Path(where)
    return None


CGROUPS = _cgroups()


def is_empty(cgroup: Path) -> bool:
    return not (cgroup / "cgroup.procs").read_text()


@pytest.fixture
def cgroups() -> Iterator[tuple[Path, Path]]:
    """Two cgroups: that of a unit, and that of a scope."""
    assert CGROUPS is not None
    made = [CGROUPS / f"flom-test-{os.getpid()}-{name}" for name in ("unit", "scope")]
    for cgroup in made:
        cgroup.mkdir()
    yield made[0], made[1]
    for cgroup in made:
        (cgroup / "cgroup.kill").write_text("1")
        eventually(partial(is_empty, cgroup), "the end of its processes")
        cgroup.rmdir()


@needs_root
@pytest.mark.skipif(CGROUPS is None, reason="no cgroups of version 2 can be made here")
def test_a_unit_s_end_is_not_that_of_the_daemon_it_has_started(
    programs: Programs, manager: Manager, cgroups: tuple[Path, Path]
) -> None:
    """busctl does what systemd would do: it moves the process into a scope."""
    unit, scope = cgroups
    busctl = manager.directory / "busctl"
    move = f'while [ "$1" != au ]; do shift; done; echo "$3" >{scope}/cgroup.procs; echo moved >"${{0%/*}}/calls"'
    busctl.write_text(f"#!/bin/sh\n{move}\n")
    manager.listen(0)
    path = str(manager.directory / "s")
    holder = programs.start_program(
        *manager.as_run(FLOM_RUN, "-s", path, "-d", "300", "--", "sh", "-c", "echo; read line"),
        environment=manager.environment,
        first=lambda: (unit / "cgroup.procs").write_text(str(os.getpid())),
    )
    holder.line()
    assert manager.call() == ["moved"]
    daemon = int((scope / "cgroup.procs").read_text())
    waiter = programs.start("-s", path, "-d", "0", "--", "echo", "ran")
    (unit / "cgroup.kill").write_text("1")  # as systemd does when a unit does not end by itself
    assert waiter.finish().stdout == "ran\n"
    assert is_alive(daemon)


@needs_root
@pytest.mark.parametrize("user", [0, STRANGER - 1])
def test_what_listens_for_another_user_is_no_manager_of_ours(programs: Programs, manager: Manager, user: int) -> None:
    manager.listen(user)
    words = [FLOM_RUN, "-s", str(manager.directory / "s"), "-d", "1", "--", "echo", "ran"]
    done = programs.start_program(*AS_STRANGER.split(), "--", *words, environment=manager.environment).finish()
    assert done.stdout == "ran\n"
    eventually(lambda: programs.daemons() == [], "the end of the daemon")
    assert not manager.has_been_called()
