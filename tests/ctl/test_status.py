"""C{flomctl status}: who holds what, for people and for programs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from threading import Thread

import pytest

from flom._version import __version__
from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.protocol.messages import Answer, Lock, ManagementRefused, StatusRequest
from flom.net.machine_id import unique_id
from tests.ctl.peers import FLOMCTL, Locks, flomctl, rows_of
from tests.fakes.authority import Authority
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import PATIENCE, Programs, assert_refused, free_port
from tests.fakes.terminal import Terminal
from tests.fakes.us import by_us

CR, PR, EX = LockMode.CR, LockMode.PR, LockMode.EX
GRANTED, QUEUED = Outcome.GRANTED, Outcome.QUEUED


class TestForPrograms:
    """What is written to a file or a pipe."""

    def test_one_line_for_each_holder_and_waiter_blocked_resources_first(
        self, programs: Programs, daemon: Daemon, locks: Locks
    ) -> None:
        assert locks.ask("free", CR) == locks.ask("numbers[5]", quantity=3) == locks.ask("a.b") == GRANTED
        assert locks.ask("numbers[5]", quantity=4) == QUEUED
        assert locks.ask("/tree/left of it", PR) == GRANTED
        assert locks.ask("nobodys", create=False) == Outcome.AWAITING_CREATION
        rows = rows_of(flomctl(programs, "status", "-s", daemon.socket))
        columns = ("RESOURCE", "TYPE", "FREE", "STATE", "MODE", "ELEMENT")
        assert [tuple(row[column] for column in columns) for row in rows] == [
            ("nobodys", "simple", "-", "incubated", "EX", "-"),
            ("numbers[5]", "numeric", "2", "holds", "3", "-"),
            ("numbers[5]", "numeric", "2", "waits", "4", "-"),
            ("/tree/left of it", "hierarchical", "-", "holds", "PR", "-"),
            ("a.b", "set", "b", "holds", "-", "a"),
            ("free", "simple", "-", "holds", "CR", "-"),
        ]
        for row in rows:
            assert (row["PID"], row["UID"], row["ADDRESS"]) == (str(os.getpid()), str(os.getuid()), "localhost/")
            assert row["MACHINE"] == unique_id()
            assert 0 <= float(row["SECONDS"]) < 20

    def test_the_daemon_is_described_in_the_first_line(self, programs: Programs, daemon: Daemon) -> None:
        done = flomctl(programs, "status", "--socket-name", daemon.socket)
        head, nothing = done.stdout.splitlines()
        assert re.fullmatch(
            rf"# flom {re.escape(__version__)} on \S+, pid {daemon.process.pid}, up \d+ s since [-0-9]+ [:0-9]+, "
            r"0\.0 grants/s, 1 connection",
            head,
        )
        assert (done.returncode, nothing) == (0, "# no locks")

    def test_an_idle_resource_is_shown_until_it_is_forgotten(
        self, programs: Programs, daemon: Daemon, locks: Locks
    ) -> None:
        assert locks.ask("idle", lifespan=600) == GRANTED
        locks.close()
        while (row := rows_of(flomctl(programs, "status", "-s", daemon.socket))[0])["STATE"] == "holds":
            pass  # the daemon has not heard of it yet
        assert (row["RESOURCE"], row["STATE"], row["PID"]) == ("idle", "idle", "-")
        assert 500 < float(row["SECONDS"]) < 602

    def test_json_is_the_daemon_s_own_in_one_line(self, programs: Programs, daemon: Daemon, locks: Locks) -> None:
        assert locks.ask("R1") == GRANTED
        assert locks.ask("R1", PR) == QUEUED
        done = flomctl(programs, "status", "-s", daemon.socket, "--json")
        assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
        status = json.loads(done.stdout)
        [resource] = status["resources"]
        assert status["daemon"]["pid"] == daemon.process.pid
        assert [holder["mode"] for holder in resource["holders"]] == ["EX"]
        assert [waiter["mode"] for waiter in resource["waiters"]] == ["PR"]

    def test_hundreds_of_locks_are_the_same_in_both_forms(
        self, programs: Programs, daemon: Daemon, locks: Locks
    ) -> None:
        for number in range(150):
            locks.ask(f"R{number % 50}", (EX, PR, CR)[number % 3])
            locks.ask(f"/tree/{number % 20}", (EX, PR, CR)[number % 3])
            locks.ask(f"n{number % 10}[7]", quantity=number % 5 + 1)
        rows = rows_of(flomctl(programs, "status", "-s", daemon.socket))
        status = json.loads(flomctl(programs, "status", "-s", daemon.socket, "--json").stdout)
        expected = [
            (lock["name"], state, lock["mode"] or str(lock["quantity"]))
            for resource in status["resources"]
            for state, kind in (("holds", "holders"), ("waits", "waiters"))
            for lock in resource[kind]
        ]
        assert len(expected) == 450
        assert sorted((row["RESOURCE"], row["STATE"], row["MODE"]) for row in rows) == sorted(expected)

    def test_what_does_not_print_is_escaped(self, programs: Programs, daemon: Daemon, locks: Locks) -> None:
        assert locks.ask("/a/\u202eb\udcff") == GRANTED
        [row] = rows_of(flomctl(programs, "status", "-s", daemon.socket))
        assert row["RESOURCE"] == r"/a/\u202eb\udcff"
        done = flomctl(programs, "status", "-s", daemon.socket, "--json")
        assert json.loads(done.stdout)["resources"][0]["name"] == "/a/\u202eb\udcff"

    def test_a_reader_that_has_seen_enough_is_no_problem(self, programs: Programs, daemon: Daemon) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        process = programs.start_program(FLOMCTL, "status", "-s", daemon.socket, stdout=writing).process
        os.close(writing)
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, b"")


class TestGlob:
    """C{RESOURCE-GLOB}"""

    @pytest.mark.parametrize(
        ("glob", "shown"),
        [
            ("db*", {"db1", "db2"}),
            ("db[2]", {"db2"}),
            ("/t/*", {"/t/x/1", "/t/y"}),
            ("*/y", {"/t/x/1", "/t/y"}),
            ("*", {"db1", "db2", "waited", "/t/x/1", "/t/y"}),
            ("wait*", {"waited"}),
        ],
    )
    def test_it_selects_by_names_and_by_nodes(
        self, programs: Programs, daemon: Daemon, locks: Locks, glob: str, shown: set[str]
    ) -> None:
        for name in ("db1", "db2", "/t/x/1", "/t/y"):
            assert locks.ask(name) == GRANTED
        locks.ask("waited", create=False)
        rows = rows_of(flomctl(programs, "status", glob, "-s", daemon.socket))
        assert {row["RESOURCE"] for row in rows} == shown
        status = json.loads(flomctl(programs, "status", "--json", "-s", daemon.socket, glob).stdout)
        found = [lock for resource in status["resources"] for lock in resource["holders"]] + status["incubator"]
        assert {lock["name"] for lock in found} == shown

    def test_a_socket_that_was_meant_as_a_place_gets_a_hint(self, programs: Programs, daemon: Daemon) -> None:
        path = daemon.socket
        hint = f"; that is a socket: -s {path}?\n"
        done = flomctl(programs, "status", "-s", path, path)
        assert_refused(done, 1, f"flomctl: no resource matches {path!r}{hint}")
        assert_refused(flomctl(programs, "status", "-s", f"{path}.none", path), 1, hint)

    @pytest.mark.parametrize("words", [[], ["--json"]])
    def test_nothing_matches(self, programs: Programs, daemon: Daemon, locks: Locks, words: list[str]) -> None:
        locks.ask("DB1")
        done = flomctl(programs, "status", "-s", daemon.socket, *words, "db*")
        assert (done.returncode, done.stdout, done.stderr) == (1, "", "flomctl: no resource matches 'db*'\n")


class TestOnATerminal:
    """The table."""

    @pytest.mark.parametrize("columns", [120, 80, 60, 40])
    def test_it_fits(self, programs: Programs, daemon: Daemon, locks: Locks, columns: int) -> None:
        long = "/a/" + "very" * 20
        assert locks.ask(long) == GRANTED
        assert locks.ask(long, PR) == QUEUED
        with Terminal(columns, 40) as terminal:
            assert terminal.finish(terminal.start(programs, FLOMCTL, "status", "-s", daemon.socket)).returncode == 0
            terminal.see("waits")
            start = next(number for number, line in enumerate(terminal.lines) if "RESOURCE" in line)
            heading, rule, *rows = terminal.lines[start:]
        assert (heading.split()[0], heading.split()[-1]) == ("RESOURCE", "FOR")
        assert len(rule) <= columns
        name = heading.index(heading.split()[1])
        assert "".join(row[:name].strip() for row in rows) == long  # all of it, once

    def test_names_are_no_markup(self, programs: Programs, daemon: Daemon, locks: Locks, terminal: Terminal) -> None:
        assert locks.ask("/[red]a[/red]/:smile:") == GRANTED
        assert terminal.finish(terminal.start(programs, FLOMCTL, "status", "-s", daemon.socket)).returncode == 0
        terminal.see("/[red]a[/red]/:smile:", by_us())
        assert b"\x1b[32m" in terminal.written

    def test_no_color_is_heeded(self, programs: Programs, daemon: Daemon, locks: Locks, terminal: Terminal) -> None:
        assert locks.ask("R1") == GRANTED
        environment = {"TERM": "xterm", "NO_COLOR": "1"}
        words = (FLOMCTL, "status", "-s", daemon.socket)
        assert terminal.finish(terminal.start(programs, *words, environment=environment)).returncode == 0
        terminal.see("R1", "holds")
        assert not re.search(rb"\x1b\[[0-9;]*3[0-7]", terminal.written)

    def test_another_machine_is_named(
        self, programs: Programs, daemon: Daemon, locks: Locks, terminal: Terminal
    ) -> None:
        assert locks.ask("R1", peer_id="0123456789abcdef" * 2) == GRANTED
        assert locks.ask("R2") == GRANTED
        assert terminal.finish(terminal.start(programs, FLOMCTL, "status", "-s", daemon.socket)).returncode == 0
        lines = terminal.see("R1", "R2")
        assert [("R1" in line, "R2" in line) for line in lines if "@01234567" in line] == [(True, False)]

    def test_no_locks(self, programs: Programs, daemon: Daemon, terminal: Terminal) -> None:
        assert terminal.finish(terminal.start(programs, FLOMCTL, "status", "-s", daemon.socket)).returncode == 0
        terminal.see("no locks")


class TestWhere:
    """Where the daemon is."""

    def test_without_options_it_is_where_flom_run_looks(
        self, programs: Programs, daemon: Daemon, locks: Locks, tmp_path: Path
    ) -> None:
        locks.ask("R1")
        (tmp_path / ".flom").write_text(f"[Daemon]\nSocketName={daemon.socket}\n")
        assert [row["RESOURCE"] for row in rows_of(flomctl(programs, "status"))] == ["R1"]

    def test_a_file_can_be_named(self, programs: Programs, daemon: Daemon, locks: Locks, tmp_path: Path) -> None:
        locks.ask("R1")
        (tmp_path / "f").write_text(f"[Daemon]\nSocketName={daemon.socket}\n")
        assert len(rows_of(flomctl(programs, "status", "-c", str(tmp_path / "f")))) == 1

    def test_a_place_among_the_options_is_instead_of_one_in_a_file(
        self, programs: Programs, daemon: Daemon, locks: Locks, tmp_path: Path
    ) -> None:
        locks.ask("R1")
        (tmp_path / ".flom").write_text("[Daemon]\nUnicastAddress=127.0.0.1\nUnicastPort=1\n")
        assert len(rows_of(flomctl(programs, "status", "-s", daemon.socket))) == 1

    def test_over_tcp_addresses_are_shown(self, programs: Programs) -> None:
        port = str(free_port())
        with Daemon("--unicast-address", "127.0.0.1", "--unicast-port", port):
            holder = programs.start("-a", "127.0.0.1", "-p", port, "-r", "R1", "--", "sh", "-c", "echo held; cat")
            assert holder.line() == "held"
            [row] = rows_of(flomctl(programs, "status", "-a", "127.0.0.1", "-p", port))
            assert re.fullmatch(r"127\.0\.0\.1/\d+", row["ADDRESS"])
            assert (row["PID"], row["UID"]) == ("-", "-")

    def test_over_tls(self, programs: Programs, tmp_path: Path) -> None:
        port = str(free_port())
        options = Authority(tmp_path / "ca", "ca").issue("host").options("--unicast-port", port)
        with Daemon("--unicast-address", "127.0.0.1", *options):
            done = flomctl(programs, "status", "-a", "127.0.0.1", *options)
            assert (done.returncode, done.stderr) == (0, "")


class TestTrouble:
    """One line, and a status that tells."""

    def test_no_daemon(self, programs: Programs, tmp_path: Path) -> None:
        path = str(tmp_path / "nobody")
        for command in (["status"], ["wait-for", "R1"]):
            assert_refused(flomctl(programs, *command, "-s", path), 1, path, "no daemon is listening")

    def test_a_daemon_of_flom_s_survives(self, programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
        asked: list[object] = []

        def serve() -> None:
            conversation, lock = fake.accept()
            asked.append(lock)
            conversation.answer(0)  # as one would that grants whatever is asked for
            while (message := conversation.read()) is not None:
                asked.append(message)

        serving = Thread(target=serve)
        serving.start()
        path = str(tmp_path / "fake.sock")
        assert_refused(flomctl(programs, "status", "-s", path), 1, path, "a daemon of FLoM's")
        serving.join()
        lock, *rest = asked
        assert isinstance(lock, Lock)
        assert (lock.wait, lock.create) == (False, False)
        assert not any(isinstance(message, StatusRequest) for message in rest)

    def test_not_allowed(self, programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
        path = str(tmp_path / "fake.sock")
        running = programs.start_program(FLOMCTL, "status", "-s", path)
        conversation, _ = fake.accept()
        conversation.say(Answer(16, Outcome.CANNOT_WAIT, None, "0" * 32, extended=True))
        assert isinstance(conversation.read(), StatusRequest)
        conversation.say(ManagementRefused())
        assert_refused(running.finish(), 1, path, "--status-for all")

    def test_a_daemon_that_goes_away(self, programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
        path = str(tmp_path / "fake.sock")
        running = programs.start_program(FLOMCTL, "status", "-s", path)
        conversation, _ = fake.accept()
        conversation.close()
        assert_refused(running.finish(), 1, path, "closed the connection")

    @pytest.mark.parametrize(
        ("words", "named"),
        [
            (["status", "-s", "x", "-a", "y"], "-a"),
            (["status", "-a", "localhost", "-p", "x"], "unicast-port"),
            (["status", "-A", "192.0.2.1"], "'192.0.2.1' is not a multicast address"),
            (["status", "-A", "ff02::1", "-n", "wlan7"], "'wlan7'"),
            (["status", "-c", "/no/such/file"], "/no/such/file"),
            (["status", "--tls-certificate", "/no/such/file"], "tls-certificate"),
            (["status", "--tls-check-peer-id", "perhaps"], "tls-check-peer-id"),
            (["status", "--tls-certificate", "/etc/passwd"], "tls-private-key"),
            (["status", "one", "two"], "two"),
            (["status", "--sort", "name"], "--sort"),
            (["top", "--sort", "colour"], "colour"),
            (["wait-for", "no name"], "'no name'"),
        ],
        ids=lambda words: " ".join(words) if isinstance(words, list) else None,
    )
    def test_a_mistake_is_told_in_one_line(self, programs: Programs, words: list[str], named: str) -> None:
        assert_refused(flomctl(programs, *words), 2, named)
