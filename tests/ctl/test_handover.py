"""C{flomctl handover}: what it does not order; the rest takes a group (tests/scenarios/lan/test_handover.py)."""

from __future__ import annotations

from tests.ctl.peers import flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs, assert_refused


def test_where_there_is_no_group_no_daemon_can_take_over(programs: Programs, daemon: Daemon) -> None:
    assert_refused(flomctl(programs, "handover", "-s", daemon.socket), 2, "handover: a group is needed")
    assert daemon.process.poll() is None
