"""The units, users and files that administrators install, as systemd's own programs judge them."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest

from flom.tap import Options
from tests.fakes.daemon import BIN
from tests.fakes.supervisor import needs_systemd

SHARE: Final = Path(str(files("flom"))) / "share"
SERVICES: Final = ("flom.service", "flom@.service")
UNITS: Final = (*SERVICES, "flom.socket")

MOST_EXPOSED: Final = 2.0
"""What C{systemd-analyze security} may say at most: 0 is no rights at all, 10 all of root's."""

needs_root: Final = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units in a folder, with the twistd of these tests."""
    for unit in UNITS:
        text = (SHARE / "systemd" / unit).read_text()
        # systemd-analyze does not look where ExecSearchPath= says
        (tmp_path / unit.replace("@", "@name")).write_text(text.replace("=twistd ", f"={BIN}/twistd "))
    return tmp_path


def settings_of(unit: str) -> configparser.SectionProxy:
    """Return the section of a service; of a setting that is there several times, the last one."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(SHARE / "systemd" / unit)
    return parser["Service"]


@needs_systemd
def test_systemd_finds_no_fault_with_them(installed: Path) -> None:
    done = run("systemd-analyze", "verify", "--man=no", *(str(unit) for unit in installed.iterdir()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_a_daemon_has_few_rights(installed: Path, unit: str) -> None:
    done = run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", str(installed / unit.replace("@", "@name"))
    )
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED, done.stdout


@pytest.mark.parametrize("unit", SERVICES)
def test_twistd_understands_what_they_start(unit: str) -> None:
    words = settings_of(unit)["ExecStart"].split()
    assert words[:4] == ["twistd", "-n", "--pidfile=", "flom"]
    options = Options()
    for word in words[4:]:
        if word.startswith("--"):
            assert f"{word[2:]}=" in options.longOpt, word


def test_both_services_have_the_same_rights() -> None:
    """What is in one of them alone is what it starts, and where its files are."""
    first, second = (dict(settings_of(unit)) for unit in SERVICES)
    differing = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}
    assert differing == {"EnvironmentFile", "ExecStart", "RuntimeDirectory", "StateDirectory"}


@needs_systemd
@needs_root
def test_users_and_the_directory_of_the_socket_are_made(tmp_path: Path) -> None:
    users, places = SHARE / "sysusers.d" / "flom.conf", SHARE / "tmpfiles.d" / "flom.conf"
    (tmp_path / "etc").mkdir()
    done = run("systemd-sysusers", f"--root={tmp_path}", str(users))
    assert done.returncode == 0, done.stderr
    [user] = [line.split(":") for line in (tmp_path / "etc" / "passwd").read_text().splitlines()]
    assert (user[0], user[6]) == ("flom", "/usr/sbin/nologin")
    assert (tmp_path / "etc" / "group").read_text().startswith("flom:")
    done = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", str(places))
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "run" / "flom").stat()
    assert (made.st_mode & 0o7777, made.st_uid, made.st_gid) == (0o755, int(user[2]), int(user[3]))


@needs_systemd
@needs_root
def test_no_reaper_of_tmp_takes_a_user_s_socket(tmp_path: Path) -> None:
    kept, swept = [tmp_path / "tmp" / name for name in ("flom-joe", "flom-joe.lock")], tmp_path / "tmp" / "other"
    (tmp_path / "tmp").mkdir()
    for path in (*kept, swept):
        path.touch()
    (tmp_path / "tmp.conf").write_text("D /tmp 1777 root root 0\n")
    rules = [str(SHARE / "tmpfiles.d" / "flom.conf"), str(tmp_path / "tmp.conf")]
    shutil.copytree("/etc", tmp_path / "etc", ignore=lambda folder, names: set(names) - {"passwd", "group"})
    run("systemd-sysusers", f"--root={tmp_path}", str(SHARE / "sysusers.d" / "flom.conf"))
    done = run("systemd-tmpfiles", f"--root={tmp_path}", "--clean", *rules)
    assert done.returncode == 0, done.stderr
    assert not swept.exists()
    assert all(path.exists() for path in kept)


def test_the_files_are_in_the_package() -> None:
    """An administrator finds them by the package's folder (docs/howto/systemd.md)."""
    found = {str(path.relative_to(SHARE)) for path in SHARE.rglob("*") if path.is_file()}
    wanted = {f"systemd/{unit}" for unit in UNITS} | {"sysusers.d/flom.conf", "tmpfiles.d/flom.conf"}
    assert wanted <= found
