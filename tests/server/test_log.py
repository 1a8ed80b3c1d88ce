"""What the log says of locks: refusals always, grants if wanted, with fields that log processors can use."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent

from flom.core.modes import LockMode
from flom.core.protocol.messages import Lock
from flom.core.protocol.wire import encode
from flom.server.arbiter import DeferredArbiter
from flom.server.limits import Limits
from flom.server.log_throttle import MANY, WINDOW
from flom.server.options import ServerOptions
from tests.fakes.connections import MemoryDaemon as MemoryDaemon
from tests.fakes.connections import lock, unlock, xml
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.logs import warnings
from tests.fakes.programs import eventually


def lines(log: list[LogEvent], level: LogLevel) -> list[str | None]:
    return [formatEvent(event) for event in log if event.get("log_level") is level]


def test_a_refusal_is_one_line(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(lock())
    daemon.connect("192.0.2.7").send(lock(mode=3, wait=0))
    assert lines(log, LogLevel.info) == ["R1 (PR) refused to 192.0.2.7/40000: busy"]
    assert lines(log, LogLevel.debug) == []


@pytest.mark.parametrize("name", ["/a/\udcb7", "/a/\u2028b", "/a/\u200fb"])
def test_a_name_that_does_not_print_is_spelled_as_python_does(name: str, log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(encode(Lock(name, LockMode.EX, create=True)))
    daemon.connect("192.0.2.7").send(encode(Lock(name, LockMode.EX)))
    assert lines(log, LogLevel.info) == [f"{ascii(name)[1:-1]} (EX) refused to 192.0.2.7/40000: busy"]


def test_grants_are_logged_if_that_is_wanted_with_the_times(log: list[LogEvent]) -> None:
    clock = Clock()
    arbiter = DeferredArbiter(clock, log_grants=True)
    arbiter.acquire("R1").addCallback(lambda held: clock.callLater(1.5, held.release))
    arbiter.acquire("R1")
    clock.advance(1.5)
    here = arbiter.view().resources[0].holders[0].request.session
    peer = arbiter.peer(here)
    assert peer is not None
    assert lines(log, LogLevel.debug) == [
        f"R1 (EX) granted to {peer.name} after 0.000 s",
        f"R1 (EX) released by {peer.name} after 1.500 s",
        f"R1 (EX) granted to {peer.name} after 1.500 s",
    ]
    granted = log[-1]
    assert (granted["resource"], granted["mode"], granted["waited"]) == ("R1", "EX", 1.5)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (xml(1, 8, '<resource name="UjE="/>', level=4), "FLM006W closing 127.0.0.1:40000: protocol level '4', not 3"),
        (
            lock() + unlock("R2"),
            "FLM009W closing 127.0.0.1:40000: unlock of 'R2' on a connection bound to 'R1'",
        ),
        (xml(3, 8), "closing 127.0.0.1:40000: ping before any lock"),
    ],
)
def test_what_breaks_the_protocol_goes_by_flom_s_id_if_it_has_one(said: bytes, line: str, log: list[LogEvent]) -> None:
    MemoryDaemon().connect().send(said)
    assert warnings(log) == [line]


def test_what_comes_after_our_last_word_is_no_breach_in_whatever_pieces_it_comes(log: list[LogEvent]) -> None:
    last, malformed = lock(wait=0, create=0), xml(1, 8, '<resource name="UjE="/>', level=4)
    for pieces in ([last + malformed], [last, malformed]):
        client = MemoryDaemon().connect()
        for piece in pieces:
            client.send(piece)
        assert client.transport.half_closed
    assert warnings(log) == []


def test_a_daemon_tells_its_life_under_flom_s_ids(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with Daemon("--socket-name", path, ready="FLM003N") as daemon:
        subprocess.run([FLOM_RUN, "-s", path, "-x"], check=True, stdout=subprocess.DEVNULL)
        rest, _ = daemon.process.communicate(timeout=30)
    said = daemon.log + rest
    for line in (
        f"FLM000I listening on {path}",
        "FLM003N ready",
        "FLM008N quiesce shutdown ordered by",
        "FLM004N ending",
    ):
        assert line in said


def is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def test_a_log_of_json_has_the_fields(tmp_path: Path) -> None:
    path, log = str(tmp_path / "sock"), tmp_path / "log.json"
    program = tmp_path / "observer.py"
    program.write_text(
        "from twisted.logger import jsonFileLogObserver\n"
        f"def make(): return jsonFileLogObserver(open({str(log)!r}, 'w', buffering=1))\n"
    )
    command = [str(BIN / "twistd"), "-n", "--pidfile=", "--logger", "observer.make"]
    command += ["flom", "--socket-name", path, "--log-grants"]
    daemon = subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, stderr=subprocess.PIPE)
    try:
        eventually(lambda: is_listening(path), "a daemon")
        subprocess.run([FLOM_RUN, "-s", path, "-d", "0", "-r", "R1", "--", "true"], check=True)
        daemon.terminate()
        _, said = daemon.communicate(timeout=30)
    finally:
        daemon.kill()
    assert said == b""
    events = [json.loads(record) for record in log.read_text().split("\x1e") if record]
    assert [(event["resource"], "waited" in event) for event in events if event.get("mode") == "EX"] == [
        *(("R1", True), ("R1", False)),
    ]


def test_the_end_of_a_connection_tells_who_it_was(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with Daemon("--socket-name", path, "--log-grants") as daemon:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(lock())
            assert b'rc="0"' in client.recv(1000)
        daemon.wait_for_log("released by")
    assert f"R1 (EX) released by pid {os.getpid()} of uid {os.geteuid()} after" in daemon.log


@pytest.mark.parametrize(
    ("offence", "kind", "sorts"),
    [
        (lock(wait=0), "refusals", [LogLevel.info]),
        (lock("-"), "invalid names", [LogLevel.info]),
        (xml(3, 8), "breaches of the protocol", [LogLevel.warn]),
    ],
)
def test_what_anybody_can_do_again_and_again_does_not_fill_the_disk(
    offence: bytes, kind: str, sorts: list[LogLevel], log: list[LogEvent]
) -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(lock())
    for _ in range(1000):
        daemon.connect().send(offence)
    assert [event.get("log_level") for event in log] == sorts * MANY
    daemon.clock.advance(WINDOW)
    assert warnings(log)[-1] == f"{kind}: {1000 - MANY} more in the last 10 s"
    daemon.clock.advance(WINDOW)
    del log[:]
    daemon.connect().send(offence)
    assert len(log) == 1


def test_what_a_client_says_is_not_quoted_at_any_length(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon(ServerOptions(limits=Limits(message_size=65_536)))
    for _ in range(2):
        daemon.connect().send(lock("/" + "a" * 40_000, wait=0))
    daemon.connect().send(lock("-" * 40_000))
    daemon.connect().send(xml(1, 8, '<resource name="UjE="/>', level=int("4" * 4000)))
    assert [len(formatEvent(event)) < 700 for event in log] == [True] * 3
