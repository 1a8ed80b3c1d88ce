"""Places where nothing can be mounted: one clear line, and a daemon that lives on."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.codes import Outcome
from flom.config.parsers import read_directory
from flom.errors import ConfigError
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.mounts import mount_at, needs_fuse, needs_root, processes_at, run
from tests.fakes.peers import SocketClient
from tests.fakes.programs import Programs, Running, assert_refused

REFUSED = "FLM021E mount-point-vfs: nothing is shown in"


def assert_told(place: Path, tmp_path: Path, why: str) -> None:
    """Check that a daemon says in one line that nothing is shown in C{place}, and grants locks."""
    others = processes_at(place)
    with Daemon("--socket-name", str(tmp_path / "flom.sock"), "-m", str(place), ready=REFUSED) as daemon:
        with SocketClient(daemon.socket) as client:
            assert client.ask("R1") == Outcome.GRANTED
        daemon.stop()
    told = [line for line in daemon.log.splitlines() if str(place) in line]
    assert len(told) == 1
    assert told[0].endswith(f"{REFUSED} {place}: {why}")
    assert processes_at(place) == others


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_what_is_no_directory_is_refused_before_anything_else_happens(
    tmp_path: Path, programs: Programs, kind: str
) -> None:
    place = tmp_path / "place"
    if kind == "a file":
        place.touch()
    socket = str(tmp_path / "flom.sock")
    done = programs.run("-s", socket, "-m", str(place), "--", "echo", "ran")
    assert_refused(done, 99, "flom-run: ", str(place))
    done = run(str(BIN / "twistd"), "-n", "--pidfile=", "flom", "-s", socket, "-m", str(place))
    assert_refused(done, 1, "twistd flom: ", str(place))
    assert not os.path.exists(socket)


@needs_fuse
def test_a_directory_that_is_not_empty_is_not_covered(place: Path, tmp_path: Path) -> None:
    (place / "precious").touch()
    assert_told(place, tmp_path, "it is not empty")
    assert os.listdir(place) == ["precious"]


@needs_fuse
def test_a_place_where_another_daemon_has_mounted_is_left_to_it(showing: Daemon, place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert_told(place, other, "something is mounted there already")
    assert str(showing.process.pid) in run("cat", str(place / "status.json")).stdout


@needs_fuse
@needs_root
def test_a_place_where_anything_is_mounted_is_left_alone(place: Path, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    assert_told(place, tmp_path, "something is mounted there already")
    line = mount_at(place)
    assert line is not None
    assert "tmpfs" in line


def assert_told_by(daemon: Running, socket: str, why: str) -> None:
    """Check that C{daemon} says in one line that nothing is shown, and grants locks."""
    while REFUSED not in (line := daemon.line()):
        pass
    assert why in line
    with SocketClient(socket) as client:
        assert client.ask("R1") == Outcome.GRANTED


def daemon_words(socket: str, place: Path) -> list[str]:
    return [str(BIN / "twistd"), "-n", "--pidfile=", "flom", "-s", socket, "-m", str(place)]


@needs_fuse
@needs_root
def test_a_machine_without_dev_fuse(place: Path, tmp_path: Path, programs: Programs) -> None:
    socket = str(tmp_path / "flom.sock")
    nodes = "mount -t tmpfs none /dev; mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/urandom c 1 9"
    words = ["unshare", "-m", "sh", "-ec", f'{nodes}; exec "$@"', "sh"]  # no other process sees this /dev
    daemon = programs.start_program(*words, *daemon_words(socket, place))
    assert_told_by(daemon, socket, "this machine has no /dev/fuse")


@needs_fuse
def test_a_machine_without_fusermount3(place: Path, tmp_path: Path, programs: Programs) -> None:
    socket = str(tmp_path / "flom.sock")
    daemon = programs.start_program(*daemon_words(socket, place), environment={"PATH": "/nowhere"})
    assert_told_by(daemon, socket, "the program fusermount3 is missing (Debian package fuse3)")


@needs_fuse
def test_a_machine_without_libfuse(place: Path, tmp_path: Path, programs: Programs) -> None:
    socket = str(tmp_path / "flom.sock")
    environment = {"FUSE_LIBRARY_NAME": "nosuchlibrary"}
    daemon = programs.start_program(*daemon_words(socket, place), environment=environment)
    assert_told_by(daemon, socket, "libfuse3 cannot be used (Debian package fuse3)")


@needs_fuse
def test_a_machine_without_mfusepy(place: Path, tmp_path: Path, programs: Programs) -> None:
    (tmp_path / "mfusepy.py").write_text("raise ModuleNotFoundError(name='mfusepy')\n")
    socket = str(tmp_path / "flom.sock")
    environment = {"PYTHONPATH": str(tmp_path)}
    daemon = programs.start_program(*daemon_words(socket, place), environment=environment)
    assert_told_by(daemon, socket, "it needs mfusepy: pip install 'txflom[vfs]'")


@needs_fuse
@needs_root
def test_a_machine_that_does_not_let_us_mount(place: Path, tmp_path: Path, programs: Programs) -> None:
    socket = str(tmp_path / "flom.sock")
    words = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"]
    daemon = programs.start_program(*words, *daemon_words(socket, place))
    assert_told_by(daemon, socket, "mount failed: Operation not permitted")


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory where every user may do everything, unlike those of the other tests."""
    with tempfile.TemporaryDirectory() as public:
        os.chmod(public, 0o777)
        yield Path(public)


@needs_fuse
@needs_root
def test_a_user_can_mount_where_it_may_write_only(public: Path, programs: Programs) -> None:
    socket, place = str(public / "flom.sock"), public / "held"
    place.mkdir()
    node = public / "fuse"
    # every user may open the device on most machines, here it is inside; the right to read is for the tests' own Python
    os.mknod(node, stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    node.chmod(0o666)
    let_all = f"mount --bind {node} /dev/fuse"
    be_nobody = "setpriv --reuid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search"
    words = ["unshare", "-m", "sh", "-ec", f'{let_all}; exec {be_nobody} -- "$@"', "sh"]
    daemon = programs.start_program(*words, *daemon_words(socket, place))
    assert_told_by(daemon, socket, "user has no write access to mountpoint")
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    os.chown(place, 65534, 65534)
    daemon = programs.start_program(*words, *daemon_words(socket, place))
    while f"FLM022I mounted at {place}" not in daemon.line():
        pass
    daemon.signal(signal.SIGTERM)
    assert f"FLM023I unmounted {place}" in daemon.finish().stdout


@needs_root
def test_a_directory_that_its_user_may_not_open_is_refused() -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match=r"mount-point-vfs: .*permission denied"):
            read_directory("/root")
    finally:
        os.seteuid(0)
