"""
What all clients see when a daemon is ordered to end, at once or as soon as no client needs it
(docs/compatibility.md, "Shutdown").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.trace import MASK_VARIABLE, TOPICS
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.programs import Programs, Running, eventually, free_port, is_alive


class Scene:
    """
    A daemon, a command that holds a lock of it, and another that waits for that.

    @ivar where: the options that mean this daemon.
    """

    def __init__(self, transport: str, folder: Path, programs: Programs) -> None:
        self._programs = programs
        self._trace = folder / "trace"
        path, port = str(folder / "flom.sock"), str(free_port())
        self.where = ["-s", path] if transport == "unix" else ["-a", "127.0.0.1", "-p", port]
        self.daemon = Daemon(
            *self.where, "--allow-local-shutdown", "--daemon-trace-file", str(self._trace), ready="listening on"
        )

    def begin(self) -> None:
        """Start a holder of the lock and a waiter for it."""
        self.holder = self.start("sh", "-c", "echo held; cat")
        assert self.holder.line() == "held"
        self.waiter = self.start("echo", "ran")
        eventually(lambda: "Queued(" in self._trace.read_text(), "a waiter")

    def start(self, *command: str, resource: str = "R") -> Running:
        """Start a command under a lock."""
        return self._programs.start(*self.where, "-d", "0", "-r", resource, "--", *command)

    def order(self, option: str) -> tuple[int, str, str]:
        """Order the daemon to end; give the status, and what was said on stdout and stderr."""
        return outcome(self._programs.start(*self.where, option))


def outcome(running: Running) -> tuple[int, str, str]:
    """Wait for its end; give the status, and what was said on stdout and stderr."""
    done = running.finish()
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(params=["unix", "tcp"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv(MASK_VARIABLE, hex(TOPICS["locker"]))
    with Programs() as programs:
        scene = Scene(request.param, tmp_path, programs)
        with scene.daemon:
            scene.begin()
            yield scene


def test_at_once(scene: Scene) -> None:
    assert scene.order("-X") == (0, "Starting FLoM daemon immediate shutdown...\n", "")
    assert scene.daemon.process.wait(30) == 0
    with scene.daemon:  # the next one, for which both have waited
        assert outcome(scene.holder) == (0, "", "")
        assert outcome(scene.waiter)[:2] == (0, "ran\n")


def test_when_nobody_needs_it_any_more(scene: Scene) -> None:
    assert scene.order("-x") == (0, "Starting FLoM daemon quiesce shutdown...\n", "")
    assert outcome(scene.start("echo", "served", resource="another")) == (0, "served\n", "")
    assert scene.daemon.process.poll() is None
    assert outcome(scene.holder) == (0, "", "")
    assert outcome(scene.waiter) == (0, "ran\n", "")
    assert scene.daemon.process.wait(30) == 0


@pytest.mark.parametrize(
    ("program", "options", "obeys"),
    [("flom", [], True), ("flom-run", [], False), ("flom-run", ["--allow-local-shutdown"], True)],
    ids=["flom", "flom-run", "flom-run with the option"],
)
def test_whom_a_daemon_on_tcp_obeys_depends_on_who_started_it(
    program: str, options: list[str], obeys: bool, programs: Programs
) -> None:
    words = [str(BIN / program), "-a", "127.0.0.1", "-p", str(free_port())]
    assert programs.start_program(*words, *options, "-d", "-1", "--", "true").finish().returncode == 0
    [daemon] = programs.daemons()
    ordered = programs.start_program(*words, "-X").finish()
    assert ordered.returncode == (0 if obeys else 99)
    if obeys:
        eventually(lambda: not is_alive(daemon), "the end of the daemon")
    else:
        assert "refuses to end" in ordered.stderr
