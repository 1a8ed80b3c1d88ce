"""A virtual environment with nothing but our wheel and what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

CHECKOUT: Final = Path(__file__).parents[2]

BUILD_TIME: Final = "1700000000"
"""Of what is built for tests: seconds since the epoch."""


class Built(NamedTuple):
    """What is uploaded; the wheel was made from the source distribution."""

    sdist: Path
    wheel: Path


def build(source: Path, directory: Path, *what: str) -> None:
    """Build what stands in C{source} into C{directory}: all, or C{--wheel} only."""
    words = [sys.executable, "-m", "build", *what, "--outdir", str(directory), str(source)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": BUILD_TIME}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


class Installation:
    """
    A virtual environment with nothing but the wheel and what it needs.

    @ivar directory: the tests' own.
    @ivar prefix: of the environment.
    @ivar elsewhere: a folder that is not the checkout, where programs run.
    """

    def __init__(self, directory: Path, wheel: Path, python: str = sys.executable) -> None:
        self.directory = directory
        self.wheel = wheel
        self.prefix = directory / "venv"
        self.bin = self.prefix / "bin"
        self.elsewhere = directory / "elsewhere"
        subprocess.run([python, "-m", "venv", str(self.prefix)], check=True, timeout=120)
        self.elsewhere.mkdir()
        self.run("pip", "install", "--quiet", "--disable-pip-version-check", str(self.wheel))

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment, which must succeed, and return its output."""
        done = self.start(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment to its end, away from the checkout."""
        return subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.elsewhere,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            capture_output=True,
            text=True,
            timeout=120,
        )
