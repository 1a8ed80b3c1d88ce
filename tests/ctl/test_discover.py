"""C{flomctl discover}: its rows; tests/scenarios/lan runs it in networks."""

from __future__ import annotations

from flom.core.group.discovery import FoundDaemon
from flom.core.protocol.messages import Discovered, Role, Standing
from flom.ctl.discover import _row, _table


def test_a_daemon_of_flom_has_no_host_and_no_age() -> None:
    reply = Discovered("192.0.2.1", 4711)
    daemon = FoundDaemon("192.0.2.1", 4711, reply, ("192.0.2.1", 28015))
    assert _row(daemon) == ["leader", "192.0.2.1", "4711", "-", "FLoM", "-"]


def test_one_of_ours_has() -> None:
    reply = Discovered("192.0.2.1", 4711, Standing("node", Role.STANDBY, 0), host="mars", version="1")
    role, _, _, host, version, since = _row(FoundDaemon("192.0.2.1", 4711, reply, ("192.0.2.1", 28015)))
    assert (role, host, version, since[:2]) == ("standby", "mars", "1", "19")


def test_columns_are_as_wide_as_their_widest_word() -> None:
    heading, row = _table([["leader", "192.0.2.100", "1", "-", "FLoM", "-"]])
    assert heading.index("PORT") == row.index("1  ")
    assert _table([]) == []
