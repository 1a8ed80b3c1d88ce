"""A daemon that leads by a quorum, as its clients see it: a test decides when it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flom.codes import Outcome
from flom.core.protocol.messages import Answer, Lock, Message, Ping, Terms, Unlock, Unlocked
from tests.fakes.peers import FakeDaemon, SocketConversation
from tests.fakes.programs import Running, eventually, is_alive

SECRET = "0123456789abcdef" * 2
TERMS = Terms(timeout=3.0, required=True, quorum=True)
"""Of 3 s, a client has 1.5 s of patience, and its command 0.9 s to end."""

HASTY = Terms(timeout=1.5, required=True, quorum=True)
"""The same, for a lock that is to be lost."""


def grant(conversation: SocketConversation, asked: Lock, terms: Terms = TERMS) -> None:
    """Grant what C{asked} for."""
    answer = Answer(16, Outcome.GRANTED, None, "0" * 32, extended=True, session=SECRET, terms=terms)
    conversation.say(answer.replace(token=asked.token or 7, proof="a" * 32))


class Answering:
    """
    What a client says on one connection, of which the questions are answered as long as the test wants.

    @ivar pings: how many questions have come.
    @ivar others: the other messages.
    @ivar has_ended: set when the connection has.
    """

    def __init__(self, conversation: SocketConversation) -> None:
        self.pings = 0
        self.others: list[Message] = []
        self.has_ended = threading.Event()
        self.answers = True
        self._conversation = conversation
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while (message := self._conversation.read()) is not None:
                if isinstance(message, Ping):
                    self.pings += 1
                    if self.answers:
                        self._conversation.say(Ping(16))
                else:
                    self.others.append(message)
                    if isinstance(message, Unlock):
                        self._conversation.say(Unlocked())
        except OSError:
            pass  # it was closed by one of us
        self.has_ended.set()

    def close(self) -> None:
        """End the connection."""
        self._conversation.end()

    def join(self) -> None:
        """Wait until the connection has ended."""
        assert self.has_ended.wait(20)


Holds = Callable[..., tuple[Running, Answering]]
"""Starts C{flom-run} with some arguments, up to where its command may run."""

RUNS_ON = ["--", "sh", "-c", "echo $$; while :; do sleep 0.05; done"]


def gone(pid: int) -> None:
    eventually(lambda: not is_alive(pid), f"the end of process {pid}")


def reclaimed(fake: FakeDaemon) -> Answering:
    """Grant again what is reclaimed, in the same session, on the next connection; return what answers there."""
    conversation, asked = fake.accept()
    assert (asked.regains, asked.session) == (True, SECRET)
    grant(conversation, asked)
    return Answering(conversation)


def still_asked(answering: Answering) -> None:
    """Wait for further questions on this connection."""
    before = answering.pings
    eventually(lambda: answering.pings > before, "further questions")
