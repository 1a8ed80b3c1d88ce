"""
Asking a group on a reactor: what tests/core/group/test_discovery.py decides is carried out
(docs/compatibility.md, "Discovery by the client").
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from flom.client.deferred.discovery import Asker
from flom.core.group.addresses import Group
from flom.core.group.discovery import ASK_AGAIN, INTERREGNUM, SETTLE, FoundDaemon, takeover_time
from flom.core.group.timing import Timing
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from tests.fakes.group import GROUP, FakePort, fake_ports, pass_time
from tests.fakes.reactors import MemoryReactor

LEADER = Discovered("", 40002, Standing("b" * 16, Role.LEADER, 1_700_000_000_000), "beta", "1")
STANDBY = Discovered("", 40004, Standing("0" * 16, Role.STANDBY, 1_600_000_000_000), "delta", "1")

ATTEMPTS = 3
WAIT = 0.5  # seconds for each


class Asking:
    """
    A search for the leader of C{group}.

    @ivar port: what it asks by.
    @ivar said: the lines about it.
    @ivar leaders: its result; C{None} before that.
    """

    def __init__(self, ports: list[FakePort], group: Group = GROUP) -> None:
        self.reactor = MemoryReactor()
        self.said: list[str] = []
        self.leaders: list[FoundDaemon] | None = None
        self.asker = Asker(group, self.reactor, self.said.append)
        self.asker.__enter__()
        self.port = ports[-1]

    def start(self, timing: Timing | None = None) -> Deferred[Any]:
        """Ask for a leader; with C{timing}, for the successor of one."""
        if timing is None:
            self.asker.search.ask_often(ATTEMPTS, WAIT)
        else:
            self.asker.search.ask_successor(timing)
        return Deferred.fromCoroutine(self.asker.finish()).addCallback(self._note)

    def hear(self, reply: Discovered, host: str = "fe80::b%eth0") -> None:
        self.port.hear(encode(reply), (host, 28015))

    def _note(self, leaders: list[FoundDaemon]) -> None:
        self.leaders = leaders


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[FakePort]:
    return fake_ports(monkeypatch, "flom.client.deferred.discovery")


@pytest.fixture
def asking(ports: list[FakePort]) -> Asking:
    return Asking(ports)


def test_the_group_is_asked_and_the_port_of_this_host(asking: Asking) -> None:
    asking.start()
    assert asking.port.told == [Discover(GROUP.address)]
    assert asking.port.answers() == [(Discover(GROUP.address), ("::1", GROUP.port))]
    assert not asking.port.is_member
    assert any("ff02::1/28015" in line for line in asking.said)


def test_by_a_single_interface_this_host_is_not_asked(ports: list[FakePort]) -> None:
    asking = Asking(ports, Group(GROUP.address, GROUP.port, "eth0"))
    asking.start()
    assert asking.port.answers() == []


def test_an_answer_ends_the_search_after_a_moment_for_others(asking: Asking) -> None:
    asking.start()
    pass_time(asking.reactor, 0.2)
    asking.hear(LEADER)
    assert asking.leaders is None
    pass_time(asking.reactor, SETTLE)
    assert asking.leaders is not None
    [leader] = asking.leaders
    assert (leader.host, leader.port) == ("fe80::b%eth0", 40002)
    assert any("fe80::b%eth0/28015" in line and 'node="bbbb' in line for line in asking.said)
    assert asking.reactor.getDelayedCalls() == []


def test_the_answer_of_one_that_is_alone_is_taken_at_once(asking: Asking) -> None:
    asking.start()
    asking.hear(LEADER.replace(alone=True))
    asking.reactor.advance(0)
    assert asking.leaders is not None
    assert [leader.port for leader in asking.leaders] == [40002]
    assert asking.reactor.getDelayedCalls() == []


def test_asked_by_two_interfaces_it_is_not(asking: Asking) -> None:
    asking.port.interfaces.append("eth1")
    asking.start()
    asking.hear(LEADER.replace(alone=True))
    asking.reactor.advance(0)
    assert asking.leaders is None
    pass_time(asking.reactor, SETTLE)
    assert asking.leaders is not None


def test_silence_is_no_answer_and_noise_is_silence(asking: Asking) -> None:
    asking.start()
    asking.port.hear(b"hello", ("fe80::b%eth0", 28015))
    pass_time(asking.reactor, ATTEMPTS * WAIT)
    assert asking.leaders == []
    assert len(asking.port.told) == ATTEMPTS


def test_while_some_stand_by_a_leader_is_waited_for_but_not_for_ever(asking: Asking) -> None:
    asking.start()
    asking.hear(STANDBY)
    pass_time(asking.reactor, ATTEMPTS * WAIT + INTERREGNUM - 1)
    assert asking.leaders is None
    pass_time(asking.reactor, 1 + ASK_AGAIN)
    assert asking.leaders == []


def test_a_successor_has_the_time_of_a_takeover(asking: Asking) -> None:
    timing = Timing()
    asking.start(timing)
    pass_time(asking.reactor, takeover_time(timing) - 2 * ASK_AGAIN)
    assert asking.leaders is None
    pass_time(asking.reactor, 3 * ASK_AGAIN)
    assert asking.leaders == []


def test_where_nothing_can_be_sent_the_reason_is_kept_until_it_can(asking: Asking) -> None:
    asking.port.interfaces.clear()
    asking.start()
    assert "no network interface" in str(asking.asker.problem)
    asking.port.interfaces.append("eth0")
    pass_time(asking.reactor, WAIT)
    assert asking.asker.problem is None


def test_a_daemon_of_this_host_is_found_without_any_interface(asking: Asking) -> None:
    asking.port.interfaces.clear()
    asking.start()
    asking.hear(LEADER, "::1")
    pass_time(asking.reactor, SETTLE)
    assert asking.leaders is not None
    assert [leader.host for leader in asking.leaders] == ["::1"]


def test_cancelling_ends_the_search(asking: Asking) -> None:
    search = asking.start()
    errors: list[Any] = []
    search.addErrback(lambda failure: errors.append(failure.value))
    search.cancel()
    assert isinstance(errors[0], CancelledError)
    assert asking.reactor.getDelayedCalls() == []


def test_a_holder_says_that_it_looks_for_the_next_leader(ports: list[FakePort]) -> None:
    asker = Asker(GROUP, MemoryReactor(), lambda line: None, 7)
    with asker:
        asker.search.ask(WAIT)
        asking = Deferred.fromCoroutine(asker.finish())
        assert ports[-1].told == [Discover(GROUP.address, orphaned=True, holder=7)]
        asking.addErrback(lambda failure: failure.trap(CancelledError))
        asking.cancel()
