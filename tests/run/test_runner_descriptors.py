"""
Which descriptors the command and a started daemon have: those that docs/reference/flom-run.md tells of, and no other.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flom.net.machine_id import unique_id
from flom.tls.authority import issue, make_authority
from tests.fakes.daemon import FLOM_RUN
from tests.fakes.mounts import mount_at, needs_fuse, process_at, wait_for_no_mount
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.pipes import read_soon
from tests.fakes.programs import Programs, command_line_of, complaints, eventually, free_port, is_alive

LIVES_ON = ["-d", "60000"]

LIST = """
import os, socket
for number in map(int, os.listdir("/proc/self/fd")):
    try:
        found = os.readlink(f"/proc/self/fd/{number}").partition(":")[0]
    except OSError:
        continue  # it was for the list itself
    if found == "socket":
        with socket.socket(fileno=os.dup(number)) as one:
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            found = "connection" if one.type == socket.SOCK_STREAM and not listens else "other socket"
    if str(number) == os.getenv("FLOM_DEADLINE_FD"):
        found = "deadline"
    if str(number) == os.getenv("FLOM_CONTROL_FD"):
        continue  # tests/ctl/test_convert.py
    if ".holders-" in found:
        found = "holders"
    print(number, found, flush=True)
"""

SHOW = [sys.executable, "-I", "-S", "-c", LIST]

NOTHING_BESIDE = ["0 pipe", "1 pipe", "2 pipe"]


def shown(output: str) -> list[str]:
    """Return the lines that L{LIST} has written, by number."""
    return sorted(output.splitlines(), key=lambda line: int(line.split()[0]))


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe; give the ends for reading and for writing, each of which may be closed inside."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        for descriptor in (reading, writing):
            try:
                os.close(descriptor)
            except OSError:
                pass


def assert_ended(reading: int) -> None:
    """Check that nobody has the other end of a pipe."""
    assert read_soon(reading) == b""


Words = Callable[[Path], list[str]]


def over_unix(directory: Path) -> list[str]:
    return ["-s", str(directory / "flom.sock")]


def over_tcp(directory: Path) -> list[str]:
    return ["-a", "127.0.0.1", "-p", str(free_port())]


def over_tls(directory: Path) -> list[str]:
    authority = make_authority(directory / "certificates", days=1)
    issued = issue(directory / "certificates", unique_id(), days=1)
    names = {"certificate": issued.certificate, "private-key": issued.key, "ca-certificate": authority.certificate}
    return over_tcp(directory) + [word for name, path in names.items() for word in (f"--tls-{name}", str(path))]


IN_GROUP = ("connection", "deadline")
AT_ADDRESS = ("connection", "deadline", "holders")

each_way = pytest.mark.parametrize("way", [over_unix, over_tcp, over_tls])
each_manner = pytest.mark.parametrize("manner", [[], ["-V"]], ids=["quiet", "verbose"])


def assert_only_ours(lines: list[str], *inherited: str, kinds: tuple[str, ...] = IN_GROUP) -> None:
    """Check that a command had C{inherited}, the usual three, and one descriptor of each of C{kinds}."""
    others = [line for line in lines if line not in inherited]
    assert set(lines) - set(others) == set(inherited)
    assert others[:3] == NOTHING_BESIDE
    assert sorted(line.partition(" ")[2] for line in others[3:]) == list(kinds)


@each_way
@each_manner
def test_the_command_has_what_tells_of_its_lock_and_nothing_else_of_ours(
    programs: Programs, tmp_path: Path, way: Words, manner: list[str]
) -> None:
    where = way(tmp_path)
    for _ in range(2):  # without a daemon, and with one
        done = programs.run(*manner, *where, *LIVES_ON, "--", *SHOW)
        assert (done.returncode, complaints(done)) == (0, "")
        lines = [line for line in done.stdout.splitlines() if line[0].isdigit()]
        assert_only_ours(sorted(lines, key=lambda line: int(line.split()[0])), kinds=AT_ADDRESS)
    assert len(programs.daemons()) == 1


@each_way
def test_with_close_it_has_no_connection(programs: Programs, tmp_path: Path, way: Words) -> None:
    where = way(tmp_path)
    for _ in range(2):
        done = programs.run(*where, *LIVES_ON, "--close", "--", *SHOW)
        assert (done.returncode, done.stderr) == (0, "")
        assert_only_ours(shown(done.stdout), kinds=("deadline",))


@needs_network_namespaces
def test_nor_has_it_in_a_group(programs: Programs) -> None:
    with Host("flomfds") as host:
        host.add_interface("192.0.2.10/24")
        for _ in range(2):
            words = host.words(FLOM_RUN, "-A", "239.1.1.1", *LIVES_ON, "--", *SHOW)
            done = programs.start_program(*words).finish()
            assert (done.returncode, done.stderr) == (0, "")
            assert_only_ours(shown(done.stdout))
        assert len(host.pids()) == 1


@each_way
def test_the_command_has_what_we_were_given_and_the_daemon_has_not(
    programs: Programs, tmp_path: Path, way: Words
) -> None:
    where = way(tmp_path)
    with pipe() as (reading, writing):
        done = programs.run(*where, *LIVES_ON, "--", *SHOW, pass_fds=(writing,))
        assert_only_ours(shown(done.stdout), f"{writing} pipe", kinds=AT_ADDRESS)
        os.close(writing)
        assert_ended(reading)
    [daemon] = programs.daemons()
    assert is_alive(daemon)


def test_who_waits_for_the_end_of_our_output_does_not_wait_for_the_daemon(programs: Programs, tmp_path: Path) -> None:
    first, second = (f"'{FLOM_RUN}' -s '{tmp_path}/{name}' -d 60000 -- echo {name} 2>&1" for name in ("one", "two"))
    done = programs.start_program("sh", "-c", f'x=$({first}); echo "$x"; {second} | cat').finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\n", "")
    assert len(programs.daemons()) == 2


@needs_fuse
def test_nor_for_the_process_that_shows_what_is_held(programs: Programs, tmp_path: Path) -> None:
    place = tmp_path / "held"
    place.mkdir()
    with pipe() as (reading, writing):
        words = ["-s", str(tmp_path / "s"), "-m", str(place), "-d", "60000", "--", "sh", "-c", "echo ran; read end"]
        running = programs.start(*words, pass_fds=(writing,))
        assert running.line() == "ran"
        eventually(lambda: mount_at(place), "a mount")
        assert running.finish().returncode == 1
        os.close(writing)
        assert_ended(reading)
    shows = process_at(place)
    assert not any("pipe:" in link and number > "2" for number, link in descriptors_of(shows))
    [daemon] = [pid for pid in programs.daemons() if "flom.vfs" not in command_line_of(pid)]
    os.kill(daemon, signal.SIGTERM)
    wait_for_no_mount(place)


def descriptors_of(pid: int) -> list[tuple[str, str]]:
    """Return number and name of what a process has open."""
    directory = f"/proc/{pid}/fd"
    return [(number, os.readlink(f"{directory}/{number}")) for number in os.listdir(directory)]


def test_the_daemon_has_its_socket_and_its_lock_file(programs: Programs, tmp_path: Path) -> None:
    path = str(tmp_path / "flom.sock")
    with pipe() as (_, writing), (tmp_path / "open").open("w") as file:
        ours = {os.readlink(f"/proc/self/fd/{number}") for number in (writing, file.fileno())}
        words = ["-s", path, *LIVES_ON, "--", "true"]
        assert programs.run(*words, pass_fds=(writing, file.fileno())).returncode == 0
    [daemon] = programs.daemons()
    links = {link for _, link in descriptors_of(daemon)}
    [holders] = tmp_path.glob("flom.sock.holders-*")
    assert {link for link in links if link.startswith("/")} == {"/dev/null", f"{path}.lock", str(holders)}
    assert not links & ours
