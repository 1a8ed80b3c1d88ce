"""flom-run where there can be no more processes or threads, and as the first process of a PID namespace."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.peers import is_locked
from tests.fakes.programs import Programs, complaints, eventually
from tests.fakes.signals import RECORD

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make namespaces and other users")

READS_ALL: Final = "+dac_override,+dac_read_search"
AS_ANOTHER_USER: Final = [
    *("setpriv", f"--reuid={60_000 + os.getpid() % 5_000}", "--clear-groups"),
    *(f"--inh-caps={READS_ALL}", f"--ambient-caps={READS_ALL}"),
]
"""Begins the words that run a program as a user without other processes, who may read what we may."""

AS_FIRST_PROCESS: Final = ["unshare", "--pid", "--fork", "--kill-child"]
"""Begins the words that run a program as the first process of a PID namespace, where /proc is the outer one's."""


# processes and threads


@pytest.mark.parametrize(
    ("program", "limit"),
    [
        *(pytest.param([FLOM_RUN], limit, id=f"flom-run-{limit}") for limit in (1, 2, 3)),
        *(pytest.param([FLOM_RUN, "-V"], limit, id=f"flom-run -V-{limit}") for limit in (1, 2, 3)),
        *(pytest.param([sys.executable, "-m", "flom.client.deferred"], limit, id=f"spawn-{limit}") for limit in (1, 2)),
    ],
)
def test_without_processes_or_threads_it_ends_with_99(
    programs: Programs, daemon: Daemon, program: list[str], limit: int
) -> None:
    """One line says so, even where a shell cannot start what it wants to, and the command does not run."""
    done = programs.start_program(
        *AS_ANOTHER_USER,
        *(*program, "-s", daemon.socket, "-r", "R1", "--", "echo", "ran"),
        first=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit)),
    ).finish()
    assert done.returncode == 99
    assert complaints(done).count("\n") == 1, complaints(done)
    for word in ("Traceback", "internal error", "RuntimeError"):
        assert word not in done.stderr
    assert "ran" not in done.stdout.splitlines()
    assert not is_locked(daemon.socket, "R1")


def test_with_as_few_as_it_needs_it_is_not_deaf(programs: Programs, daemon: Daemon) -> None:
    running = programs.start_program(
        *AS_ANOTHER_USER,
        *(FLOM_RUN, "-s", daemon.socket, "--", *RECORD),
        first=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (4, 4)),
    )
    running.line()
    running.signal(signal.SIGTERM)
    assert running.line() == "SIGTERM"


# the first process

ORPHANS = """
import os, time
def orphan():
    reading, writing = os.pipe()
    if os.fork() == 0:
        if (pid := os.fork()) == 0:
            os.read(reading, 1)
        else:
            os.write(1, b"%d\\n" % pid)
        os._exit(0)
    os.wait()
    os.write(writing, b".")
for _ in range(3):
    orphan()
"""


def test_as_the_first_process_it_reaps_orphans(programs: Programs, daemon: Daemon) -> None:
    script = f"{ORPHANS}\nprint('all', flush=True)\ninput()"
    words = [*AS_FIRST_PROCESS, FLOM_RUN, "-s", daemon.socket, "--", sys.executable, "-I", "-S", "-c", script]
    running = programs.start_program(*words)
    while running.line() != "all":
        pass
    first = child_of(running.pid)
    eventually(lambda: zombies_of(first) == [], "the orphans are reaped")
    running.say("")
    assert running.finish().returncode == 0


def test_as_the_first_process_it_passes_signals_on(programs: Programs, daemon: Daemon) -> None:
    running = programs.start_program(*AS_FIRST_PROCESS, FLOM_RUN, "-s", daemon.socket, "-r", "R1", "--", *RECORD)
    running.line()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        os.kill(child_of(running.pid), number)
        assert running.line() == number.name
    assert running.finish().returncode == 5
    assert not is_locked(daemon.socket, "R1")


def test_as_the_first_process_it_exits_with_128_and_the_signal(programs: Programs, daemon: Daemon) -> None:
    """The kernel lets no signal of its own kill it."""
    words = [*AS_FIRST_PROCESS, FLOM_RUN, "-s", daemon.socket, "--", "sh", "-c", "kill -TERM $$"]
    assert programs.start_program(*words).finish().returncode == 128 + signal.SIGTERM


def test_as_the_first_process_it_has_its_own_environment(programs: Programs, daemon: Daemon) -> None:
    """And not that of the process with the number 1 in a /proc of another namespace."""
    words = [*AS_FIRST_PROCESS, FLOM_RUN, "-s", daemon.socket, "--", "sh", "-c", "echo $OWN"]
    assert programs.start_program(*words, environment={"OWN": "mine"}).finish().stdout == "mine\n"


def child_of(pid: int) -> int:
    """Return the number of the only child of process C{pid}."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def zombies_of(pid: int) -> list[str]:
    """Return the children of process C{pid} that have ended and are not reaped."""
    children = "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [child for child in children if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"]
