"""
The wheel, installed for every Python that is found, does what the README says.

Those are the one that runs the tests, C{python3.10} and so on in C{PATH}, and the programs in C{FLOM_PYTHONS}, with a
colon between them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Final

import pytest

from tests.fakes.daemon import Daemon
from tests.fakes.installation import Built, Installation

SUPPORTED: Final = ("3.10", "3.11", "3.12", "3.13", "3.14")

LOCK: Final = """
import sys
from flom import lock

with lock("backup", socket=sys.argv[1], timeout=5):
    print("held")
"""


def find_pythons() -> dict[str, str]:
    """Return the program of each version of Python that can be used here."""
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = {running: sys.executable}
    names = [f"python{version}" for version in SUPPORTED] + os.environ.get("FLOM_PYTHONS", "").split(":")
    for program in filter(None, map(shutil.which, names)):
        ask = [program, "-c", "import ensurepip, venv, sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(ask, capture_output=True, text=True, timeout=30)
        if done.returncode == 0:  # not that of a version manager, or without the package for environments
            found.setdefault(done.stdout.strip(), program)
    return {version: program for version, program in found.items() if version in SUPPORTED}


PYTHONS: Final = find_pythons()


@pytest.fixture(scope="module", params=sorted(PYTHONS, key=SUPPORTED.index))
def installed(
    request: pytest.FixtureRequest,
    built: Built,
    installation: Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Installation:
    """The wheel without extras, installed for one Python after another."""
    program = PYTHONS[request.param]
    if program == sys.executable:
        return installation
    return Installation(tmp_path_factory.mktemp("another"), built.wheel, program)


@pytest.mark.parametrize("program", ["flom-run", "flom"])
def test_a_command_runs_under_a_lock(installed: Installation, program: str) -> None:
    """The first one starts the daemon."""
    socket = str(installed.directory / f"{program}.sock")
    assert installed.run(program, "-s", socket, "-d", "1", "--", "echo", "locked") == "locked\n"


def test_a_script_has_a_lock(installed: Installation) -> None:
    with Daemon("--socket-name", str(installed.directory / "lock.sock"), programs=installed.bin) as daemon:
        assert installed.run("python", "-c", LOCK, daemon.socket) == "held\n"


def test_the_status_has_who_holds_what(installed: Installation) -> None:
    flomctl = str(installed.bin / "flomctl")
    with Daemon("--socket-name", str(installed.directory / "status.sock"), programs=installed.bin) as daemon:
        place = ["-s", daemon.socket]
        shown = installed.run("flom-run", *place, "-d", "0", "-r", "backup", "--", flomctl, "status", *place)
    *_, heading, row = shown.splitlines()
    assert dict(zip(heading.split("\t"), row.split("\t"), strict=True))["STATE"] == "holds"


def test_twistd_knows_the_daemon(installed: Installation) -> None:
    assert "--socket-name" in installed.run("twistd", "flom", "--help")


def test_the_man_page_is_where_man_looks(installed: Installation) -> None:
    manual = installed.prefix / "share" / "man"
    page = manual / "man1" / "flom-run.1"
    assert ".SH NAME" in page.read_text()
    if shutil.which("mandb"):  # of the package man-db
        found = subprocess.run(["man", "-M", manual, "-w", "flom-run"], capture_output=True, text=True, timeout=30)
        assert found.stdout == f"{page}\n"


def test_nothing_beside_twisted_is_installed(installed: Installation) -> None:
    """What a plain install brings; packaging and typing_extensions are Incremental's and Twisted's own."""
    listed = installed.run("pip", "list", "--format", "freeze").lower()
    for package in "cryptography", "pyopenssl", "rich", "prometheus", "treq", "mfusepy":
        assert package not in listed
