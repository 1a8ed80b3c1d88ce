"""What killed processes have left does not keep the next daemon from mounting; and an order to end comes once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.daemon import Daemon
from tests.fakes.mounts import listed, mount_at, needs_fuse, needs_root, process_at, run
from tests.fakes.programs import Programs, eventually
from tests.scenarios.vfs.conftest import MOUNTED

pytestmark = needs_fuse


def test_a_mount_whose_processes_were_killed_goes_with_the_next_daemon(dead_place: Path, tmp_path: Path) -> None:
    with Daemon("-s", str(tmp_path / "flom.sock"), "-m", str(dead_place), ready=MOUNTED) as daemon:
        assert "status.json" in listed(dead_place)
        daemon.stop()
    assert mount_at(dead_place) is None


def test_so_does_one_that_a_command_starts(dead_place: Path, tmp_path: Path, programs: Programs) -> None:
    words = ["-s", str(tmp_path / "flom.sock"), "-m", str(dead_place), "-d", "60000", "--", "echo", "ran"]
    done = programs.run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
    eventually(lambda: "status.json" in run("ls", str(dead_place)).stdout, "a mount")


def test_a_process_that_is_about_to_unmount_is_waited_for(showing: Daemon, place: Path, tmp_path: Path) -> None:
    with Daemon("-s", str(tmp_path / "next.sock"), "-m", str(place)) as daemon:
        showing.process.kill()
        daemon.wait_for_log(MOUNTED)
        assert str(daemon.process.pid) in run("cat", str(place / "status.json")).stdout


@pytest.fixture
def foreign_mount(place: Path) -> Iterator[Path]:
    """A place where another program has left a dead mount."""
    with open("/dev/fuse", "r+b", buffering=0) as fuse:
        options = f"fd={fuse.fileno()},rootmode=40000,user_id=0,group_id=0"
        words = ["mount", "-i", "-t", "fuse", "-o", options, "other", str(place)]
        subprocess.run(words, pass_fds=[fuse.fileno()], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@needs_root
def test_the_dead_mount_of_another_program_is_left_alone(foreign_mount: Path, tmp_path: Path) -> None:
    arguments = ["-s", str(tmp_path / "flom.sock"), "-m", str(foreign_mount)]
    with Daemon(*arguments, ready="FLM021E") as daemon:
        told = daemon.log.splitlines()[-1]
    assert f"a mount is left there whose process is gone; 'fusermount3 -u {foreign_mount}' removes it" in told
    assert mount_at(foreign_mount) is not None


def test_a_second_order_does_not_disturb_the_end_that_has_begun(showing: Daemon, place: Path) -> None:
    os.kill(process_at(place), signal.SIGSTOP)  # it has 2 s to end
    showing.process.send_signal(signal.SIGTERM)
    showing.wait_for_log("FLM004N ending")
    showing.process.send_signal(signal.SIGINT)
    assert showing.stop() == -signal.SIGTERM
    assert "Traceback" not in showing.log
    assert "Server Shut Down" in showing.log
    assert mount_at(place) is None
