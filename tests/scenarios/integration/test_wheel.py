"""The wheel works outside the checkout, and leaves Twisted whole when it is uninstalled."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]


class Installation:
    """A virtual environment with nothing but the wheel and what it needs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.elsewhere = directory / "elsewhere"
        venv.create(directory / "venv", with_pip=True)
        self.elsewhere.mkdir()
        build = [sys.executable, "-m", "build", "--outdir", str(directory / "dist"), str(CHECKOUT)]
        subprocess.run(build, check=True, capture_output=True)
        [wheel] = (directory / "dist").glob("*.whl")  # made from the source distribution beside it
        self.run("pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment, which must succeed, and return its output."""
        done = self.start(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end, away from the checkout."""
        return subprocess.run(
            [str(self.directory / "venv" / "bin" / program), *arguments],
            cwd=self.elsewhere,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("wheel"))


def test_twistd_lists_flom(installation: Installation) -> None:
    assert "Grant locks to commands on many hosts." in installation.run("twistd", "--help")


def test_twistd_runs_the_daemon_and_flom_run_uses_it(installation: Installation) -> None:
    socket = str(installation.directory / "sock")
    daemon = subprocess.Popen(
        [str(installation.directory / "venv" / "bin" / "twistd"), "-n", "--pidfile=", "flom", "-s", socket],
        cwd=installation.elsewhere,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stdout is not None
        assert any("FLM003N ready" in line for line in daemon.stdout)
        said = installation.run("flom-run", "-s", socket, "-d", "0", "-r", "red.green", "--", "echo", "locked")
        assert said == "locked red\n"
    finally:
        daemon.terminate()
        daemon.communicate(timeout=30)


@pytest.mark.parametrize("program", ["flom", "flom-run"])
def test_a_command_starts_a_daemon_by_either_name(installation: Installation, program: str) -> None:
    socket = str(installation.directory / program)
    assert installation.run(program, "-s", socket, "-d", "1", "-i", "1", "--", "echo", "locked") == "locked\n"


def test_there_is_a_configuration_file_to_start_from(installation: Installation) -> None:
    installed = installation.directory / "venv" / "share" / "doc" / "flom" / "flom.conf"
    assert installed.read_text() == (CHECKOUT / "docs" / "flom.conf").read_text()
    socket = str(installation.directory / "configured")
    assert installation.run("flom", "-c", str(installed), "-s", socket, "-d", "1", "--", "echo", "locked") == "locked\n"


def test_a_plain_install_says_which_extra_is_missing(installation: Installation) -> None:
    socket = str(installation.directory / "extras")
    for words, extra in (
        (["flomctl", "status", "-s", socket], "ctl"),
        (["twistd", "-n", "--pidfile=", "flom", "-s", socket, "--http", "tcp:0:interface=127.0.0.1"], "web"),
    ):
        done = installation.start(*words)
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert line.endswith(f"pip install 'txflom[{extra}]' installs it")


def test_uninstalling_leaves_twisted_whole(installation: Installation) -> None:
    installation.run("pip", "uninstall", "--quiet", "--yes", "txflom")
    listed = installation.run("twistd", "--help")
    assert "Grant locks" not in listed
    assert "conch" in listed
