"""
Whatever is wrong, C{flom-run} says so in one line, runs nothing and deletes nothing
(docs/compatibility.md, "Exit statuses", "Messages").
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.programs import Programs, RunHere, assert_refused, complaints

BAD_WORDS: list[tuple[list[str], tuple[str, ...]]] = [
    (["--bad"], ("Unknown option --bad",)),
    (["-z"], ("Unknown option -z",)),
    (["-r"], ("Missing argument for -r",)),
    (["-l", "abc"], ("lock-mode: 'abc'",)),
    (["-o", "soon"], ("resource-timeout: 'soon'",)),
    (["-o", "1\n2"], ("resource-timeout",)),
    (["-i", "2147483648"], ("resource-idle-lifespan: '2147483648'",)),
    (["-d", ""], ("daemon-lifespan: ''",)),
    (["-p", "70000"], ("unicast-port: '70000'",)),
    (["-a", "127.0.0.1", "--tcp-keepalive-time=0"], ("tcp-keepalive-time: '0'", "from 1 to 32767")),
    (["-a", "127.0.0.1", "--tcp-keepalive-time=32768"], ("tcp-keepalive-time: '32768'", "from 1 to 32767")),
    (["-a", "127.0.0.1", "--tcp-keepalive-intvl=0"], ("tcp-keepalive-intvl: '0'", "from 1 to 32767")),
    (["-A", "ff02::1", "--tcp-keepalive-probes=128"], ("tcp-keepalive-probes: '128'", "from 1 to 127")),
    (["-a", "h1,h2"], ("unicast-address: 'h1,h2' are several hosts", "flom-run")),
    (["--sessions", "often"], ("sessions: 'often'",)),
    (["-a", "127.0.0.1", "--sessions=required", "--session-timeout=0"], ("sessions: 'required'", "session-timeout")),
    (["-s", "x" * 108], ("socket-name", "x" * 108)),
    (["-A", "ff02::1", "-P", "70000"], ("multicast-port: '70000'",)),
    (["-A", "ff02::1", "-P", "0"], ("multicast-port: '0'",)),
    (["-A", "ff02::1", "-D", "often"], ("discovery-attempts: 'often'",)),
    (["-A", "ff02::1", "-D", "2147483648"], ("discovery-attempts: '2147483648'",)),
    (["-A", "ff02::1", "-I", "0"], ("discovery-timeout: '0'",)),
    (["-A", "ff02::1", "-I", "3600001"], ("discovery-timeout: '3600001'",)),
    (["-A", "ff02::1", "--discovery-ttl=300"], ("discovery-ttl: '300'",)),
    (["-m", ""], ("mount-point-vfs: ''",)),
    (["--tls-certificate", ""], ("tls-certificate: ''",)),
]


@pytest.mark.parametrize(("words", "named"), BAD_WORDS, ids=[ascii(" ".join(words))[:40] for words, _ in BAD_WORDS])
def test_a_bad_command_line_gives_99(run_here: RunHere, words: list[str], named: tuple[str, ...]) -> None:
    assert_refused(run_here(*words, *(["--", "echo", "ran"] if len(words) > 1 else [])), 99, *named)


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["-A", "ff02::1", "--group-key="], "group-key: '' "),
        (["-t", ""], "daemon-trace-file: '' "),
        (["-T", ""], "command-trace-file: '' "),
        (["-c", ""], "'': "),
    ],
    ids=ascii,
)
def test_an_empty_path_is_refused(flom_run_here: RunHere, words: list[str], option: str) -> None:
    """As of a variable of the shell that is not set; without a key, anybody could say anything to a group."""
    assert_refused(flom_run_here(*words, "--", "echo", "ran"), 99, option)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-a", "h1,,h2", "--", "true"], "a host is missing beside a comma"),
        (["-a", "h1,", "--", "true"], "a host is missing beside a comma"),
        (["-a", "h1,h2", "-A", "ff02::1", "--", "true"], "for which there must be no group"),
        (["-a", "h1,h2", "-x"], "and this is for one"),
        (["-a", "h1,h2", "--debug-feature", "tls.client"], "and this is for one"),
    ],
)
def test_several_hosts_are_for_locks_alone(flom_run_here: RunHere, words: list[str], why: str) -> None:
    assert_refused(flom_run_here(*words), 99, f"unicast-address: '{words[1]}'", why)


def test_a_bad_command_line_gives_99_as_a_process_too(programs: Programs) -> None:
    assert_refused(programs.run("--bad", "--", "echo", "ran"), 99, "unknown option --bad")


def test_bytes_that_are_no_text_are_refused_like_any_bad_value(programs: Programs) -> None:
    words = ["-r", "\udcff", "--", "echo", "ran"]
    assert_refused(programs.run(*words), 99, "flom-run: ", "resource", r"\udcff")
    stdout = "ERROR: '\\udcff' is not a valid name for a resource\n"
    done = programs.start_program(str(BIN / "flom"), *words).finish()
    assert_refused(done, 99, "resource", r"\udcff", stdout=stdout)


def test_a_value_with_a_line_feed_makes_no_second_line(run_here: RunHere) -> None:
    stdout = "ERROR: 'two\nlines' is not a valid name for a resource\n"  # FLoM writes it as it is
    assert_refused(run_here("-r", "two\nlines", "--", "echo", "ran"), 99, r"'two\nlines'", stdout=stdout)


def test_an_unknown_interface_gives_99(programs: Programs) -> None:
    done = programs.run("-a", "::1", "-n", "nosuch0", "--", "echo", "ran")
    assert_refused(done, 99, "flom-run: network-interface: this host has no 'nosuch0', but ", "lo")


@pytest.mark.parametrize("words", [[], ["--"], ["-r", "R1", "--"]])
def test_no_command_gives_97(run_here: RunHere, words: list[str]) -> None:
    assert_refused(run_here(*words), 97, "No command")


LONG = "x" * 108


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[Resource]\nTimeout=0x10\n", "[Resource] Timeout='0x10' is an invalid value"),
        ("[Resource]\nName=_RESOURCE\n", "[Resource] Name='_RESOURCE' is an invalid value"),
        (f"[Daemon]\nSocketName={LONG}\n", f"[Daemon] SocketName='{LONG}' is an invalid value"),
    ],
    ids=["integer", "name", "path"],
)
def test_a_bad_value_in_the_user_s_file_gives_99(run_here: RunHere, tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / ".flom"  # the tests' home directory is here
    path.write_text(text)
    stdout = f"{named}\nERROR: invalid configuration found in file '{path}'\n"
    assert_refused(run_here("--", "echo", "ran"), 99, str(path), named, stdout=stdout)


@pytest.mark.parametrize("text", ["neither group nor key", "Name=R1"])
def test_a_named_file_that_is_no_key_file_gives_99(run_here: RunHere, tmp_path: Path, text: str) -> None:
    path = tmp_path / "conf"
    path.write_text(f"{text}\n")
    stdout = f"ERROR: error while loading file '{path}'\n"
    assert_refused(run_here("-c", str(path), "--", "echo", "ran"), 99, str(path), f"'{text}'", stdout=stdout)


def test_a_path_that_stdout_cannot_show_is_no_problem_of_verbose(programs: Programs) -> None:
    words = ["-V", "-s", "/no/such/directory/\udcff", "-d", "0", "--", "echo", "ran"]
    done = programs.run(*words, environment={"PYTHONIOENCODING": "utf-8:strict"})
    assert done.returncode == 99
    assert complaints(done).count("\n") == 1
    assert "/no/such/directory/" in done.stderr


def test_a_stdout_that_nobody_reads_is_no_problem_of_verbose(programs: Programs) -> None:
    into_nothing = '{ "$@"; echo "status $?" >&2; } | :'
    words = [FLOM_RUN, "-V", "-s", "/no/such/directory/s", "-d", "0", "--", "echo", "ran"]
    done = programs.start_program("sh", "-c", into_nothing, "sh", *words).finish()
    assert complaints(done).splitlines()[1:] == ["status 99"]


# the daemon cannot be reached


def test_a_daemon_that_is_not_there_gives_99(programs: Programs, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    assert_refused(
        programs.run("-s", path, "-d", "0", "--", "echo", "ran"), 99, f"flom-run: {path}: no daemon is listening"
    )


def test_a_port_where_nobody_listens_gives_99(programs: Programs) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = str(bound.getsockname()[1])
        done = programs.run("-a", "127.0.0.1", "-p", port, "-d", "0", "--", "echo", "ran")
    assert_refused(done, 99, f"flom-run: 127.0.0.1:{port}: no daemon is listening")


def test_a_port_that_is_taken_without_listening_runs_into_the_timeout(programs: Programs) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = str(bound.getsockname()[1])
        done = programs.run("-a", "127.0.0.1", "-p", port, "-o", "300", "--", "echo", "ran")
    assert_refused(done, 98, "flom-run: _RESOURCE: not granted within 0.3 s")


@pytest.mark.parametrize(
    ("host", "interface"),
    [("no..such", []), ("a b", []), ("x" * 64 + ".invalid", ["-n", "lo"])],
    ids=["empty label", "blank", "long label, by an interface"],
)
def test_a_host_that_is_none_gives_99(programs: Programs, host: str, interface: list[str]) -> None:
    assert_refused(
        programs.run("-a", host, *interface, "-d", "0", "--", "echo", "ran"), 99, f"flom-run: {host}: no such host"
    )


# the socket's path


def write_a_file(path: Path) -> None:
    path.write_text("mine\n")


@pytest.mark.parametrize("make", [write_a_file, Path.mkdir, os.mkfifo], ids=["a file", "a directory", "a fifo"])
def test_what_is_no_socket_is_not_deleted(programs: Programs, tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "s"
    make(path)
    before = path.lstat()
    assert_refused(programs.run("-s", str(path), "-d", "300", "--", "echo", "ran"), 99, str(path))
    assert path.lstat().st_ino == before.st_ino
    assert not path.is_file() or path.read_text() == "mine\n"


def test_a_link_to_a_file_is_not_followed(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine\n")
    (tmp_path / "s").symlink_to("file")
    done = programs.run("-s", str(tmp_path / "s"), "-d", "300", "--", "echo", "ran")
    assert_refused(done, 99, str(tmp_path / "s"))
    assert (tmp_path / "file").read_text() == "mine\n"
    assert (tmp_path / "s").is_symlink()


def test_a_directory_that_does_not_exist_gives_99(programs: Programs, tmp_path: Path) -> None:
    done = programs.run("-s", str(tmp_path / "none" / "s"), "-d", "300", "--", "echo", "ran")
    assert_refused(
        done, 99, f"flom-run: cannot start a daemon: {tmp_path / 'none' / 's'}: its directory does not exist\n"
    )


def test_a_relative_path_that_is_too_long_in_full_is_refused(programs: Programs, tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 60) / ("e" * 60)
    directory.mkdir(parents=True)
    done = programs.run("-s", "./s", "-d", "300", "--", "echo", "ran", cwd=directory)
    assert_refused(done, 99, str(directory / "s"))


def test_a_path_of_107_bytes_is_not_too_long(programs: Programs, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    path += "x" * (107 - len(path))
    done = programs.run("-s", path, "-d", "300", "--", "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


# where it is said


def test_a_complaint_never_goes_to_stdout(programs: Programs) -> None:
    done = programs.run("--bad", first=lambda: os.close(2))
    assert (done.returncode, done.stdout, done.stderr) == (99, "", "")


def test_a_command_s_name_with_a_line_feed_makes_no_second_line(programs: Programs, address: str) -> None:
    done = programs.run("-s", address, "-r", "linefeed", "--", "no\nsuch")
    assert_refused(done, 97)
