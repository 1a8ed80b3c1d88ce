"""The benchmark works; how fast anything is, is no matter of tests."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import Any

import pytest

from flom.codes import Outcome
from flom.core.protocol.messages import Message, Unlock
from tests.fakes.daemon import BIN
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.peers import PATIENCE, SocketConversation
from tests.tools.bench import startup
from tests.tools.bench.builds import OUR_BUILD, OURS, PEER, VS, Build, find_builds, median_ratio, take_turns
from tests.tools.bench.generator import Generator, compiled
from tests.tools.bench.patterns import PATTERNS, Pattern, messages
from tests.tools.bench.report import Bench, Report
from tests.tools.bench.restart import restart
from tests.tools.bench.scene import Scene
from tests.tools.bench.servers import Server, Servers, running_control, running_daemon
from tests.tools.bench.startup import ROWS, RUNS

CLIENTS = 10
ROOT = Path(__file__).parents[3]

Measure = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def generator() -> Iterator[Generator]:
    with compiled() as generator:
        yield generator


@pytest.fixture(scope="module", params=["daemon", "control", "hand-over"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The daemon, the strict control, and the one that hands over."""
    running = {"daemon": running_daemon(), "control": running_control(), "hand-over": running_control(slots=1)}
    with running[request.param] as server:
        yield server


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """A folder for FLOM_PEER: in it is our own C{flom}."""
    folder = tmp_path / "peer"
    folder.mkdir()
    (folder / "flom").symlink_to(BIN / "flom")
    return folder


@pytest.fixture
def measure(tmp_path: Path, peer: Path) -> Measure:
    """Runs the program for one round, beside this checkout and a peer; returns its results by their names."""

    def measure(*words: str) -> dict[str, Any]:
        told = tmp_path / "bench.json"
        command = [sys.executable, "-m", "tests.tools.bench", *words]
        options = ["--rounds", "1", "--seconds", "0.05", "--vs", str(ROOT), "--json", str(told)]
        environment = os.environ | {"FLOM_PEER": str(peer)}
        done = subprocess.run(
            [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode in (0, 1), done  # 1: a limit was missed
        assert not done.stderr
        results = json.loads(told.read_text())["results"]
        assert isinstance(results, dict)
        return results

    return measure


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("pattern", [PATTERNS["own"], PATTERNS["same"], PATTERNS["churn"]], ids=lambda it: it.name)
def test_all_clients_get_grants(generator: Generator, server: Server, transport: str, pattern: Pattern) -> None:
    lines = messages(map(pattern.resource, range(CLIENTS)))
    flags = ["churn"] if pattern.churns else []
    run = generator.run(server, transport, lines, CLIENTS, *flags, seconds=0.1)
    assert run.grants > 0
    assert run.served == CLIENTS
    assert run.errors == 0


def test_a_queue_is_served_to_its_end(generator: Generator) -> None:
    with running_daemon() as daemon:
        run = generator.run(daemon, "unix", messages(["queue"] * CLIENTS), CLIENTS, "once", "gated")
    assert run.served == CLIENTS
    assert run.errors == 0


def serve_two(listening: socket.socket) -> list[Message | None]:
    """
    Grant to two clients in turn, as FLoM's daemon does, and say to each twice that it waits.

    @return: what the last waiter says after the grant that follows the last lock.
    """
    holder, waiter = (SocketConversation(listening.accept()[0]) for _ in range(2))
    holder.read()
    holder.answer(Outcome.GRANTED)
    while waiter.read() is not None:  # it asks
        waiter.answer(Outcome.QUEUED)
        assert isinstance(holder.read(), Unlock)
        waiter.answer(Outcome.QUEUED, step=24)
        waiter.answer(Outcome.GRANTED, step=24)
        holder, waiter = waiter, holder
    said = [holder.read(), holder.read()]
    holder.close()
    waiter.close()
    return said


def test_no_client_leaves_while_it_waits(generator: Generator, tmp_path: Path) -> None:
    """FLoM's daemon might end (docs/compatibility.md, "A waiter that vanishes at its grant")."""
    path = str(tmp_path / "flom.sock")
    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor() as threads:
        listening.bind(path)
        listening.listen()
        listening.settimeout(PATIENCE)
        said = threads.submit(serve_two, listening)
        run = generator.run(Server("FLoM", os.getpid(), path, 0), "unix", messages(["same"] * 2), 2, seconds=0.1)
    assert run.errors == 0
    assert said.result() == [Unlock("same"), None]


def test_patterns_are_measured_beside_another_checkout_and_a_peer(measure: Measure) -> None:
    results = measure("same", "churn", "--clients", "2")
    for name in ("same", "churn"):
        assert [row["transport"] for row in results[name]] == ["unix", "tcp"]
        for row in results[name]:
            assert row["ratios"].keys() - {"hand-over"} == {"control", VS, PEER}
            assert not any(row[server]["errors"] for server in ("daemon", VS, PEER))


def test_rows_are_measured_beside_another_checkout_and_a_peer(measure: Measure) -> None:
    results = measure("startup-unix", "startup-script", "startup-daemon", "end", "handover-unix")
    runs = {name: {what: len(seconds) for what, seconds in row["seconds"].items()} for name, row in results.items()}
    assert runs == {
        "startup-unix": {"p": RUNS, OURS: RUNS, VS: RUNS, PEER: RUNS},
        "startup-script": {"p": RUNS, OURS: RUNS, VS: RUNS},  # FLoM's options say nothing of Python
        "startup-daemon": {"reactor's import": RUNS, OURS: RUNS, VS: RUNS, PEER: RUNS},
        "end": {OURS: RUNS, VS: RUNS, PEER: RUNS},
        "handover-unix": {OURS: RUNS, VS: RUNS, PEER: RUNS},
    }


@needs_network_namespaces
def test_rows_of_groups_are_measured_on_hosts_of_their_own(measure: Measure) -> None:
    results = measure("startup-group-tls", "handover-group")
    assert {name: list(row["seconds"]) for name, row in results.items()} == {
        "startup-group-tls": ["p", OURS, VS, PEER],
        "handover-group": [OURS, VS, PEER],
    }


def test_rows_of_groups_are_skipped_without_hosts(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(startup, "WHY_NO_NETWORK_NAMESPACES", "needs root")
    builds = (OUR_BUILD,)
    with Servers(builds) as servers:
        bench = Bench(builds, generator, servers, Report(), 0.1, 1, None, ("unix",))
        startup.measure(bench, ROWS["startup-group"])
    assert capsys.readouterr().out == "\nstartup-group: skipped: needs root\n"


def test_a_status_is_drawn_on_a_terminal(tmp_path: Path) -> None:
    row = ROWS["startup-status-terminal"]
    with Scene(OUR_BUILD, "", daemon_at=row.daemon_at) as scene:
        assert row.measure(scene, row) > 0


def test_a_daemon_is_killed_and_the_next_grant_awaited(generator: Generator) -> None:
    row = ROWS["kill-unix"]
    with Scene(OUR_BUILD, generator.stamp, daemon_at=row.daemon_at) as scene:
        assert row.measure(scene, row) > 0


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_holders_come_back_after_a_restart(transport: str) -> None:
    back, served = restart(transport, CLIENTS)
    assert 0 < back <= served


def test_a_folder_without_flom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no program named flom in .*/\.venv/bin"):
        find_builds(tmp_path, None)
    with pytest.raises(SystemExit, match="no program named flom"):
        find_builds(None, str(tmp_path))


def test_flom_stands_in_for_flom_run(peer: Path) -> None:
    build = Build(PEER, peer)
    assert build.program("flom-run") == build.program("flom") == str(peer / "flom")
    assert build.program("flomctl") is None


def test_contenders_take_turns_and_rounds_are_compared() -> None:
    turns: list[str] = []
    seen = take_turns({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, 2)
    assert turns == ["a", "b", "a", "b"]
    assert seen == {"a": [None, None], "b": [None, None]}
    assert median_ratio([1.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == 2
    assert median_ratio([1.0], [0.0]) == inf


def test_a_missed_limit_is_told() -> None:
    report = Report()
    assert not report.judge("ratio", 0.8, least=0.7)
    assert report.judge("seconds", 1.5, most=1)
    assert [str(verdict) for verdict in report.missed] == ["seconds: 1.5, at most 1 wanted"]
