"""What clients may ask of holds, and what is no answer to them (L{flom.server.holding}); test_holds.py has the rest."""

from __future__ import annotations

import pytest

from flom.codes import Outcome
from flom.core.handles import make_handle
from flom.core.protocol.encode import encode, extend
from flom.core.protocol.messages import HoldOrder, Lock, More, Wishes
from tests.server.test_holds import TTL, Daemon, is_free

HANDLE = make_handle(bytes(20))


def test_an_order_by_a_client_of_FLoM_ends_its_connection() -> None:
    """A client asks first whether the daemon is one of ours; one that does not is not one of ours either."""
    daemon = Daemon()
    client = daemon.connect().send(encode(HoldOrder(HANDLE)))
    assert client.received() == []
    assert client.transport.disconnecting


@pytest.mark.parametrize("wish", ['ttl="0"', 'ttl="-1"', 'ttl="x"', 'adopts=""', 'adopts="hold-1"'])
def test_a_wish_that_makes_no_sense_ends_the_connection_and_locks_nothing(wish: str) -> None:
    daemon = Daemon()
    client = daemon.connect().send(encode(extend(Lock("statusprobe0", more=True))))
    client.received()
    whole = encode(More(lock=Lock("db", wait=True, create=True, wishes=Wishes(ttl=TTL))))
    client.send(whole.replace(b'ttl="60000"', wish.encode()))
    assert client.received() == []
    assert client.transport.disconnecting
    assert is_free(daemon)


@pytest.mark.parametrize("order", ["handle='x'", "", "handle='hold-' release='1'"])
def test_so_does_an_order_without_a_handle(order: str) -> None:
    client = Daemon().connect().send(encode(extend(Lock("statusprobe0"))))
    client.received()
    client.send(f'<msg level="3" verb="5" step="8"><hold {order}/></msg>'.encode())
    assert client.received() == []
    assert client.transport.disconnecting


def test_one_connection_can_begin_several_holds_of_its_resource() -> None:
    daemon = Daemon()
    client = daemon.connect()
    handles = {client.hold("n[5]", quantity=2) for _ in range(2)}
    assert len(handles) == len(daemon.store.texts) == len(daemon.locks()) == 2
    assert client.ask("n[5]", Wishes(ttl=TTL), quantity=2, wait=False).answer().code == Outcome.BUSY
