"""The wheel works outside the checkout, and leaves Twisted whole when it is uninstalled."""

from __future__ import annotations

import os
import subprocess
import venv

import pytest

from tests.fakes.daemon import Daemon
from tests.fakes.installation import CHECKOUT, Installation

NUMBERS = "FLOM_TOKEN", "FLOM_DEADLINE_FD"  # of the environment of a command, different each time


def test_twistd_lists_flom(installation: Installation) -> None:
    assert "Grant locks to commands on many hosts." in installation.run("twistd", "--help")


def test_twistd_runs_the_daemon_and_flom_run_uses_it(installation: Installation) -> None:
    socket = str(installation.directory / "sock")
    daemon = subprocess.Popen(
        [str(installation.bin / "twistd"), "-n", "--pidfile=", "flom", "-s", socket],
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


def test_the_command_has_the_environment_that_flom_run_got(installation: Installation, daemon: Daemon) -> None:
    """What Python or a shell would make of it is neither believed nor lost."""
    given = {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": str(installation.directory / "shadow"),
        "BASH_FUNC_greet%%": "() { echo hello; }",
        "no.name-of.sh's": "1",
        "PWD": "/nowhere",
    }
    (installation.directory / "shadow").mkdir(exist_ok=True)
    for shadow in "os", "socket", "select", "flom":
        (installation.directory / "shadow" / f"{shadow}.py").write_text("raise SystemExit('a shadow')")
    words = [str(installation.bin / "flom-run"), "-s", daemon.socket, "-d", "0", "--", "/usr/bin/env", "-0"]
    done = subprocess.run(words, env=given, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    got = dict(entry.split("=", 1) for entry in done.stdout.rstrip("\0").split("\0"))
    assert len(got.pop("FLOM_LINEAGE")) == 16
    assert got.pop("FLOM_CONTROL_FD").isdigit()
    assert got.pop("FLOM_RESOURCES") == f"_RESOURCE\tEX\t1\t{got['FLOM_TOKEN']}\t"
    assert {name: got.pop(name).isdigit() for name in NUMBERS} == dict.fromkeys(NUMBERS, True)
    assert got == given | {"FLOM_LOCK_MODE": "EX", "FLOM_RESOURCE": "_RESOURCE"}


@pytest.mark.parametrize("given", [{}, {f"V{number}": "x" * 1000 for number in range(300)}], ids=["empty", "large"])
def test_no_environment_is_too_small_or_too_large(
    installation: Installation, daemon: Daemon, given: dict[str, str]
) -> None:
    words = [str(installation.bin / "flom-run"), "-s", daemon.socket, "-d", "0", "--", "/usr/bin/env", "-0"]
    done = subprocess.run(words, env=given, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    got = dict(entry.split("=", 1) for entry in done.stdout.rstrip("\0").split("\0"))
    assert len(got.pop("FLOM_LINEAGE")) == 16
    assert got.pop("FLOM_CONTROL_FD").isdigit()
    assert got.pop("FLOM_RESOURCES") == f"_RESOURCE\tEX\t1\t{got['FLOM_TOKEN']}\t"
    assert {name: got.pop(name).isdigit() for name in NUMBERS} == dict.fromkeys(NUMBERS, True)
    added = {"FLOM_LOCK_MODE": "EX", "FLOM_RESOURCE": "_RESOURCE"}
    if not given:
        assert got == added
    else:  # what does not fit into a variable has been through a shell
        assert got.items() >= (given | added).items()
        assert got.keys() - given.keys() - added.keys() <= {"PWD", "OLDPWD", "SHLVL", "_"}


def test_it_runs_where_its_path_has_a_blank(installation: Installation, daemon: Daemon) -> None:
    blank = installation.directory / "a blank"
    venv.create(blank, with_pip=True)
    pip = [str(blank / "bin" / "pip"), "install", "--no-deps", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, str(installation.wheel)], check=True, capture_output=True)
    words = [str(blank / "bin" / "flom-run"), "-s", daemon.socket, "-d", "0", "--", "echo", "locked"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "locked\n", "")


def test_a_copy_says_that_it_is_none(installation: Installation) -> None:
    copy = installation.elsewhere / "copied"
    copy.write_bytes((installation.bin / "flom-run").read_bytes())
    copy.chmod(0o755)
    done = subprocess.run([str(copy), "--help"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (99, "")
    assert (
        done.stderr
        == f"copied: {copy}: flomctl, which pip installs beside it, is missing: use a link instead of a copy\n"
    )


def test_a_link_elsewhere_runs_it_under_the_link_s_name(installation: Installation, daemon: Daemon) -> None:
    (installation.elsewhere / "linked").symlink_to(installation.bin / "flom-run")
    (installation.elsewhere / "once").symlink_to("linked")
    link = str(installation.elsewhere / "once")
    words = [link, "-s", daemon.socket, "-d", "0", "--", "sh", "-c", "cat /proc/$PPID/comm"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")


def test_an_install_for_one_user_runs(installation: Installation, daemon: Daemon) -> None:
    """The shell finds there which Python it was installed for."""
    home = installation.directory / "home"
    venv.create(home / "python", with_pip=True, system_site_packages=True)
    pip = [str(home / "python" / "bin" / "pip"), "install", "--user", "--no-deps", "--quiet", str(installation.wheel)]
    environment = os.environ | {"HOME": str(home)}
    subprocess.run([*pip, "--disable-pip-version-check"], env=environment, check=True, capture_output=True)
    words = [str(home / ".local" / "bin" / "flom-run"), "-s", daemon.socket, "-d", "0", "--", "echo", "locked"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "locked\n", "")


def test_there_is_a_configuration_file_to_start_from(installation: Installation) -> None:
    installed = installation.prefix / "share" / "doc" / "flom" / "flom.conf"
    assert installed.read_text() == (CHECKOUT / "docs" / "flom.conf").read_text()
    socket = str(installation.directory / "configured")
    assert installation.run("flom", "-c", str(installed), "-s", socket, "-d", "1", "--", "echo", "locked") == "locked\n"


def test_uninstalling_leaves_twisted_whole(installation: Installation) -> None:
    """The last test of this folder: to install once more would take longer than all others."""
    installation.run("pip", "uninstall", "--quiet", "--yes", "txflom")
    listed = installation.run("twistd", "--help")
    assert "Grant locks" not in listed
    assert "conch" in listed
