"""
Several hosts, the daemons of which agree by a quorum on one that leads: which to ask next, and waiting while none leads
(docs/explanation/quorum.md).

A daemon that does not lead closes the connection without a word. Of a host that does not answer, nothing is known.
"""

from __future__ import annotations

from time import monotonic

from flom.client.addresses import peer_of, several_without_quorum
from flom.client.blocking.connection import connect
from flom.client.blocking.reclaim import check_in_time, pause_before_look
from flom.client.retry import CONNECT_TRY, until_next_look
from flom.codes import ReturnCode
from flom.errors import ConfigError, DaemonLost, DaemonUnreachable, FlomError, LockTimeout
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.config import Config
    from flom.core.protocol.messages import Lock

_SHORT_TRY: Final = 0.5
"""L{CONNECT_TRY} in most rounds: a host that is up answers, and the next one may lead."""

_LONG_ROUNDS: Final = 4  # of so many rounds over all hosts, one has the whole L{CONNECT_TRY}
_PATIENCE: Final = 1.0  # seconds without a leader after which daemons are asked why
_ASK_TIMEOUT: Final = 0.5  # seconds for that


class NoLeader(LockTimeout):
    """None of the daemons has led in time."""


class Leaders:
    """
    The hosts, for an L{Acquirer}.

    @ivar config: says where the daemon is that was asked last.
    """

    def __init__(self, acquirer: Acquirer) -> None:
        self._acquirer = acquirer
        self._configs = [acquirer.config.replace(unicast_address=host) for host in acquirer.config.unicast_addresses]
        self._at = 0  # the index of the next one
        self._asked = 0  # how many since we have paused last
        self._rounds = 0  # of all, since one has led
        self._began = monotonic()  # when none has led
        self._name = ""  # of what is asked for
        self._problems: dict[int, str] = {}  # by index: why it could not be asked
        self._told = ""  # what was said about that
        self.config = self._configs[0]

    def begin(self, message: Lock) -> None:
        """Note what is about to be asked for."""
        self._name = message.name
        self._asked = self._rounds = 0
        self._began = monotonic()

    def connect(self, deadline: float) -> Conversation:
        """
        Connect to the next host to which that is possible; it need not lead.

        @param deadline: a time of C{time.monotonic}.
        @raise LockTimeout: it is C{deadline}.
        @raise DaemonUnreachable: all were asked once, and what is asked for is not to wait.
        @raise FlomError: another one of L{connect} that is about more than one host.
        """
        hooks = self._acquirer.hooks
        while True:
            if self._asked == len(self._configs):
                self._await_leader(deadline)
            self.config = self._configs[self._at]
            limit = min(deadline, monotonic() + (_SHORT_TRY if (self._rounds + 1) % _LONG_ROUNDS else CONNECT_TRY))
            try:
                conversation = connect(self.config, deadline=limit, warn=hooks.warn, say=hooks.say)
            except (DaemonLost, DaemonUnreachable, LockTimeout) as e:
                if monotonic() >= deadline:
                    raise self.too_late() from None
                self._problems[self._at] = str(e)
                self._go_on()
            else:
                conversation.is_one_of_several = True
                return conversation

    def note_loss(self) -> None:
        """Note that the daemon that was connected to has gone, or does not lead."""
        self._problems.pop(self._at, None)
        self._go_on()

    def check(self, conversation: Conversation) -> None:
        """
        Check that what has granted a lock on C{conversation} leads by a quorum.

        @raise ConfigError: it does not, so another one of the hosts might grant the same lock.
        """
        self._rounds = self._asked = 0
        if not conversation.connection.terms.quorum:
            raise ConfigError(several_without_quorum(conversation.peer, self._acquirer.config.unicast_address))

    def _go_on(self) -> None:
        if self._rounds == self._asked == 0:
            self._began = monotonic()
        self._asked += 1
        self._at = (self._at + 1) % len(self._configs)

    def _await_leader(self, deadline: float) -> None:
        """Pause, when all have been asked and none leads, and say once why."""
        acquirer = self._acquirer
        what = self._spell()
        if not acquirer.may_wait:
            raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, what)
        check_in_time(acquirer)
        took = monotonic() - self._began
        line = f"{what}, waiting for one that does"
        if took > _PATIENCE and acquirer.hooks.wants_reasons and not acquirer.holder:  # a holder has no time for that
            line = f"{what}: {self._why() or 'waiting for one that does'}"
        if line != self._told:
            self._told = line
            acquirer.hooks.say(line)
        try:
            pause_before_look(acquirer, until_next_look(took), deadline)
        except LockTimeout:
            raise self.too_late() from None
        self._asked = 0
        self._rounds += 1

    def too_late(self) -> NoLeader:
        """Return the error that none has led in time."""
        return NoLeader(f"{self._name}: {self._spell()}")

    def _spell(self) -> str:
        """Return in words that none leads, and which ones cannot be asked."""
        problems = f" ({'; '.join(self._problems.values())})" if self._problems else ""
        return f"none of {_listed(self._configs)} leads{problems}"

    def _why(self) -> str:
        """Return what the first daemon that answers says of the quorum; the empty string if none does."""
        return next(filter(None, (why_none_leads(config, self._name) for config in self._configs)), "")


def why_none_leads(config: Config, name: str) -> str | None:
    """
    Return why the daemon that C{config} means does not lead, as it says itself; the empty string if it does not know.

    @param name: of the resource that is wanted.
    @return: C{None} if no quorum decides whether it leads, or it does not show its status.
    """
    from flom.client.blocking.status import open_status

    try:
        with open_status(config, lambda text: None, _ASK_TIMEOUT) as reader:
            quorum = reader.read(name, _ASK_TIMEOUT).daemon.quorum
    except (FlomError, OSError):
        return None
    if quorum is None:
        return None
    if quorum.problem:
        return one_line(f"{peer_of(config)} says: {quorum.problem}")
    return one_line(f"to {peer_of(config)}, {quorum.leader} leads, which does not answer") if quorum.leader else ""


def _listed(configs: list[Config]) -> str:
    """Return the hosts as C{"h1:28015, h2:28015 and h3:28015"}."""
    peers = [peer_of(config) for config in configs]
    return f"{', '.join(peers[:-1])} and {peers[-1]}"
