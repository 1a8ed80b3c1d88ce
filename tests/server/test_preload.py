"""A daemon imports what it may need before that is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from flom.server.preload import ALWAYS, DELAY, IN_GROUP, PAUSE, WITH_TLS, PreloadService
from tests.fakes.daemon import BIN
from tests.fakes.programs import Programs, eventually

NAMES = ["flom_preloaded_1", "flom_preloaded_2"]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in NAMES:
        (tmp_path / f"{name}.py").touch()
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("modules")
def test_they_are_imported_one_by_one() -> None:
    clock = Clock()
    service = PreloadService(clock, NAMES)
    service.startService()
    clock.advance(DELAY - 0.01)
    assert [name in sys.modules for name in NAMES] == [False, False]
    clock.advance(0.01)
    assert [name in sys.modules for name in NAMES] == [True, False]
    clock.advance(PAUSE)
    assert [name in sys.modules for name in NAMES] == [True, True]
    clock.advance(PAUSE)
    assert clock.getDelayedCalls() == []
    service.stopService()


@pytest.mark.usefixtures("modules")
def test_what_cannot_be_imported_is_passed_over() -> None:
    clock = Clock()
    PreloadService(clock, ["flom_no_such_module", NAMES[0]]).startService()
    clock.pump([DELAY, PAUSE])
    assert NAMES[0] in sys.modules


def test_a_daemon_that_has_ended_imports_nothing() -> None:
    clock = Clock()
    service = PreloadService(clock, NAMES)
    service.startService()
    service.stopService()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("name", [*ALWAYS, *IN_GROUP, *WITH_TLS])
def test_each_step_is_a_short_one(name: str) -> None:
    """It imports few modules, when those before it have been imported."""
    listed = [*ALWAYS, *IN_GROUP, *WITH_TLS]
    code = (
        f"import sys, flom.tap, {', '.join(['sys', *listed[: listed.index(name)]])}\n"
        f"before = set(sys.modules)\nimport {name}\nprint(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(done.stdout.split()) <= 4, done.stdout


def test_a_daemon_goes_on_when_its_installation_is_replaced(programs: Programs, tmp_path: Path) -> None:
    site, path, trace = tmp_path / "site", tmp_path / "s", tmp_path / "trace"
    site.mkdir()
    import flom

    [package] = flom.__path__
    (site / "flom").symlink_to(package)
    words = [sys.executable, "-m", "flom.daemon", "-s", str(path), "--daemon-lifespan", "-1"]
    environment = {"PYTHONPATH": str(site), "FLOM_TRACE_MASK": "0x10"}
    started = programs.start_program(
        *words, "--daemon-trace-file", str(trace), cwd=tmp_path, environment=environment
    ).finish()
    assert started.returncode == 0, started.stderr
    eventually(lambda: "all that may be needed is imported" in trace.read_text(), "a line of the trace")
    (site / "flom").unlink()
    (site / "flom").mkdir()
    (site / "flom" / "__init__.py").write_text("raise ImportError('replaced')")
    shown = programs.start_program(str(BIN / "flomctl"), "status", "-s", str(path)).finish()
    assert (shown.returncode, shown.stderr) == (0, "")
    assert programs.run("-s", str(path), "-r", "/a/b", "-l", "PR", "--", "true").returncode == 0
    assert programs.run("-s", str(path), "-X").returncode == 0
    eventually(lambda: not os.path.exists(path), "the end of the daemon")
