"""
A daemon goes away while a client waits: it asks the next one, in a group and elsewhere
(docs/compatibility.md, "Protocol: daemon").
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.acquisition import Held
from flom.client.deferred.arbiter import RemoteArbiter
from flom.client.deferred.connection import LockClient
from flom.codes import ReturnCode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MessageReader
from flom.core.protocol.messages import Lock, Unlock, Unlocked
from flom.errors import DaemonLost, DaemonUnreachable, FlomError, LockBusy, LockTimeout
from tests.fakes.connections import Transport, xml
from tests.fakes.results import error

GRANTED = xml(1, 16, '<session peerid="x"/><answer rc="0"/>')
GRANTED_FAR = GRANTED.replace(b'step="16"', b'step="16" extended="1" session="%b" waits="1"' % (b"0" * 32))
GRANTED_KEPT = GRANTED.replace(b'step="16"', b'step="16" extended="1" session="%b" timeout="10000"' % (b"0" * 32))
GRANTED_ELEMENT = xml(1, 16, '<session peerid="x"/><answer rc="0" element="a"/>')
QUEUED = xml(1, 16, '<session peerid="x"/><answer rc="1"/>')
GRANTED_LATER = xml(1, 24, '<answer rc="0"/>')
BUSY = xml(1, 16, '<answer rc="4"/>')


@implementer(IStreamClientEndpoint)
class Daemons:
    """
    Leads to a daemon that the test plays, and after its end to the next one.

    @ivar clients: one for each connection.
    @ivar are_gone: set to true while there is no daemon.
    @ivar host_refuses: set to false while their host does not say so.
    """

    def __init__(self) -> None:
        self.clients: list[LockClient] = []
        self.are_gone = False
        self.host_refuses = True

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.are_gone:
            why = DaemonUnreachable(ReturnCode.CONNECT_ERROR, "the daemon: no daemon is listening")
            why.is_refused = self.host_refuses
            return fail(why)
        client = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
        assert isinstance(client, LockClient)
        client.makeConnection(Transport())
        self.clients.append(client)
        return succeed(client)

    def say(self, *messages: bytes) -> None:
        for message in messages:
            self.clients[-1].dataReceived(message)

    def go(self) -> None:
        """End the daemon."""
        self.clients[-1].connectionLost()


class Asking:
    """
    A request for a lock.

    @ivar outcome: what has become of it.
    @ivar holders: the numbers with which successors were looked for.
    """

    def __init__(self, *, is_in_group: bool, name: str = "R1", timeout: float | None = None) -> None:
        self.clock = Clock()
        self.daemons = Daemons()
        self.outcome: list[Held | BaseException] = []
        arbiter = RemoteArbiter(
            self.daemons,
            "the daemon",
            self.clock,
            forget=(lambda: None) if is_in_group else None,
            successor=self._find_successor if is_in_group else None,
        )
        self.holders: list[int] = []
        self.waiting = arbiter.acquire(name, timeout=timeout)
        self.waiting.addCallbacks(self.outcome.append, self._take)

    def pass_time(self) -> None:
        """Advance the clock by enough to ask again."""
        self.clock.advance(0.5)

    def asked(self) -> list[str]:
        """Return what each daemon was asked for."""
        names = []
        for client in self.daemons.clients:
            [message] = MessageReader().feed(client.transport.value())
            assert isinstance(message, Lock)
            names.append(message.name)
        return names

    def hold(self, granted: bytes = GRANTED) -> Held:
        """Return the lock, which the daemon grants."""
        self.daemons.say(granted)
        [held] = self.outcome
        assert not isinstance(held, BaseException)
        return held

    def request(self) -> Lock:
        """Return what was asked for last."""
        message = next(iter(MessageReader().feed(self.daemons.clients[-1].transport.value())))
        assert isinstance(message, Lock)
        return message

    def _find_successor(self, holder: int) -> IStreamClientEndpoint:
        self.holders.append(holder)
        return self.daemons

    def _take(self, failure: Failure) -> None:
        assert failure.value is not None
        self.outcome.append(failure.value)


def test_in_a_group_who_waits_goes_on_waiting_at_the_next_daemon() -> None:
    asking = Asking(is_in_group=True)
    for _ in range(50):
        asking.daemons.say(QUEUED)
        asking.daemons.go()
        assert asking.outcome == []
        asking.pass_time()
    asking.daemons.say(QUEUED, GRANTED_LATER)
    [held] = asking.outcome
    assert not isinstance(held, BaseException)
    assert asking.asked() == ["R1"] * 51


def test_in_a_group_the_next_daemon_may_take_a_while_to_lead() -> None:
    asking = Asking(is_in_group=True)
    for _ in range(5):  # one that stands by, or ends just now, closes at once
        asking.daemons.go()
        asking.pass_time()
    asking.daemons.say(GRANTED)
    [held] = asking.outcome
    assert not isinstance(held, BaseException)


def test_in_a_group_the_next_daemon_is_not_pestered() -> None:
    asking = Asking(is_in_group=True)
    asking.daemons.say(QUEUED)
    asking.daemons.go()
    assert len(asking.daemons.clients) == 1
    asking.pass_time()
    assert len(asking.daemons.clients) == 2


def test_in_a_group_too_silence_is_not_put_up_with_for_ever() -> None:
    asking = Asking(is_in_group=True)
    for _ in range(100):
        if not asking.outcome:
            asking.daemons.go()
            asking.pass_time()
    assert isinstance(asking.outcome[0], DaemonLost)
    assert len(asking.daemons.clients) < 50
    assert asking.clock.getDelayedCalls() == []


def test_in_a_group_a_refusal_is_one() -> None:
    asking = Asking(is_in_group=True)
    asking.daemons.say(QUEUED)
    asking.daemons.go()
    asking.pass_time()
    asking.daemons.say(BUSY)
    assert isinstance(asking.outcome[0], LockBusy)


def test_in_a_group_a_cancelled_request_asks_no_more() -> None:
    asking = Asking(is_in_group=True)
    asking.daemons.say(QUEUED)
    asking.daemons.go()
    asking.waiting.cancel()
    asking.pass_time()
    assert isinstance(asking.outcome[0], CancelledError)
    assert len(asking.daemons.clients) == 1


def test_elsewhere_a_waiter_waits_on_until_there_is_a_daemon_again() -> None:
    asking = Asking(is_in_group=False)
    for _ in range(2):
        asking.daemons.say(QUEUED)
        asking.daemons.are_gone = True
        asking.daemons.go()
        for _ in range(20):
            asking.pass_time()
        assert asking.outcome == []
        asking.daemons.are_gone = False
        for _ in range(4):
            asking.pass_time()
    asking.daemons.say(GRANTED)
    [held] = asking.outcome
    assert not isinstance(held, BaseException)
    assert asking.asked() == ["R1"] * 3


@pytest.mark.parametrize("is_in_group", [True, False])
def test_the_next_daemon_is_told_since_when_a_waiter_has_waited(is_in_group: bool) -> None:
    asking = Asking(is_in_group=is_in_group)
    assert asking.request().waited == 0
    asking.daemons.say(QUEUED)
    asking.clock.advance(7)
    asking.daemons.go()
    asking.pass_time()
    assert asking.request().waited == 7.5


def test_elsewhere_a_waiter_waits_no_longer_than_its_timeout() -> None:
    asking = Asking(is_in_group=False, timeout=5.0)
    asking.daemons.say(QUEUED)
    asking.daemons.are_gone = True
    asking.daemons.go()
    for _ in range(9):
        asking.pass_time()
    assert asking.outcome == []
    asking.pass_time()
    assert isinstance(asking.outcome[0], LockTimeout)
    assert not asking.clock.getDelayedCalls()


def test_elsewhere_there_has_to_be_a_daemon_at_first() -> None:
    daemons = Daemons()
    daemons.are_gone = True
    waiting = RemoteArbiter(daemons, "the daemon", Clock()).acquire("R1")
    assert isinstance(error(waiting), DaemonUnreachable)


def test_elsewhere_one_that_has_said_nothing_is_tried_once_more_at_once() -> None:
    asking = Asking(is_in_group=False)
    asking.daemons.go()
    assert len(asking.daemons.clients) == 2
    asking.daemons.say(GRANTED)
    assert not isinstance(asking.outcome[0], BaseException)


def test_elsewhere_two_that_say_nothing_are_enough() -> None:
    asking = Asking(is_in_group=False)
    asking.daemons.go()
    asking.daemons.go()
    assert isinstance(asking.outcome[0], DaemonLost)
    assert len(asking.daemons.clients) == 2


def test_in_a_group_a_lock_is_reclaimed_from_the_next_daemon() -> None:
    asking = Asking(is_in_group=True)
    held = asking.hold()
    for times in (2, 3):
        asking.daemons.go()
        asking.daemons.say(GRANTED)
        assert len(asking.daemons.clients) == times
        assert not held.lost.called
        assert not held.is_lost
    request = asking.request()
    assert (request.name, request.regains, request.wait, request.create) == ("R1", True, False, True)
    assert asking.holders == [request.holder] * 2
    assert request.holder
    done = held.release()
    asking.daemons.go()
    assert done.called
    assert not held.lost.called


def test_each_lock_is_reclaimed_with_a_number_of_its_own() -> None:
    numbers = set()
    for _ in range(2):
        asking = Asking(is_in_group=True)
        asking.hold()
        asking.daemons.go()
        numbers.update(asking.holders)
    assert len(numbers) == 2


def test_a_reclaim_goes_on_while_daemons_end() -> None:
    asking = Asking(is_in_group=True)
    held = asking.hold()
    for _ in range(5):
        asking.daemons.go()
        asking.pass_time()
    asking.daemons.say(GRANTED)
    assert not held.lost.called


def test_a_reclaim_gives_up_in_the_end() -> None:
    asking = Asking(is_in_group=True)
    held = asking.hold()
    lost: list[FlomError] = []
    held.lost.addCallback(lost.append)
    for _ in range(100):
        if not lost:
            asking.daemons.go()
            asking.pass_time()
    assert [type(why) for why in lost] == [DaemonLost]
    assert asking.clock.seconds() < 12
    assert asking.clock.getDelayedCalls() == []


def test_a_lock_that_another_client_may_have_had_is_lost() -> None:
    asking = Asking(is_in_group=True)
    held = asking.hold()
    lost: list[FlomError] = []
    held.lost.addCallback(lost.append)
    asking.daemons.go()
    asking.daemons.say(BUSY)
    assert held.is_lost
    assert "another client has it, or may have had it since" in str(lost[0])
    failed: list[object] = []
    held.release().addErrback(lambda failure: failed.append(failure.type))
    assert failed == [DaemonLost]


@pytest.mark.parametrize(("answer", "error"), [(GRANTED, type(None)), (BUSY, DaemonLost)])
def test_a_release_waits_for_the_end_of_a_reclaim(answer: bytes, error: type) -> None:
    asking = Asking(is_in_group=True)
    held = asking.hold()
    asking.daemons.go()
    ended: list[object] = []
    held.release().addErrback(lambda failure: failure.value).addCallback(ended.append)
    assert ended == []
    asking.daemons.say(answer)
    if answer is GRANTED:
        assert ended == []
        asking.daemons.go()
    assert [type(end) for end in ended] == [error]


def release(held: Held) -> list[object]:
    """Release C{held}; return the list to which the outcome is added."""
    ended: list[object] = []
    held.release().addErrback(lambda failure: failure.value).addCallback(ended.append)
    return ended


@pytest.mark.parametrize("host_refuses", [False, True])
def test_an_unlock_is_asked_for_as_long_as_the_daemon_keeps_the_lock(host_refuses: bool) -> None:
    """But for some seconds only if its host says that there is none."""
    asking = Asking(is_in_group=False)
    ended = release(asking.hold(GRANTED_KEPT))
    asking.daemons.are_gone, asking.daemons.host_refuses = True, host_refuses
    asking.daemons.clients[-1].connectionLost(Failure(ConnectionLost()))
    for _ in range(14):
        asking.pass_time()
    asking.daemons.are_gone = False
    for _ in range(4):
        asking.pass_time()
    if host_refuses:
        assert [type(end) for end in ended] == [DaemonLost]
        return
    assert ended == []
    asking.daemons.say(GRANTED_KEPT, encode(Unlocked()))
    assert ended == [None]


def test_an_unlock_is_asked_for_as_often_as_connections_break() -> None:
    asking = Asking(is_in_group=False)
    ended = release(asking.hold(GRANTED_KEPT))
    for _ in range(3):
        asking.daemons.clients[-1].connectionLost(Failure(ConnectionLost()))
        asking.daemons.say(GRANTED_KEPT)
    assert ended == []
    asking.daemons.say(encode(Unlocked()))
    assert ended == [None]


@pytest.mark.parametrize("name", ["_S_a[1]", "_s_a[1]"])
def test_a_rollback_that_the_leader_has_not_taken_reaches_the_next(name: str) -> None:
    asking = Asking(is_in_group=True, name=name)
    held = asking.hold(GRANTED_ELEMENT)
    ended: list[object] = []
    held.release(rollback=True).addErrback(lambda failure: failure.value).addCallback(ended.append)
    asking.daemons.clients[-1].connectionLost(Failure(ConnectionLost()))
    if name == "_S_a[1]":
        assert asking.request().element == "a"
        asking.daemons.say(GRANTED_ELEMENT)
        _, unlock = MessageReader().feed(asking.daemons.clients[-1].transport.value())
        assert unlock == Unlock(name, rollback=True)
        asking.daemons.go()
    assert [type(end) for end in ended] == [type(None) if name == "_S_a[1]" else DaemonLost]


@pytest.mark.parametrize("name", ["R[3]", "/a/b"])
def test_what_has_no_element_is_reclaimed(name: str) -> None:
    asking = Asking(is_in_group=True, name=name)
    held = asking.hold()
    asking.daemons.go()
    asking.daemons.say(GRANTED)
    assert not held.is_lost


def test_the_same_element_is_reclaimed() -> None:
    asking = Asking(is_in_group=True, name="a.b")
    held = asking.hold(GRANTED_ELEMENT)
    for _ in range(2):
        asking.daemons.go()
        assert asking.request().element == "a"
        asking.daemons.say(GRANTED_ELEMENT)
        assert not held.is_lost


def test_a_lock_that_another_element_is_granted_for_is_lost() -> None:
    """By a daemon that cannot reclaim elements; it gets its own back at once."""
    asking = Asking(is_in_group=True, name="a.b")
    held = asking.hold(GRANTED_ELEMENT)
    asking.daemons.go()
    asking.daemons.say(GRANTED_ELEMENT.replace(b'element="a"', b'element="b"'))
    assert held.is_lost
    assert asking.daemons.clients[-1].transport.disconnecting


def test_outside_groups_no_lock_is_reclaimed() -> None:
    asking = Asking(is_in_group=False)
    held = asking.hold()
    asking.daemons.go()
    assert held.is_lost
    assert held.lost.called
    assert len(asking.daemons.clients) == 1


def test_a_lock_elsewhere_is_reclaimed_while_that_host_says_there_is_none() -> None:
    asking = Asking(is_in_group=False)
    held = asking.hold(GRANTED_FAR)
    asking.daemons.are_gone = True
    asking.daemons.go()
    for _ in range(200):
        asking.pass_time()
    asking.daemons.are_gone = False
    for _ in range(3):
        asking.pass_time()
    asking.daemons.say(GRANTED)
    assert asking.request().regains
    assert not held.lost.called


def test_a_lock_elsewhere_is_lost_if_that_host_says_nothing() -> None:
    asking = Asking(is_in_group=False)
    held = asking.hold(GRANTED_FAR)
    asking.daemons.are_gone, asking.daemons.host_refuses = True, False
    asking.daemons.go()
    for _ in range(24):
        asking.pass_time()
    assert held.is_lost
