"""
Conversions of a lock that is held: it changes its mode (docs/howto/convert.md), over as many connections as it takes.

While a conversion is not decided, and its connection ends, the lock is reclaimed in the mode that is held in either
case, and the conversion is asked for once more.
"""

from __future__ import annotations

from flom.codes import Outcome
from flom.core.modes import in_both
from flom.core.protocol.events import Converted, NotConverted
from flom.core.requests import AskedToConvert
from flom.errors import FlomError, not_converted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.core.modes import LockMode
    from flom.core.protocol.messages import Lock


class Conversions:
    """
    The conversions of one lock.

    @ivar message: the request by which the lock is to be reclaimed.
    @ivar mode: in which it is held.
    @ivar token: by which; C{None} from a daemon of FLoM's.
    @ivar is_waiting: true from L{ask} until that is decided, or withdrawn.
    @ivar refusal: why the last one was refused; C{None} if it was not.
    @ivar on_end: called when it is not waited for any more, whatever has become of it; C{None} for nothing.
    """

    def __init__(self, acquirer: Acquirer, message: Lock) -> None:
        """@param acquirer: what has acquired the lock of C{message}."""
        self._acquirer = acquirer
        self.message = message
        self.mode = message.mode
        self.token = acquirer.granted.token
        self.is_waiting = False
        self.refusal: FlomError | None = None
        self.on_end: Callable[[], None] | None = None
        self._target: AskedToConvert | None = None  # until the daemon has answered
        self._conversation: Conversation | None = None
        self._number = 0  # of the last one on that connection

    def ask(self, conversation: Conversation | None, asked: AskedToConvert) -> None:
        """
        Ask for C{asked} on C{conversation}; what was asked for before is not to be waited for any more.

        @param conversation: where the lock is held; C{None} while it is being reclaimed: L{resume} asks, then.
        """
        self.is_waiting, self.refusal = True, None
        self._ask(conversation, asked)

    def stay(self, conversation: Conversation | None) -> None:
        """Withdraw the conversion that waits, if one does, by one to the mode that is held; see L{ask}."""
        if self.is_waiting:
            self.is_waiting = False
            self._ask(conversation, AskedToConvert(self.mode, True, None))

    def resume(self, conversation: Conversation) -> None:
        """Go on with C{conversation}, by which the lock was reclaimed."""
        if self._target is not None:
            self._ask(conversation, self._target)

    def end(self, why: FlomError) -> None:
        """Wait no more for the conversion that waits, if one does, because of C{why}: the lock is lost or released."""
        if self.is_waiting:
            self._target, self.refusal, self.is_waiting = None, why, False
            self._tell_end()

    def _ask(self, conversation: Conversation | None, asked: AskedToConvert) -> None:
        self._target = asked
        if conversation is None:
            return
        self._conversation = conversation
        if not conversation.connection.converts:
            self._end(not_converted(Outcome.UNSUPPORTED, self.message.name, conversation.peer))
            return
        conversation.on_conversion = self._note
        self._reclaim_in(in_both(self.mode, asked.mode))
        self._number = conversation.convert(self.message.name, asked.mode, wait=asked.wait)

    def _reclaim_in(self, mode: LockMode) -> None:
        """Note that the lock is to be reclaimed in C{mode}, if its connection ends now."""
        assert self._conversation is not None
        self.message = self.message.replace(mode=mode)
        granted_at = self._acquirer.granted_at  # from which its longest time is counted still
        self._acquirer.note_grant(self._conversation, self._acquirer.granted, self.message)
        self._acquirer.granted_at = granted_at

    def _note(self, event: Converted | NotConverted) -> None:
        assert self._conversation is not None
        is_last = event.number == self._number
        if isinstance(event, Converted):
            self.mode, self.token = event.mode, event.token
            granted = self._acquirer.granted.replace(token=event.token, proof=event.proof)
            self._conversation.granted = self._acquirer.granted = granted
            if self._target is not None and not is_last:
                self._reclaim_in(in_both(self.mode, self._target.mode))
        if is_last:
            peer, name = self._conversation.peer, self.message.name
            self._conversation.on_conversion = None  # so that what is not used any more is no circle
            refused = event if isinstance(event, NotConverted) else None
            self._end(None if refused is None else not_converted(refused.outcome, name, peer, refused.why))

    def _end(self, refusal: FlomError | None) -> None:
        self._target, self.refusal = None, refusal if self.is_waiting else None
        self.is_waiting = False
        self._reclaim_in(self.mode)
        self._tell_end()

    def _tell_end(self) -> None:
        if self.on_end is not None:
            self.on_end()
