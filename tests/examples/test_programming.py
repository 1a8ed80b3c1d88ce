"""The example programs of docs/howto/programming.md do what it says they do."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.programs import Programs, free_port

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def output(example: str, *arguments: str) -> list[str]:
    """Run C{example}; give the lines that it prints."""
    program = [sys.executable, "-W", "error", str(EXAMPLES / example), *arguments]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_a_twisted_program(daemon: Daemon) -> None:
    where = f"unix:{daemon.socket}"
    assert output("nightly.py", where) == [
        "others may read too",
        "held at once: red and green",
        f"red.green at {where}: not granted within 0.1 s",
    ]


@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_a_program_of_asyncio(where: str, tmp_path: Path) -> None:
    """By a name too, which is looked up in another thread: that must not keep the program from ending."""
    socket, port = str(tmp_path / "s"), free_port()
    at = ["--socket-name", socket] if where == "unix" else ["-a", "127.0.0.1", "--unicast-port", str(port)]
    with Daemon(*at) as daemon:
        lines = output("asyncio_program.py", f"unix:{socket}" if where == "unix" else f"tcp:localhost:{port}")
        daemon.stop()
    assert sorted(lines) == [f"task {number} {what}" for number in range(3) for what in ("begins", "ends")]
    assert [line.split()[2] for line in lines] == ["begins", "ends"] * 3


def test_a_script(tmp_path: Path) -> None:
    socket = str(tmp_path / "flom.sock")
    assert output("script.py", socket) == [
        "the first lock starts the daemon",
        "this one got red",
        "fetch: alone",
        f"backup at {socket}: locked by another client",
    ]


def test_a_web_application_shares_its_locks_with_commands(programs: Programs, tmp_path: Path) -> None:
    socket = str(tmp_path / "flom.sock")
    application = programs.start_program(sys.executable, str(EXAMPLES / "web_application.py"), socket)
    url = application.line()
    assert [get(url) for _ in range(2)] == [b"/stock/bolts: 1\n", b"/stock/bolts: 2\n"]
    command = programs.start("-s", socket, "-d", "0", "-r", "/stock", "--", "sh", "-c", "echo held; read _")
    assert command.line() == "held"
    request = programs.start_program(
        sys.executable, "-c", f"from urllib.request import urlopen; print(urlopen('{url}').read())"
    )
    assert get(url.replace("/stock/bolts", "/other")) == b"/other: 1\n"
    command.finish()
    assert request.line() == "b'/stock/bolts: 3\\n'"
    refused = subprocess.run([FLOM_RUN, "-s", socket, "-X"], capture_output=True, text=True, timeout=60)
    assert (refused.returncode, "part of another program" in refused.stderr) == (99, True)
    assert get(url) == b"/stock/bolts: 4\n"


def test_a_web_application_serialises_its_children(programs: Programs, daemon: Daemon) -> None:
    program = (sys.executable, str(EXAMPLES / "serialised_children.py"), f"unix:{daemon.socket}")
    urls = [programs.start_program(*program).line() for _ in range(2)]
    report = "from urllib.request import urlopen; import sys; print(urlopen(sys.argv[1]).read().decode(), end='')"
    requests = [programs.start_program(sys.executable, "-c", report, f"{url}sales") for url in urls * 2]
    began = time.monotonic()
    for request in requests:
        assert request.finish().stdout.splitlines() == ["/reports/sales begins", "/reports/sales ends", "status 0"]
    assert time.monotonic() - began > 3 * 0.2  # one after another, all but the beginning of the first


def test_its_children_keep_their_locks_when_it_is_killed(programs: Programs, daemon: Daemon) -> None:
    program = (sys.executable, str(EXAMPLES / "serialised_children.py"), f"unix:{daemon.socket}", "5")
    application = programs.start_program(*program)
    lock = ("-s", daemon.socket, "-r", "/reports/sales", "-o")
    with urlopen(f"{application.line()}sales", timeout=30) as answer:
        assert answer.readline() == b"/reports/sales begins\n"
        application.signal(signal.SIGKILL)
        application.wait()
        assert programs.run(*lock, "0", "--", "true").returncode == 98
    assert programs.run(*lock, "20000", "--", "true").returncode == 0  # when the command has ended


def get(url: str) -> bytes:
    with urlopen(url, timeout=30) as answer:
        page: bytes = answer.read()
    return page
