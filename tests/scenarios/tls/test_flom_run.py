"""
C{flom-run} and C{twistd flom} over TLS: what works, and the one line that tells what does not
(docs/compatibility.md, "TLS").
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.fakes.authority import Files
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.peers import is_locked
from tests.fakes.programs import Programs, assert_refused, free_port
from tests.scenarios.integration.test_daemon import TWISTD
from tests.scenarios.tls.flom_peers import FlomClient

FLOM = str(BIN / "flom")
CHECKED = ["--tls-check-peer-id", "yes"]


class Place:
    """
    A daemon on a UNIX socket and a TCP port.

    @ivar path: the socket.
    @ivar port: on 127.0.0.1 and ::1.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.path = str(directory / "flom.sock")
        self.port = free_port()
        where = ["--socket-name", self.path, "--unicast-address", "127.0.0.1", "--unicast-address", "::1"]
        self.daemon = Daemon(*where, "--unicast-port", str(self.port), *options, ready="on [::1]")

    def serves(self, files: Files, resource: str) -> bool:
        """Return whether a client over TLS is granted C{resource}."""
        with FlomClient(self.port, files) as client:
            return client.lock(resource) == "0"


@pytest.fixture(scope="module")
def lenient(files: Mapping[str, Files], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A daemon that does not check ids, and has another host's certificate itself."""
    place = Place(tmp_path_factory.mktemp("lenient"), *files["somebody's"].options())
    with place.daemon:
        yield place


@pytest.fixture(scope="module")
def strict(files: Mapping[str, Files], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A daemon that checks ids."""
    place = Place(tmp_path_factory.mktemp("strict"), *files["good"].options(*CHECKED))
    with place.daemon:
        yield place


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A daemon without TLS."""
    place = Place(tmp_path_factory.mktemp("plain"))
    with place.daemon:
        yield place


# locks


@pytest.mark.parametrize("transport", ["UNIX", "127.0.0.1", "::1"])
def test_a_command_runs_under_a_lock(
    programs: Programs, strict: Place, good: Files, resource: str, transport: str
) -> None:
    where = ["-s", strict.path] if transport == "UNIX" else ["-a", transport, "-p", str(strict.port)]
    done = programs.run(*where, *good.options(*CHECKED), "-r", resource, "--", "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_a_lock_that_is_taken_is_waited_for(programs: Programs, strict: Place, good: Files, resource: str) -> None:
    with FlomClient(strict.port, good) as holder:
        assert holder.lock(resource) == "0"
        where = ["-s", strict.path, *good.options(), "-r", resource]
        done = programs.run(*where, "-o", "0", "--", "echo", "ran")
        assert (done.returncode, done.stdout) == (98, "")
        running = programs.start(*where, "--", "echo", "ran")
    assert running.finish().stdout == "ran\n"


def test_when_we_are_killed_the_lock_lives_as_long_as_the_command(
    programs: Programs, lenient: Place, good: Files, resource: str
) -> None:
    words = ["-s", lenient.path, *good.options(), "-r", resource]
    running = programs.start(*words, "--", "sh", "-c", "echo started; read line")
    assert running.line() == "started"
    running.signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    with FlomClient(lenient.port, good) as waiter:
        assert waiter.lock(resource) == "1"
        running.say("go")
        assert waiter.wait() == "0"


# who is turned away: where, with which files and options, what flom says, what the daemon says

CONNECT_404, CONNECT_407 = "flom_client_connect: ret_cod=-404 ", "flom_client_connect: ret_cod=-407 "
LOCK_23, LOCK_126, LOCK_409 = (f"flom_client_lock: ret_cod={code} " for code in (-23, -126, -409))

FAILURES = {
    "a stranger's certificate": ("lenient", "from another authority", [], LOCK_409, "does not come from the authority"),
    "an expired certificate": ("lenient", "expired", [], LOCK_409, "has expired"),
    "an unknown authority": ("lenient", "trusting another authority", [], CONNECT_407, "it does not trust the authori"),
    "the key of another certificate": ("lenient", "for another key", [], CONNECT_404, ""),
    "no TLS": ("lenient", "", [], LOCK_126, "it does not speak TLS"),
    "a daemon with somebody's id": ("lenient", "good", CHECKED, LOCK_23, ""),
    "somebody's id": ("strict", "somebody's", [], LOCK_409, "its certificate has the common name"),
    "no common name": ("strict", "nameless", [], LOCK_409, "its certificate has no common name"),
    "no TLS at the daemon": ("plain", "good", [], LOCK_126, "it speaks TLS, which is not spoken here"),
}


@pytest.mark.parametrize(("where", "kind", "more", "complaint", "breach"), FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_is_told_in_one_line_and_the_daemon_serves_on(
    programs: Programs,
    request: pytest.FixtureRequest,
    files: Mapping[str, Files],
    resource: str,
    where: str,
    kind: str,
    more: list[str],
    complaint: str,
    breach: str,
) -> None:
    place: Place = request.getfixturevalue(where)
    options = files[kind].options(*more) if kind else []
    words = ["-s", place.path, *options, "-r", resource, "--", "echo", "ran"]
    plainly = programs.run(*words)
    assert_refused(plainly, 99, "flom-run: ")
    assert "ret_cod" not in plainly.stderr
    running = programs.start_program(FLOM, *words)
    done = running.finish()
    assert_refused(done, 99)
    assert done.stderr.startswith(complaint)
    if breach:
        place.daemon.wait_for_log(f"closing pid {running.pid} of uid 0: ")
        assert breach in place.daemon.log.splitlines()[-1]
    if where == "plain":
        assert not is_locked(place.path, resource)
    else:
        assert place.serves(files["good"], resource)


@pytest.mark.parametrize("is_there", [False, True], ids=["of a daemon that is started", "of one that runs"])
def test_with_half_of_the_files_there_is_no_tls_but_a_warning(
    programs: Programs, plain: Place, good: Files, tmp_path: Path, is_there: bool
) -> None:
    path = plain.path if is_there else str(tmp_path / "s")
    done = programs.run("-s", path, "-d", "300", "--tls-certificate", good.certificate, "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert re.fullmatch("flom.*: warning: .*tls-private-key and tls-ca-certificate.*\n", done.stderr)


# a daemon of one's own


def test_the_daemon_that_is_started_has_the_same_files_and_checks_the_same(
    programs: Programs, files: Mapping[str, Files]
) -> None:
    where = ["-a", "127.0.0.1", "-p", str(free_port()), "-r", "_s_x[1]"]
    first = programs.run(*where, "-d", "10000", *files["good"].options(*CHECKED), "--", "echo")
    assert (first.returncode, first.stdout, first.stderr) == (0, "1\n", "")
    second = programs.run(*where, "-d", "0", *files["good"].options(), "--", "echo")
    assert (second.returncode, second.stdout, second.stderr) == (0, "2\n", "")
    words = [*where, "-d", "0", *files["somebody's"].options(), "--", "echo"]
    somebody = programs.start_program(FLOM, *words).finish()
    assert (somebody.returncode, somebody.stdout) == (99, "")
    assert somebody.stderr.startswith(LOCK_409)
    assert len(programs.daemons()) == 1


def test_no_daemon_is_started_that_could_not_use_the_files_either(
    programs: Programs, files: Mapping[str, Files], tmp_path: Path
) -> None:
    where = ["-s", str(tmp_path / "flom.sock"), "-d", "2000"]
    done = programs.start_program(FLOM, *where, *files["for another key"].options(), "--", "echo", "ran").finish()
    assert (done.returncode, done.stdout) == (99, "")
    assert done.stderr.startswith(CONNECT_404)
    assert list(tmp_path.iterdir()) == []


# the end of a daemon


@pytest.mark.parametrize("order", ["-x", "-X"])
@pytest.mark.parametrize(("kind", "more"), [("good", CHECKED), ("somebody's", [])], ids=["checked", "somebody's"])
def test_a_daemon_is_ended(
    programs: Programs, files: Mapping[str, Files], tmp_path: Path, kind: str, more: list[str], order: str
) -> None:
    place = Place(tmp_path, *files["good"].options(*more))
    with place.daemon:
        done = programs.run(order, "-s", place.path, *files[kind].options(*more))
        assert (done.returncode, done.stderr) == (0, "")
        assert place.daemon.process.wait(30) == 0


def test_a_user_that_fails_the_check_of_ids_cannot_end_it(
    programs: Programs, strict: Place, files: Mapping[str, Files], resource: str
) -> None:
    done = programs.run("-X", "-s", strict.path, *files["somebody's"].options())
    assert done.returncode == 99
    assert re.fullmatch(".* refuses to end: .*\n", done.stderr)
    assert strict.serves(files["good"], resource)


def test_a_user_without_tls_cannot_end_it(programs: Programs, strict: Place, good: Files, resource: str) -> None:
    done = programs.run("-X", "-s", strict.path)
    assert done.returncode == 99
    assert re.fullmatch(".* has not ended: it may want TLS.*\n", done.stderr)
    assert strict.serves(good, resource)


# twistd

UNUSABLE = {
    "two files of three": ("good", 4, "tls-ca-certificate"),
    "the key of another certificate": ("for another key", 6, "tls-private-key"),
    "a key with a passphrase": ("locked", 6, "it has a passphrase"),
}


@pytest.mark.parametrize(("kind", "words", "why"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_daemon_with_files_that_cannot_be_used_does_not_start(
    files: Mapping[str, Files], tmp_path: Path, kind: str, words: int, why: str
) -> None:
    options = files[kind].options()[:words]
    path = str(tmp_path / "flom.sock")
    refused = subprocess.run(
        [*TWISTD, "flom", "--socket-name", path, *options], capture_output=True, text=True, timeout=30
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch(f"twistd flom: .*{why}.*\n", refused.stderr)
    assert list(tmp_path.iterdir()) == []
