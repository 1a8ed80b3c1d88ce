"""C{flomctl doctor} for one daemon, on a socket or at an address: what is wrong, in a line a check."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from flom._version import __version__
from flom.config import Config
from flom.ctl.finding import Verdict
from flom.ctl.place_doctor import _check_status, _why_not, examine_place
from tests.ctl.peers import FLOMCTL, Locks, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, free_port
from tests.fakes.status import make_status


def examined(programs: Programs, *words: str) -> tuple[int, list[tuple[str, str]]]:
    """Return the status of the doctor, and verdict and text of each finding."""
    done = flomctl(programs, "doctor", *words)
    assert done.stderr == ""
    return done.returncode, [(line[:8].rstrip(), line[9:]) for line in done.stdout.splitlines()]


def test_a_daemon_on_a_socket_is_well(programs: Programs, daemon: Daemon, locks: Locks) -> None:
    assert (locks.ask("R"), locks.ask("R")) == (0, 1)
    status, findings = examined(programs, "-s", daemon.socket)
    assert (status, {verdict for verdict, _ in findings}) == (0, {"ok"})
    assert [text.split(": ")[0] for _, text in findings] == [
        f"socket {daemon.socket}",
        f"connection to {daemon.socket}",
        "daemon",
        "locks",
    ]
    assert f"version {__version__}, process {daemon.process.pid} on " in findings[2][1]
    assert findings[3][1] == "locks: 1 held, 1 waited for"


def test_the_same_as_json(programs: Programs, daemon: Daemon, tmp_path: Path) -> None:
    found = json.loads(flomctl(programs, "doctor", "--json", "-s", daemon.socket).stdout)
    assert (found["format"], found["well"]) == (1, True)
    assert found["findings"][-1] == {"verdict": "ok", "check": "locks", "detail": "0 held, 0 waited for"}
    assert json.loads(flomctl(programs, "doctor", "--json", "-s", str(tmp_path / "no")).stdout)["well"] is False


def test_a_daemon_at_an_address_is_well(programs: Programs) -> None:
    port = str(free_port())
    with Daemon("--unicast-address", "127.0.0.1", "--unicast-port", port):
        status, findings = examined(programs, "-a", "127.0.0.1", "-p", port)
    assert (status, [text.split(": ")[0] for _, text in findings]) == (
        0,
        ["host 127.0.0.1", f"connection to 127.0.0.1:{port}", "daemon", "locks"],
    )


def test_sockets_that_lead_to_no_daemon(programs: Programs, tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert examined(programs, "-s", str(path)) == (
        1,
        [("failed", f"socket {path}: there is no such file: no daemon has been started there, or it has ended")],
    )
    [(_, text)] = examined(programs, "-s", str(path / "t"))[1]
    assert text.endswith(f"there is no directory {path}")
    path.touch()
    [(_, text)] = examined(programs, "-s", str(path))[1]
    assert text.endswith("that is no socket, but another kind of file")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    status, [(fine, _), (verdict, text)] = examined(programs, "-s", str(path))
    assert (status, fine, verdict) == (1, "ok", "failed")
    assert text.endswith("no process listens: the daemon has gone. The next one replaces the socket")


def test_the_daemon_of_the_unit_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word about the place, and without a daemon of the user's own."""
    unit = tmp_path / "flom.sock"
    monkeypatch.setattr("flom.ctl.place_doctor._UNIT_SOCKET", str(unit))
    monkeypatch.setattr("flom.ctl.place_doctor.private_sockets", lambda: [str(tmp_path / "own")])
    assert [finding.check for finding in examine_place(Config())] == [f"socket {tmp_path / 'own'}"]
    unit.touch()
    *_, finding = examine_place(Config())
    assert (finding.verdict, finding.check) == (Verdict.WARNING, f"socket {unit}")
    assert "FLOM_SOCKET" in finding.detail
    *_, finding = examine_place(Config(socket_name=str(tmp_path / "other")))
    assert finding.check == f"socket {tmp_path / 'other'}"


def test_a_socket_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o600)
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        [finding] = examine_place(Config(socket_name=str(path)))
    assert finding.verdict is Verdict.FAILED
    assert finding.detail.endswith("mode 0600")


def test_addresses_that_lead_to_no_daemon(programs: Programs) -> None:
    port = str(free_port())
    status, [(_, host), (verdict, text)] = examined(programs, "-a", "127.0.0.1", "-p", port)
    assert (status, host, verdict) == (1, f"host 127.0.0.1: 127.0.0.1, port {port}", "failed")
    assert f"connection to 127.0.0.1:{port}: refused: no process listens there" in text
    [(_, text)] = examined(programs, "-a", "nosuch.invalid")[1]
    assert text.startswith("host nosuch.invalid: its name leads to no address: ")


def test_an_address_that_says_nothing_may_be_behind_a_firewall() -> None:
    assert "a firewall drops TCP" in _why_not(TimeoutError(), is_local=False, is_abstract=False)


def test_a_daemon_that_wants_tls(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    """It closes the connection upon what is no TLS."""
    running = programs.start_program(FLOMCTL, "doctor", "-s", str(tmp_path / "fake.sock"))
    fake.accept()[0].close()
    done = running.finish()
    assert done.returncode == 1
    assert "failed   daemon: " in done.stdout
    assert "it may want TLS" in done.stdout


def test_a_daemon_of_flom_s_is_there(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    running = programs.start_program(FLOMCTL, "doctor", "-s", str(tmp_path / "fake.sock"))
    fake.accept()[0].answer(5)
    done = running.finish()
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("warning  daemon: it answers, but more is not known: ")


def test_what_a_daemon_says_of_itself_is_judged() -> None:
    status = make_status("R")
    daemon = status.daemon.replace(draining=True, grace_left=3.0, state_problem="the disk is full")
    findings = [*_check_status(status.replace(daemon=daemon))]
    assert [(finding.verdict, finding.check) for finding in findings] == [
        *((Verdict.WARNING, what) for what in ("state", "state", "state directory")),
        (Verdict.OK, "locks"),
    ]
