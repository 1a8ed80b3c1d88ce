"""
The ways to a user's daemon where no place is configured: all commands of one network namespace meet at one daemon
(docs/reference/daemon.md, "The place of a user").
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flom.config import default_socket
from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.programs import Programs, Running, eventually

pytestmark = needs_network_namespaces

STRANGER = 65534
IN = """
mount --bind "$1" /run
if [ -n "$3" ]; then mkdir -p "$2/$3"; mount --bind "/tmp/$3" "$2/$3"; fi
mount --rbind "$2" /tmp
shift 3
exec "$@"
"""
"""Runs a program with a C{/run} and a C{/tmp} of its own, and with this checkout in that if it is in C{/tmp}."""

CHECKOUT = Path(__file__).parents[3]
IN_TMP = str(CHECKOUT.relative_to("/tmp")) if CHECKOUT.is_relative_to("/tmp") else ""
PLACE_OF_FLOM = default_socket()
HOLD = ("-d", "300", "-r", "R", "--", "sh", "-c", "echo; read line")
IS_LOCKED = ("-d", "300", "-r", "R", "-o", "0", "--", "echo", "beside the holder")


class Places:
    """
    Hosts and units that share some of their directories; in each, the tests' user is root.

    @ivar runtime: the run-time directory of all, if there is one.
    """

    def __init__(self, programs: Programs, directory: Path, hosts: tuple[Host, Host]) -> None:
        self._programs = programs
        self._directory = directory
        self._hosts = hosts
        self.runtime = directory / "run" / "user" / str(os.geteuid())
        self.runtime.parent.mkdir(parents=True)

    def log_in(self) -> None:
        """Make the run-time directory."""
        self.runtime.mkdir(0o700)

    def log_out(self) -> None:
        """Remove the run-time directory."""
        shutil.rmtree(self.runtime)

    def tmp(self, name: str) -> Path:
        """Return where one C{/tmp} is to be seen by the test."""
        path = self._directory / name
        path.mkdir(exist_ok=True)
        path.chmod(0o1777)
        return path

    def start(self, tmp: str, *words: str, network: int = 0, **options: Any) -> Running:
        """Start a program with its own C{/tmp}; those of one name share it."""
        place = ["unshare", "-m", "sh", "-ec", IN, "sh", str(self._directory / "run"), str(self.tmp(tmp)), IN_TMP]
        return self._programs.start_program(*self._hosts[network].words(*place, *words), **options)

    def flom_run(self, tmp: str, *words: str, network: int = 0, **options: Any) -> Running:
        return self.start(tmp, FLOM_RUN, *words, network=network, **options)

    def hold(self, tmp: str, **options: Any) -> Running:
        """Start a command that holds a lock."""
        holder = self.flom_run(tmp, *HOLD, **options)
        holder.line()
        return holder

    def assert_locked(self, tmp: str, **options: Any) -> None:
        """Check that a command meets the one that holds the lock."""
        done = self.flom_run(tmp, *IS_LOCKED, **options).finish()
        assert (done.returncode, done.stdout) == (98, ""), done.stderr


@pytest.fixture
def places(programs: Programs, tmp_path: Path) -> Iterator[Places]:
    with Host("flomplacea") as one, Host("flomplaceb") as other:
        yield Places(programs, tmp_path, (one, other))


def test_a_unit_with_a_tmp_of_its_own_meets_the_others(places: Places) -> None:
    places.hold("common")
    places.assert_locked("private")


def test_a_container_with_a_network_of_its_own_is_met_by_tmp(places: Places) -> None:
    places.hold("common")
    places.assert_locked("common", network=1)


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "as by cron"])
def test_or_by_the_run_time_directory(places: Places, is_told: bool) -> None:
    places.log_in()
    environment = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}"} if is_told else {}
    places.hold("common")
    places.assert_locked("private", network=1, environment=environment)


def test_nothing_is_lost_when_the_user_logs_out(places: Places) -> None:
    places.log_in()
    places.hold("common")
    places.log_out()
    places.assert_locked("private")
    places.log_in()
    places.assert_locked("private")


def test_of_many_units_that_start_at_once_one_has_the_daemon(places: Places, programs: Programs) -> None:
    started = [places.flom_run(f"tmp{n}", "-d", "2000", "-i", "60000", "-r", "_s_n[1]", "--", "echo") for n in range(6)]
    assert sorted(int(running.finish().stdout) for running in started) == list(range(1, 7))
    assert len(programs.daemons()) == 1


def test_a_daemon_is_ended_from_everywhere(places: Places, programs: Programs) -> None:
    places.flom_run("common", "-d", "60000", "--", "true").finish()
    done = places.flom_run("private", "-X").finish()
    assert (done.returncode, done.stderr) == (0, "")
    eventually(lambda: programs.daemons() == [], "the end of the daemon")
    left = [path.name for path in places.tmp("common").glob("flom*")]
    assert left == [f"{os.path.basename(PLACE_OF_FLOM)}.lock"]


def test_twistd_listens_there_too(places: Places) -> None:
    daemon = places.start("common", str(BIN / "twistd"), "-n", "--pidfile=", "flom")
    log = daemon.line()
    while "FLM003N" not in log:
        log += daemon.line()
    assert f"listening on @flom-user/{os.geteuid()}" in log
    done = places.flom_run("private", "-d", "0", "--", "echo", "ran").finish()
    assert (done.stdout, done.stderr) == ("ran\n", "")
    second = places.start("private", str(BIN / "twistd"), "-n", "--pidfile=", "flom").finish()
    assert second.returncode == 1
    assert f"@flom-user/{os.geteuid()}: another daemon is listening there" in second.stderr


@pytest.mark.parametrize("tmp", ["common", "private"])
def test_a_permanent_daemon_that_was_killed_is_waited_for(places: Places, programs: Programs, tmp: str) -> None:
    words = [str(BIN / "twistd"), "-n", "--pidfile=", "flom", "--reservation", "20000"]
    killed = places.start("common", *words)
    while "FLM003N" not in killed.line():
        pass
    killed.process.kill()
    waiter = places.flom_run(tmp, "-V", "--", "echo", "ran")
    while "belongs to a daemon that is to come back" not in waiter.line():
        pass
    assert programs.daemons() == []
    daemon = places.start("common", *words)
    assert waiter.line() == "ran"
    daemon.process.terminate()
    daemon.finish()


IN_PYTHON = {
    "flom.lock": "import flom; flom.lock('R', timeout=0).acquire()",
    "Twisted": """
from twisted.internet import task
from flom.client import connect
async def main(reactor):
    await (await connect(reactor)).acquire('R', timeout=0)
task.react(main)
""",
}


@pytest.mark.parametrize("client", IN_PYTHON)
def test_programs_in_python_meet_them_too(places: Places, client: str) -> None:
    places.hold("common")
    done = places.start("private", sys.executable, "-c", IN_PYTHON[client]).finish()
    assert "locked by another client" in done.stderr


def test_a_daemon_at_the_place_of_flom_alone_is_found(places: Places) -> None:
    daemon = places.start("common", str(BIN / "twistd"), "-n", "--pidfile=", "flom", "-s", PLACE_OF_FLOM)
    while "FLM003N" not in daemon.line():
        pass
    done = places.flom_run("common", "-d", "0", "--", "echo", "ran").finish()
    assert (done.stdout, done.stderr) == ("ran\n", "")


def test_without_a_tmp_a_daemon_is_started_all_the_same(places: Places) -> None:
    hide = 'mount -o remount,bind,ro /tmp; exec "$@"'
    holder = places.start("none", "unshare", "-m", "sh", "-ec", hide, "sh", FLOM_RUN, *HOLD)
    holder.line()
    places.assert_locked("common")
    holder.say("")
    why = f"{PLACE_OF_FLOM}.lock: read-only file system"
    assert f"warning: FLoM's own commands will not find this daemon: {why}\n" in holder.finish().stderr


# other users


def test_a_place_of_flom_that_another_user_has_taken_is_not_needed(places: Places) -> None:
    (places.tmp("common") / os.path.basename(PLACE_OF_FLOM)).touch()
    os.chown(places.tmp("common") / os.path.basename(PLACE_OF_FLOM), STRANGER, STRANGER)
    holder = places.hold("common")
    places.assert_locked("common")
    places.assert_locked("private")
    holder.say("")
    assert "FLoM's own commands will not find this daemon: " in holder.finish().stderr


def as_stranger(places: Places, script: str) -> Running:
    """Start a script of another user in the same network, and wait until it is ready."""
    preface = f"import os, socket\nos.setgid({STRANGER}); os.setuid({STRANGER})\none = socket.socket(socket.AF_UNIX)\n"
    stranger = places.start("stranger", sys.executable, "-c", preface + script)
    assert stranger.line() == "ready"
    return stranger


@pytest.mark.parametrize(
    "what",
    ["one.listen(99)\nready()\nwhile True: one.accept()", "one.listen(99)\nready()\ninput()", "ready()\ninput()"],
    ids=["accepting", "silent", "not listening"],
)
def test_a_name_that_another_user_has_taken_is_not_used(places: Places, what: str) -> None:
    ready = "def ready(): print('ready', flush=True)"
    as_stranger(places, f"{ready}\none.bind('\\0flom-user/{os.geteuid()}')\n{what}")
    places.log_in()
    places.hold("common")
    places.assert_locked("common")
    places.assert_locked("private")
    done = places.start("private", sys.executable, "-c", IN_PYTHON["Twisted"]).finish()
    assert "locked by another client" in done.stderr


def test_another_user_is_not_served(places: Places) -> None:
    places.hold("common")
    stranger = as_stranger(
        places,
        f"one.connect('\\0flom-user/{os.geteuid()}')\nprint('ready', flush=True)\nprint(one.recv(99))",
    )
    assert stranger.line() == "b''"
    places.assert_locked("private")
