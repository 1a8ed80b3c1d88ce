"""The log of a whole daemon, with fields that log processors can use."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.connections import MemoryDaemon as MemoryDaemon
from tests.fakes.connections import lock
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.programs import PATIENCE, eventually


def test_a_daemon_logs_its_life_under_flom_s_ids(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with Daemon("--socket-name", path, ready="FLM003N") as daemon:
        subprocess.run([FLOM_RUN, "-s", path, "-x"], check=True, stdout=subprocess.DEVNULL, timeout=60)
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
        subprocess.run([FLOM_RUN, "-s", path, "-d", "0", "-r", "R1", "--", "true"], check=True, timeout=60)
        daemon.terminate()
        _, said = daemon.communicate(timeout=30)
    finally:
        daemon.kill()
    assert said == b""
    events = [json.loads(record) for record in log.read_text().split("\x1e") if record]
    assert [(event["resource"], "waited" in event) for event in events if event.get("mode") == "EX"] == [
        *(("R1", True), ("R1", False)),
    ]


def test_every_line_is_an_object_with_log_format_json(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with Daemon("--socket-name", path, "--log-grants", "--log-format", "json") as daemon:
        subprocess.run([FLOM_RUN, "-s", path, "-d", "0", "-r", "R1", "--", "true"], check=True, timeout=60)
        daemon.stop()
    records = [json.loads(line) for line in daemon.log.splitlines()]
    assert all({"time", "level", "logger", "message"} <= record.keys() for record in records)
    assert [record["id"] for record in records if "id" in record] == ["FLM000I", "FLM003N", "FLM004N"]
    granted = next(record for record in records if "waited" in record)
    assert (granted["level"], granted["resource"], granted["mode"]) == ("debug", "R1", "EX")
    assert granted["peer"].startswith("pid ")
    assert granted["message"].startswith("R1 (EX) granted to pid ")


def test_the_end_of_a_connection_names_the_process(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with Daemon("--socket-name", path, "--log-grants") as daemon:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(path)
            client.sendall(lock())
            assert b'rc="0"' in client.recv(1000)
        daemon.wait_for_log("released by")
    assert f"R1 (EX) released by pid {os.getpid()} of uid {os.geteuid()} after" in daemon.log


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        ("timeout", "its time was over"),
        (signal.SIGTERM, "interrupted by a signal"),
        (signal.SIGKILL, "the client has gone"),
    ],
    ids=["timeout", "SIGTERM", "SIGKILL"],
)
def test_a_wait_that_ends_without_a_lock_says_whose_and_why(ending: Any, why: str, tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with Daemon("--socket-name", path, "--log-grants") as daemon, socket.socket(socket.AF_UNIX) as holder:
        holder.connect(path)
        holder.sendall(lock())
        daemon.wait_for_log("granted")
        timeout = ["--timeout", "300ms"] if ending == "timeout" else []
        waiter = subprocess.Popen([FLOM_RUN, "-s", path, "-d", "0", "-r", "R1", *timeout, "--", "true"])
        if ending != "timeout":
            eventually(lambda: "R1" in flomctl(path) and str(waiter.pid) in flomctl(path), "a waiter")
            waiter.send_signal(ending)
        waiter.wait(PATIENCE)
        daemon.wait_for_log("withdrawn by")
    assert f"R1 (EX) withdrawn by pid {waiter.pid} of uid {os.geteuid()} (root, true) after" in daemon.log
    assert why in daemon.log


def flomctl(path: str) -> str:
    return subprocess.run([BIN / "flomctl", "status", "-s", path], capture_output=True, text=True, check=True).stdout
