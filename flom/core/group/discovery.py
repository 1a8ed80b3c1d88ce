"""
How a client finds the daemon that leads a group: what to ask and when, and which of the daemons that answer to choose
(docs/compatibility.md, "Discovery by the client").

The blocking and the Twisted client both drive a L{Search}: they send its questions and pass it what arrives.
"""

from __future__ import annotations

from flom.core.group.addresses import Group, Sender, destination, is_loopback
from flom.core.group.ranking import FLOM, rank
from flom.core.group.timing import Timing
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from flom.core.value import Value
from flom.errors import RemoteProtocolError
from flom.text import host_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

QUIET: Final = 0.05
"""Seconds without an answer after which flom-run has a daemon elected; leaders answer within a few milliseconds."""

ASK_AGAIN: Final = 0.17
"""Seconds between two questions while there is no leader, and before a group is asked again whose leader has gone."""

SETTLE: Final = 0.02
"""
Seconds after the first answer of a leader in which others may answer: all clients are to choose the same one. A leader
that is L{Discovered.alone} is chosen at once, if the question was sent by one network only.
"""

INTERREGNUM: Final = 10.0  # seconds that the daemons that stand by have to elect a leader

MOST_TRIED: Final = 3
"""Of the leaders that answer, as many are connected to, and as many named in a warning: anything can answer."""

CONNECT_TIMEOUT: Final = 5.0  # seconds, for a daemon that has just answered

_SPARE: Final = 0.5  # seconds, beyond what an election takes if no datagram is lost


def takeover_time(timing: Timing) -> float:
    """Return the seconds within which a standby takes over from a leader that has gone."""
    return timing.patience + timing.campaign + _SPARE


class FoundDaemon(Value):
    """
    A daemon that has answered.

    @ivar host: where it takes connections, together with C{port}.
    @ivar sender: where its answer came from.
    """

    host: str
    port: int
    reply: Discovered
    sender: Sender

    def __str__(self) -> str:
        """Return the address, the host's name and the node, for a line to a user."""
        if self.reply.standing is None:
            return f"{self.peer} (FLoM)"
        return f"{self.peer} ({self.reply.host or 'unknown host'}, node {self.standing.node})"

    @property
    def standing(self) -> Standing:
        """What the daemon is to its group."""
        return self.reply.standing or FLOM

    @property
    def peer(self) -> str:
        """The address, as errors name the daemon."""
        return host_port(self.host, self.port)


class Search:
    """
    One client's questions to a group, and the answers.

    L{ask}, L{ask_often} or L{collect} begins. Then, until L{wake} is C{None}: call L{advance}, send what it returns to
    the group and to L{Group.own_host}, and pass every datagram to L{receive}, until it is L{wake}. All may be done
    again with the same object, which keeps the answers.

    @ivar wake: when to call L{advance} next, in seconds of the driver's monotonic clock; L{receive} may make that
        earlier. C{None}: the search is over, and L{leaders} is its result.
    @ivar questions: how many have been asked.
    @ivar networks: by how many networks the driver has sent the last one. Of several, each may have a leader that
        cannot hear the other, and says that it is alone.
    """

    def __init__(self, group: Group, *, everyone: bool = False, orphaned: bool = False, holder: int = 0) -> None:
        """
        @param everyone: ask the daemons that stand by too, at once.
        @param orphaned: the client wants to reclaim a lock; L{Discover} has C{holder}.
        """
        self.group = group
        self.wake: float | None = None
        self.questions = 0
        self.networks = 0
        self._asks_everyone = everyone
        self._is_orphaned = orphaned
        self._holder = holder
        self._found: dict[object, FoundDaemon] = {}
        self._is_asking = self._is_settling = False
        self._nonce = "" if group.key is None else group.key.new_nonce()

    @property
    def found(self) -> list[FoundDaemon]:
        """
        The daemons that have answered, each once, the one to choose first: all clients sort them alike, and of two
        leaders, the one that stays once they hear of each other comes first.
        """
        return sorted(self._found.values(), key=lambda daemon: (*rank(daemon.standing), daemon.peer))

    @property
    def leaders(self) -> list[FoundDaemon]:
        """Those of L{found} that lead."""
        return [daemon for daemon in self.found if daemon.standing.role is Role.LEADER]

    def ask(self, wait: float) -> None:
        """Begin to ask once, and to wait at most C{wait} seconds for the first answer of a leader."""
        self._begin(1, wait)

    def ask_often(self, attempts: int, wait: float) -> None:
        """
        Begin to ask until a leader answers, at most C{attempts} times, every C{wait} seconds.

        If only daemons that stand by have answered then, there will be a leader soon: the search goes on for
        L{INTERREGNUM}.
        """
        self._begin(attempts, wait, is_persistent=True)

    def ask_successor(self, timing: Timing) -> None:
        """Begin to ask, every L{ASK_AGAIN} seconds, until a standby has taken over from the leader that has gone."""
        self.ask_often(round(takeover_time(timing) / ASK_AGAIN), ASK_AGAIN)

    def collect(self, wait: float) -> None:
        """Begin to ask once, and to take what comes within C{wait} seconds, however many answer."""
        self._begin(1, wait, ends_early=False)

    def advance(self, now: float) -> bytes | None:
        """
        Return the question to send at C{now}; C{None} if none is due. L{wake} says when to call this again.

        @param now: in seconds, of the same clock at every call.
        """
        if self.wake is None or now < self.wake:
            return None
        if self._is_settling or not self._may_ask(now):
            self._end()
            return None
        asked = Discover(
            self.group.address, self._asks_everyone, self._is_orphaned, holder=self._holder, nonce=self._nonce
        )
        question = encode(asked)
        if self.group.key is not None:
            question = self.group.key.seal(question)
        self.questions += 1
        self._is_asking = True
        self.wake = now + self._interval
        self._settle(now)
        return question

    def receive(self, datagram: bytes, sender: Sender, now: float) -> str | None:
        """
        Receive a datagram; everything but an answer is ignored
        (docs/compatibility.md, "A bad reply to discovery crashes the client").

        @return: a line for the trace; C{None} if the datagram says nothing new.
        """
        where = f"{sender[0]}/{sender[1]}"
        try:
            if len(datagram) > MAX_ANSWER_SIZE:
                raise RemoteProtocolError(f"more than {MAX_ANSWER_SIZE} bytes")
            reply = decode(datagram)
            if not isinstance(reply, Discovered):
                raise RemoteProtocolError("no answer")
            key = self.group.key
            is_flom = reply.standing is None
            if key is not None and not (key.is_sealed(datagram, self._nonce) or (is_flom and not key.is_required)):
                raise RemoteProtocolError("it does not have the key of the group")
        except RemoteProtocolError as e:
            return f"ignoring what came from {where}: {e}"
        if reply.standing is None and is_loopback(sender[0]):
            return None  # a daemon of FLoM, which does not know what group it was asked for
        daemon = FoundDaemon(destination(reply.address, sender, self.group), reply.port, reply, sender)
        name = reply.standing.node if reply.standing else daemon.peer
        known = self._found.get(name)
        if known is not None and known.standing == daemon.standing:
            return None
        self._found[name] = daemon
        is_only_one = reply.alone and self.networks < 2 and self.leaders == [daemon]
        if self._is_asking and self._ends_early and is_only_one:
            self._end()
        else:
            self._settle(now)
        return f"reply from {where} is '{datagram.decode(errors='replace')}'"

    def _begin(self, attempts: int, interval: float, *, is_persistent: bool = False, ends_early: bool = True) -> None:
        self._attempts = attempts  # that are left
        self._interval = interval  # seconds, from one question to the next
        self._is_persistent = is_persistent
        self._ends_early = ends_early
        self._give_up: float | None = None
        self._is_asking = self._is_settling = False
        self.wake = float("-inf")

    def _end(self) -> None:
        self._is_asking = False
        self.wake = None

    def _may_ask(self, now: float) -> bool:
        """Return whether there is to be one more question, and prepare it."""
        if self._attempts > 0:
            self._attempts -= 1
            self._asks_everyone = self._asks_everyone or (self._is_persistent and self._is_asking)
            return True
        if not self._is_persistent:
            return False
        self._asks_everyone = True
        self._interval = ASK_AGAIN
        if self._give_up is None:
            self._give_up = now + INTERREGNUM
        return bool(self._found) and now < self._give_up

    def _settle(self, now: float) -> None:
        """If a leader has answered, begin to wait for the answers of others."""
        if self._is_asking and not self._is_settling and self._ends_early and self.leaders:
            self._is_settling = True
            self.wake = now + SETTLE


def describe_question(group: Group, question: bytes) -> str:
    """Return the line by which C{flom-run -V} tells of the first question."""
    text = " ".join(question.decode().split())
    return f"sending UDP multicast datagram to {group.address}/{group.port} ('{text}')"


def choice_warning(leaders: list[FoundDaemon], group: Group) -> str | None:
    """
    Return the warning that is due if more than one daemon leads C{group}; otherwise C{None}.

    One that has handed over to another one of them just now does not count (L{flom.core.group.election.successor_of}).
    """
    since = {daemon.standing.since for daemon in leaders}
    leaders = [daemon for daemon in leaders if daemon.standing.since - 1 not in since]
    if len(leaders) < 2:
        return None
    named = ", ".join(map(str, leaders[:MOST_TRIED])) + (", ..." if len(leaders) > MOST_TRIED else "")
    return f"{len(leaders)} daemons lead {group}: {named}; using the first"
