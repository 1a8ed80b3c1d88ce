"""
The leader before this daemon: whether its clients know already that it has gone (docs/explanation/groups.md, "When the
leader goes").

If its process has ended, its host has told them. If its host has died, or is cut off, they notice the silence, later
than the daemons of the group. Which of both it is, this daemon finds out by connecting to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from flom.reactor.endpoints import connect_within

if TYPE_CHECKING:
    from flom.core.group.addresses import Sender
    from flom.core.group.timing import Timing
    from flom.interfaces import IReactor

_REACH_TIMEOUT: Final = 5.0  # seconds for connecting to it; it is known to have taken over long before


class Predecessor:
    """What is known of the last leader that was heard, beside this daemon."""

    def __init__(self, reactor: IReactor, timing: Timing) -> None:
        """@param reactor: connects to it."""
        self._reactor = reactor
        self._timing = timing
        self._server: Sender | None = None  # where it listens, if its clients may not know yet that it has gone
        self._heard_at = 0.0  # when, by the reactor
        self._reaching: Deferred[Any] | None = None

    def note_heard(self, server: Sender) -> None:
        """Note that a leader has said that it is there, and listens at C{server}; port 0 if that is not known."""
        self.forget()
        if server[1]:
            self._server, self._heard_at = server, self._reactor.seconds()

    def forget(self) -> None:
        """Note that its clients know, or that it does not matter any more."""
        self._server = None
        if self._reaching is not None:
            self._reaching.cancel()

    def reach(self) -> None:
        """Find out whether its host is there; to be called when it has not been heard for too long."""
        if self._server is None or self._reaching is not None:
            return
        factory: Any = Factory.forProtocol(Protocol)
        factory.noisy = False
        self._reaching = connect_within(_REACH_TIMEOUT, self._reactor, *self._server, factory)
        self._reaching.addBoth(self._note_end)

    def time_to_notice(self) -> float:
        """Return the seconds until all of its clients know that it has gone; 0 if they do."""
        if self._server is None:
            return 0.0
        return max(0.0, self._heard_at + self._timing.noticing - self._reactor.seconds())

    def _note_end(self, result: Any) -> None:
        """Note that its host has answered, or not; if it accepts connections, it may have been stopped."""
        self._reaching = None
        if not isinstance(result, Failure):
            result.transport.abortConnection()
        if not isinstance(result, Failure) or result.check(ConnectionRefusedError):
            self._server = None
