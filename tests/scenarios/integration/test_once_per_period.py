"""Cron on many hosts: of many C{flom-run} that start at once, one runs the job (docs/howto/once-per-period.md)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.client.blocking.status import open_status
from flom.config import Config
from tests.fakes.daemon import Daemon
from tests.fakes.etcd import FakeEtcd
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, Running, assert_refused, eventually, free_port
from tests.fakes.proxy import Proxy


class Keeper:
    """
    A daemon with a state directory, for all tests of this module.

    @ivar state: the directory.
    """

    def __init__(self, directory: Path) -> None:
        self.socket = str(directory / "s")
        self.state = directory / "state"
        self.daemon = Daemon("--socket-name", self.socket, "--state", str(self.state))

    def restart(self, number: int) -> None:
        """End the daemon by a signal, and start another one."""
        self.daemon.process.send_signal(number)
        self.daemon.process.communicate(timeout=30)
        self.daemon.__enter__()


class Place:
    """Commands of hosts that reach the daemon, for one job."""

    def __init__(self, keeper: Keeper, programs: Programs, resource: str) -> None:
        self.keeper = keeper
        self.programs = programs
        self.resource = resource

    def start(self, *words: str) -> Running:
        return self.programs.start("-s", self.keeper.socket, "-d", "0", "-r", self.resource, *words)

    def run(self, *words: str) -> tuple[int, str, str]:
        done = self.start(*words).finish()
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path_factory.mktemp("once"))
    with keeper.daemon:
        yield keeper


@pytest.fixture
def place(keeper: Keeper, programs: Programs, resource: str) -> Place:
    return Place(keeper, programs, resource)


def test_of_five_at_once_one_runs(place: Place) -> None:
    script = "echo runs; sleep 0.2"
    hosts = [place.start("--once-per", "1h", "--", "sh", "-c", script) for _ in range(5)]
    done = [host.finish() for host in hosts]
    assert sorted(one.returncode for one in done) == [0, 92, 92, 92, 92]
    assert [one.stdout for one in done if one.returncode == 0] == ["runs\n"]
    for one in done:
        if one.returncode == 92:
            assert_refused(
                one, 92, f"flom-run: {place.resource}: done by {os.uname().nodename} 0 s ago, at 20", "within 1 h\n"
            )


def test_a_job_that_fails_is_run_by_the_next_one(place: Place, tmp_path: Path) -> None:
    script = 'echo x >> "$0"; [ $(wc -l < "$0") -ge 3 ]'
    count = str(tmp_path / "count")
    hosts = [place.start("--once-per", "1h", "--", "sh", "-c", script, count) for _ in range(5)]
    assert sorted(host.finish().returncode for host in hosts) == [0, 1, 1, 92, 92]


def test_it_runs_again_when_the_period_is_over(place: Place) -> None:
    assert place.run("--once-per", "1h", "--", "true") == (0, "", "")
    assert place.run("--once-per", "1h", "--skip-ok", "--", "echo", "runs") == (0, "", "")
    assert place.run("--once-per", "1ms", "--", "echo", "runs") == (0, "runs\n", "")


def test_each_key_is_another_job(place: Place) -> None:
    for key in "2026-11-29", "2026-11-30":
        assert place.run("--once-per", "1d", "--key", key, "--", "echo", key) == (0, f"{key}\n", "")
    status, out, err = place.run("--once-per", "1d", "--key", "2026-11-29", "--", "echo", "runs")
    assert (status, out) == (92, "")
    assert err.startswith(f"flom-run: {place.resource}: 2026-11-29: done by ")


def test_a_host_that_dies_has_not_finished_it(place: Place) -> None:
    """The command holds the lock as long as it runs, and then it is another one's."""
    with place.start("--once-per", "1h", "--", "sh", "-c", "echo runs; exec sleep 0.3").process as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"runs\n"
        killed.kill()
        assert place.run("--once-per", "1h", "--", "echo", "again") == (0, "again\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_daemon_knows_it(place: Place, number: int) -> None:
    assert place.run("--once-per", "1h", "--value", "tape7", "--", "true") == (0, "", "")
    place.keeper.restart(number)
    status, _, err = place.run("--once-per", "1h", "--", "true")
    assert (status, err.split(" at ")[0].split(" by ")[0]) == (92, f"flom-run: {place.resource}: done")
    assert place.run("--read-value", "-l", "PR", "--", "sh", "-c", "echo $FLOM_VALUE") == (0, "tape7\n", "")


def test_a_job_that_outlives_its_daemon_is_noted_by_the_next_one(place: Place) -> None:
    running = place.start("--once-per", "1h", "--", "sh", "-c", "echo runs; read go")
    assert running.line() == "runs"
    place.keeper.restart(signal.SIGKILL)
    running.say("go")
    assert running.finish().returncode == 0
    assert place.run("--once-per", "1h", "--", "true")[0] == 92


def test_a_command_has_the_value_that_the_last_one_has_set(place: Place) -> None:
    show = 'echo "${FLOM_VALUE-none}"'
    assert place.run("--value", "a  b", "--", "sh", "-c", show) == (0, "none\n", "")
    assert place.run("--value", "\udcff", "-l", "PW", "--", "sh", "-c", f"{show}; false")[:2] == (
        1,
        "a  b\n",
    )
    assert place.run("--value", "", "--", "sh", "-c", show) == (0, "a  b\n", "")
    assert place.run("--read-value", "--", "sh", "-c", show) == (0, "none\n", "")
    assert place.run("--", "env", "FLOM_VALUE=outer", "sh", "-c", show) == (0, "outer\n", "")


def test_what_cannot_be_kept_at_the_end_has_a_status_and_the_lock_is_free(place: Place) -> None:
    running = place.start("--once-per", "1h", "--", "sh", "-c", "echo runs; read go")
    running.line()
    state = place.keeper.state
    state.rename(state.with_name("gone"))
    running.say("go")
    done = running.finish()
    state.with_name("gone").rename(state)
    what = f"flom-run: {place.resource}: the command has ended with 0, but that is not kept: {state}"
    assert_refused(done, 90, what)
    assert place.run("-o", "0", "--", "echo", "free") == (0, "free\n", "")


def test_a_daemon_without_a_state_directory_locks_nothing(tmp_path: Path, programs: Programs) -> None:
    with Daemon("--socket-name", str(tmp_path / "s")):
        done = programs.run("-s", str(tmp_path / "s"), "-r", "backup", "--once-per", "1h", "--", "echo", "runs")
    assert_refused(
        done, 99, "flom-run: backup at ", "the daemon keeps nothing beyond its end: it has no state directory"
    )


def test_a_daemon_that_knows_no_wishes_locks_nothing(fake: FakeDaemon, programs: Programs, tmp_path: Path) -> None:
    running = programs.start(
        "-s", str(tmp_path / "fake.sock"), "-r", "backup", "--once-per", "1h", "--", "echo", "runs"
    )
    conversation, asked = fake.accept()
    assert asked.name != "backup"
    conversation.send(b'<msg level="3" verb="1" step="16"><answer rc="5"/></msg>')
    why = "this daemon is one of FLoM's, or an older one, which does not know --once-per\n"
    assert_refused(running.finish(), 99, "flom-run: backup at ", why)


def test_the_next_leader_of_a_quorum_knows_it(programs: Programs, tmp_path: Path) -> None:
    """And it notes the end of a job that has begun under the one before."""
    port = str(free_port())

    def member(host: str, quorum: str) -> Daemon:
        return Daemon("--unicast-address", host, "--unicast-port", port, "--quorum", quorum, "--fast")

    def start(key: str, *command: str) -> Running:
        place = ["-a", "127.0.0.2,127.0.0.3", "-p", port]
        return programs.start(*place, "--once-per", "1h", "--key", key, "-r", key, "--", *command)

    with FakeEtcd() as etcd, member("127.0.0.2", str(etcd.address)) as leader:
        leader.wait_for_log("leading, epoch")
        assert start("done", "true").finish().returncode == 0
        with member("127.0.0.3", str(etcd.address)) as standby:
            outliving = start("outlives", "sh", "-c", "echo runs; read go")
            assert outliving.line() == "runs"
            waiting = start("outlives", "echo", "again")
            config = Config(unicast_address="127.0.0.2", unicast_port=int(port))
            eventually(lambda: open_status(config, print).read("outlives").resources[0].waiters, "one waits")
            leader.stop()
            standby.wait_for_log("leading, epoch")
            assert start("done", "echo", "again").finish().returncode == 92
            outliving.say("go")
            done = outliving.finish()
            assert (done.returncode, done.stderr) == (0, "")
            assert waiting.finish().returncode == 92


def test_a_job_whose_connection_breaks_is_noted_by_another_one(programs: Programs, tmp_path: Path) -> None:
    port = free_port()
    where = ["-a", "127.0.0.1", "--unicast-port", str(port), "--state", str(tmp_path / "state")]
    with Daemon(*where, "--sessions", "required"), Proxy(port) as proxy:
        words = [
            "-a",
            "127.0.0.1",
            "-p",
            str(proxy.port),
            "-d",
            "0",
            "-r",
            "R",
            "--once-per",
            "1h",
            "--value",
            "x",
            "--",
        ]
        running = programs.start(*words, "sh", "-c", "echo runs; read go")
        assert running.line() == "runs"
        proxy.cut()
        running.say("go")
        proxy.heal()
        assert running.finish().returncode == 0
        assert programs.run(*words, "true").returncode == 92
