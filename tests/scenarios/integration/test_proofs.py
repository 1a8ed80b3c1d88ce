"""Only a client that can prove it reclaims a lock from the daemon that follows the one that has granted it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flom.core.modes import LockMode
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.events import Granted, Refused
from flom.core.protocol.messages import Lock
from flom.net.holding import Holding
from flom.net.machine_id import unique_id
from flom.tls.authority import issue, make_authority
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs, Running, eventually, free_port

NOBODY = 65534
R = Lock("R", LockMode.EX, wait=False, create=True, extended=True)


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options of C{flom-run} for a socket that every user can reach, by its name in the working directory."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    return ["-s", str(tmp_path / "s")]


def daemon_at(where: list[str], *options: str, environment: dict[str, str] | None = None) -> Daemon:
    return Daemon("--socket-name", where[1], *options, environment=environment)


def kill(daemon: Daemon) -> None:
    daemon.process.kill()
    daemon.process.wait(30)


def hold(programs: Programs, marks: Marks, where: list[str], **options: Any) -> Running:
    holder = programs.start(*marks.job(*where, "-d", "0", "-r", "R"), **options)
    eventually(lambda: holder.line() == "held", "the lock")
    return holder


class Client:
    """A connection to the daemon of this directory, as the user C{uid}."""

    def __init__(self, uid: int = 0) -> None:
        self.connection = ClientConnection()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        os.seteuid(uid)
        try:
            self._socket.connect("s")
        finally:
            os.seteuid(0)

    def ask(self, message: Lock) -> Granted | Refused:
        self._socket.sendall(self.connection.lock(message))
        while True:
            for event in self.connection.receive(self._socket.recv(4096)):
                if isinstance(event, (Granted, Refused)):
                    return event

    def close(self) -> None:
        self._socket.close()


def says_unproven(log: str) -> list[str]:
    return [line for line in log.splitlines() if "unproven" in line or "proof of its grant" in line]


def test_a_forged_reclaim_is_refused_and_the_holder_goes_on(
    programs: Programs, marks: Marks, where: list[str], tmp_path: Path
) -> None:
    """No trace shows a proof."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    everything = {"FLOM_TRACE_MASK": "0xffffff"}
    options = ["--state", str(tmp_path / "state"), "-t", str(theirs)]
    with daemon_at(where, *options) as killed:
        holder = hold(programs, marks, [*where, "-T", str(ours)], environment=everything)
        kill(killed)
    holder.signal(signal.SIGSTOP)  # the thief comes first
    with daemon_at(where, *options, environment=everything) as daemon:
        thief = Client()
        assert isinstance(thief.ask(R.replace(regains=True, token=1 << 32 | 1, proof="0" * 32)), Refused)
        thief.close()
        holder.signal(signal.SIGCONT)
        holder.say("end")
        ended = holder.finish()
        assert (ended.returncode, ended.stderr) == (0, "")
        daemon.stop()
        [line] = says_unproven(daemon.log)
        pid = os.getpid()
        assert line.endswith(f"R (EX) is not reclaimed by pid {pid} of uid 0, which has a wrong proof of its grant")
    for trace in ours.read_text(), theirs.read_text():
        assert 'proof="..."' in trace
        assert not re.search("proof=['\"][0-9a-f]", trace)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user needs root")
def test_what_another_user_has_overheard_is_of_no_use(where: list[str], tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state")]
    with daemon_at(where, *state) as killed:
        client = Client()
        granted = client.ask(R)
        assert isinstance(granted, Granted)
        held = Holding(f"{where[1]}.holders-{client.connection.start}")
        kill(killed)
    reclaim = R.replace(regains=True, token=granted.token or 0, proof=granted.proof)
    with daemon_at(where, *state) as daemon:
        thief, honest = Client(NOBODY), Client()
        assert isinstance(thief.ask(reclaim), Refused)
        assert honest.ask(reclaim) == granted
        held.release()
        for each in client, thief, honest:
            each.close()
        daemon.stop()
        [line] = says_unproven(daemon.log)
        assert f"uid {NOBODY}, which has a wrong proof" in line


@pytest.fixture(params=["unix", "tls"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], list[str]]:
    """Options of C{flom-run} for an address, and those of a daemon there."""
    if request.param == "unix":
        return ["-s", str(tmp_path / "s")], ["--socket-name", str(tmp_path / "s")]
    authority = make_authority(tmp_path, days=1)
    issued = issue(tmp_path, unique_id(), days=1)
    where = ["-a", "127.0.0.1", "-p", str(free_port())]
    where += ["--tls-certificate", str(issued.certificate), "--tls-private-key", str(issued.key)]
    where += ["--tls-ca-certificate", str(authority.certificate)]
    return where, where


def test_clients_of_all_kinds_prove_what_they_have_held(
    programs: Programs, marks: Marks, place: tuple[list[str], list[str]], tmp_path: Path
) -> None:
    where, listens = place
    listens = [*listens, "--state", str(tmp_path / "state")]
    twisted = [sys.executable, "-m", "flom.client.deferred"]
    holders = []
    log = ""
    for attempt in range(3):
        with Daemon(*listens) as daemon:
            if not attempt:
                for program, name in ([FLOM_RUN], "/a/b"), (twisted, "_s_n[2]"):
                    holders.append(programs.start_program(*program, *marks.job(*where, "-d", "0", "-r", name)))
                assert [holder.line() for holder in holders] == ["held", "held"]
            else:
                daemon.wait_for_log("all holders of the last daemon have come back")
            if attempt < 2:
                kill(daemon)
                assert daemon.process.stdout is not None
                log += daemon.log + daemon.process.stdout.read()
            else:
                for holder in holders:
                    holder.say("end")
                    ended = holder.finish()
                    assert (ended.returncode, ended.stderr) == (0, "")
                daemon.stop()
                log += daemon.log
    assert says_unproven(log) == []


def test_without_a_state_directory_reclaims_are_believed(programs: Programs, marks: Marks, where: list[str]) -> None:
    with daemon_at(where) as killed:
        holder = hold(programs, marks, where)
        kill(killed)
    with daemon_at(where) as daemon:
        daemon.wait_for_log("unproven")
        holder.say("end")
        ended = holder.finish()
        assert (ended.returncode, ended.stderr) == (0, "")
        daemon.stop()
        [line] = says_unproven(daemon.log)
        assert line.endswith(f"R (EX) is reclaimed by pid {holder.process.pid} of uid {os.geteuid()}, unproven")


def test_a_broken_key_is_one_line(where: list[str], tmp_path: Path, programs: Programs) -> None:
    state = tmp_path / "state"
    state.mkdir(0o700)
    (state / "key").write_text("secret")
    (state / "key").chmod(0o600)
    with pytest.raises(AssertionError, match=f"state: {state}/key: it is no key\n$"):
        daemon_at(where, "--state", str(state)).__enter__()
    assert (state / "key").read_text() == "secret"


def test_a_key_that_cannot_be_made_is_told_and_locks_are_granted(
    where: list[str], tmp_path: Path, programs: Programs
) -> None:
    (tmp_path / "state" / "key.new").mkdir(mode=0o700, parents=True)  # for root, nothing is read-only
    (tmp_path / "state").chmod(0o700)
    problem = f"{tmp_path}/state/key: is a directory"
    with daemon_at(where, "--state", str(tmp_path / "state")) as daemon:
        assert programs.run(*where, "-d", "0", "--", "true").returncode == 0
        shown = subprocess.run([BIN / "flomctl", "status", *where, "--json"], capture_output=True, timeout=60)
        assert json.loads(shown.stdout)["daemon"]["state_problem"] == problem
        daemon.stop()
        assert daemon.log.count(f"{problem}: no grant has a proof\n") == 1
