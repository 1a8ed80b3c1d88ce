"""How commands of C{flomctl} find the C{flom-run} that they run under; without one, they write one line."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.ctl.peers import FLOMCTL, flomctl
from tests.fakes.daemon import BIN
from tests.fakes.programs import Programs, assert_refused


@pytest.mark.parametrize("number", ["", "x", "-1", "0", "77", "99999999999999999999"])
def test_what_is_not_the_descriptor_of_flom_run_is_not_asked(programs: Programs, number: str) -> None:
    done = flomctl(programs, "convert", "PR", environment={"FLOM_CONTROL_FD": number})
    assert_refused(done, 99, f"FLOM_CONTROL_FD={number} is not the descriptor of flom-run any more")


def test_another_socket_is_not_asked(programs: Programs) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_INET) as other:
        for one in (other, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)):
            with one:
                environment = {"FLOM_CONTROL_FD": str(one.fileno())}
                running = programs.start_program(
                    FLOMCTL, "convert", "PR", environment=environment, pass_fds=(one.fileno(),)
                )
                assert_refused(running.finish(), 99, "is not the descriptor of flom-run")


def test_a_program_that_closes_descriptors_loses_it(programs: Programs, tmp_path: Path) -> None:
    script = f"import subprocess; raise SystemExit(subprocess.run([{FLOMCTL!r}, 'convert', 'PR']).returncode)"
    done = programs.start("-s", str(tmp_path / "s"), "-r", "db", "--", sys.executable, "-c", script).finish()
    assert_refused(done, 99, "Python's subprocess without pass_fds")


def test_flom_has_no_such_descriptor(programs: Programs, tmp_path: Path) -> None:
    inner = [str(BIN / "flom"), "-s", str(tmp_path / "s"), "-r", "other", "--", FLOMCTL, "convert", "PR"]
    done = programs.start("-s", str(tmp_path / "s"), "-r", "db", "--", *inner).finish()
    assert_refused(done, 99, "there is no FLOM_CONTROL_FD")
