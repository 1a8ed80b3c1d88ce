"""Which of several hosts a Twisted program asks, at daemons that a test plays in threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from flom.client import connect
from flom.codes import Outcome
from flom.core.modes import EX, PR
from flom.core.protocol.messages import Answer, Convert, ConvertAnswer, Lock, Ping, Terms
from flom.errors import ConfigError
from tests.fakes.hosts import SeveralHosts
from tests.fakes.leading import SECRET, TERMS, Answering, grant
from tests.fakes.peers import FakeHost, SocketConversation

loop: Any = reactor


@pytest.fixture
def several() -> Iterator[SeveralHosts]:
    with SeveralHosts() as several:
        yield several


async def asked_at(host: FakeHost) -> tuple[SocketConversation, Lock]:
    """Wait until C{host} is asked for a lock; an empty connection is the one that a program begins with."""
    return await deferToThread(host.accept)


def answer_of(asked: Lock) -> Answer:
    """Return the grant of a leader that understands conversions."""
    granted = Answer(16, Outcome.GRANTED, None, "0" * 32, extended=True, session=SECRET, terms=TERMS, converts=True)
    return granted.replace(token=asked.token or 7, proof="a" * 32)


async def conversion_asked(conversation: SocketConversation) -> Convert:
    """Wait until the client asks for one; questions whether the daemon is there are answered meanwhile."""
    while not isinstance(message := await deferToThread(conversation.read), Convert):
        assert isinstance(message, Ping)
        conversation.say(Ping(16))
    return message


async def turn_away(*hosts: FakeHost) -> None:
    for host in hosts:
        (await asked_at(host))[0].close()


@pytest_twisted.ensureDeferred
async def test_standbys_are_left_for_the_one_that_leads(several: SeveralHosts) -> None:
    async with await connect(loop, several.config) as locks:
        waiting = locks.acquire("R")
        await turn_away(*several.hosts[:2])
        conversation, asked = await asked_at(several.hosts[2])
        grant(conversation, asked)
        answering = Answering(conversation)
        held = await waiting
        await held.release()
        assert answering.others


@pytest_twisted.ensureDeferred
async def test_while_none_leads_it_waits(several: SeveralHosts) -> None:
    async with await connect(loop, several.config) as locks:
        waiting = locks.acquire("R")
        for _ in range(8):  # more often than a daemon that has gone is asked again
            await turn_away(*several.hosts)
        conversation, asked = await asked_at(several.hosts[0])
        grant(conversation, asked)
        Answering(conversation)
        await (await waiting).release()


@pytest_twisted.ensureDeferred
async def test_a_host_that_says_nothing_is_left(several: SeveralHosts) -> None:
    async with await connect(loop, several.config) as locks:
        waiting = locks.acquire("R")
        await asked_at(several.hosts[0])
        conversation, asked = await asked_at(several.hosts[1])
        grant(conversation, asked)
        Answering(conversation)
        await (await waiting).release()


@pytest_twisted.ensureDeferred
async def test_what_is_held_is_reclaimed_from_the_next_leader(several: SeveralHosts) -> None:
    async with await connect(loop, several.config) as locks:
        waiting = locks.acquire("R")
        conversation, asked = await asked_at(several.hosts[0])
        grant(conversation, asked)
        held = await waiting
        conversation.close()
        await turn_away(several.hosts[1])
        conversation, again = await asked_at(several.hosts[2])
        assert again.regains
        grant(conversation, again, TERMS)
        Answering(conversation)
        await held.release()


@pytest_twisted.ensureDeferred
async def test_a_conversion_that_waits_is_asked_for_again_of_the_next_leader(several: SeveralHosts) -> None:
    """It is reclaimed in the mode that is held in any case."""
    async with await connect(loop, several.config) as locks:
        waiting = locks.acquire("R", mode="PR")
        conversation, asked = await asked_at(several.hosts[0])
        conversation.say(answer_of(asked))
        held = await waiting
        converting = held.convert("EX")
        assert (await conversion_asked(conversation)).mode is EX
        conversation.close()
        await turn_away(several.hosts[1])
        conversation, again = await asked_at(several.hosts[2])
        assert (again.regains, again.mode) == (True, PR)
        conversation.say(answer_of(again))
        order = await conversion_asked(conversation)
        conversation.say(ConvertAnswer(16, Outcome.GRANTED, order.mode, order.number, 8, "b" * 32))
        await converting
        assert (order.mode, held.mode, held.token) == (EX, EX, 8)
        Answering(conversation)
        await held.release()


@pytest_twisted.ensureDeferred
async def test_daemons_without_a_quorum_are_refused(several: SeveralHosts) -> None:
    async with await connect(loop, several.config) as locks:
        waiting = locks.acquire("R")
        conversation, asked = await asked_at(several.hosts[0])
        grant(conversation, asked, Terms(timeout=10.0))
        Answering(conversation)
        with pytest.raises(ConfigError, match="does not lead by a quorum"):
            await waiting
