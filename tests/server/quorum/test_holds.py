"""Holds without a process under a quorum: the next leader goes on with them, with and without word."""

from __future__ import annotations

from typing import Any

import pytest

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode, extend, split
from flom.core.protocol.messages import Answer, Lock, Wishes
from tests.fakes.connections import MemoryClient
from tests.fakes.quorum import QuorumDaemon


def ask(client: MemoryClient, name: str, wishes: Wishes | None = None, **asked: Any) -> Answer:
    message = Lock(name, LockMode.EX, wait=False, create=True, peer_id="0" * 32, wishes=wishes, **asked)
    data, following = split(extend(message))
    client.send(data)
    for more in following:
        client.received()
        client.send(encode(more))
    [answer] = client.received()
    assert isinstance(answer, Answer)
    return answer


def hold(daemon: QuorumDaemon, name: str = "R") -> tuple[str, int]:
    """Return the handle of a new hold of an hour, and its token."""
    answer = ask(daemon.connect(), name, Wishes(ttl=3600.0))
    assert answer.hold is not None
    return answer.hold.handle, answer.token


def successor(before: QuorumDaemon) -> QuorumDaemon:
    """Return a daemon that reads what the leader C{before} has written at etcd."""
    daemon = QuorumDaemon()
    daemon.elector.kept = before.elector.kept
    return daemon


@pytest.mark.parametrize("name", ["R", "red.green", "_S_q[2]"])
@pytest.mark.parametrize("leaves_word", [True, False])
def test_the_next_leader_goes_on_with_it_before_it_grants_anything(name: str, leaves_word: bool) -> None:
    before = QuorumDaemon()
    before.lead()
    handle, token = hold(before, name)
    after = successor(before)
    if leaves_word:
        before.service.stopService()
        assert before.elector.words != [""]
        after.lead(*before.elector.words)
    else:
        before.elector.lose()
        after.lead()
    adopted = ask(after.connect(), "hold", Wishes(adopts=handle))
    assert (adopted.code, adopted.token) == (Outcome.GRANTED, token)
    if name == "R":
        assert ask(after.connect(), name).code == Outcome.BUSY


def test_its_adopter_has_a_session_and_heartbeats() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    handle, _ = hold(daemon)
    client = daemon.connect()
    adopted = ask(client, "hold", Wishes(adopts=handle))
    assert adopted.session
    assert adopted.terms.quorum
    daemon.elector.keep_for(60.0)
    assert not client.transport.disconnecting


def test_a_daemon_that_does_not_lead_any_more_ends_none_of_them() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    handle, token = hold(daemon)
    daemon.elector.lose()
    assert len(daemon.elector.kept) == 1
    daemon.clock.advance(7200.0)
    assert len(daemon.elector.kept) == 1
    other = QuorumDaemon()
    other.elector.kept = daemon.elector.kept
    other.lead()
    assert ask(other.connect(), "hold", Wishes(adopts=handle)).token == token
