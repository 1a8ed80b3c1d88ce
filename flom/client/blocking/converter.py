"""
Conversions of a lock by a program that waits for them (docs/howto/convert.md). What keeps the lock meanwhile goes on
reading from its connection, and reclaims it if that ends; what the program waits for is told to it by a socket.
"""

from __future__ import annotations

from select import POLLIN
from time import monotonic

from flom.client.blocking.converting import Conversions
from flom.client.blocking.fork_safety import guard, open_pair
from flom.client.blocking.stream import NEVER, Interrupted, wait_for
from flom.errors import LockTimeout, Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.keeper import Keeper
    from flom.core.modes import LockMode
    from flom.core.protocol.messages import Lock
    from flom.core.requests import AskedToConvert
    from flom.errors import FlomError


class Converter:
    """Converts one lock, and waits for that."""

    def __init__(self, acquirer: Acquirer, message: Lock, conversation: Conversation, keeper: Keeper | None) -> None:
        """
        @param acquirer: what has acquired the lock.
        @param message: the request for it.
        @param conversation: where it was granted.
        @param keeper: what keeps it, and reads from its connection; C{None} if nothing does.
        """
        self._conversions = Conversions(acquirer, message)
        self._conversation = conversation
        self._keeper = keeper
        self._why_ended: FlomError | None = None
        if keeper is not None:
            keeper.conversions = self._conversions

    @property
    def mode(self) -> LockMode:
        """In which the lock is held."""
        return self._conversions.mode

    @property
    def token(self) -> int | None:
        """The fencing token that it has."""
        return self._conversions.token

    def convert(self, asked: AskedToConvert, what: str) -> None:
        """
        Convert the lock, which is held.

        If this raises anything, KeyboardInterrupt for example, the lock is held as it was, or lost.

        @param what: names the lock in errors.
        @raise flom.errors.LockRefused: the daemon says no.
        @raise LockTimeout: it was not converted in time.
        @raise flom.errors.DaemonLost: the lock was lost meanwhile.
        @raise Misuse: another conversion waits, or the lock was released meanwhile.
        """
        conversions, is_ours = self._conversions, False
        deadline = NEVER if asked.timeout is None else monotonic() + asked.timeout
        woken, waking = open_pair()
        try:
            with guard:
                if self._why_ended is not None:
                    raise self._why_ended
                if conversions.on_end is not None:
                    raise Misuse(f"{what}: it is being converted already")
                conversions.on_end = lambda: _wake(waking)
                is_ours = True
                conversions.ask(self._connected, asked)
            self._wait(woken, deadline)
        except LockTimeout:
            if conversions.is_waiting:
                raise LockTimeout(f"{what}: not converted within {asked.timeout:g} s") from None
        finally:
            with guard:
                if is_ours:
                    conversions.on_end = None
                    conversions.stay(self._connected)
            woken.close()
            waking.close()
        refusal, conversions.refusal = conversions.refusal, None
        try:
            if refusal is not None:
                raise refusal
        finally:
            del refusal  # or else its traceback would keep what is held from being garbage

    def end(self, why: FlomError) -> None:
        """Wait for a conversion no more, which raises C{why}, because the lock is about to be released."""
        with guard:
            self._why_ended = why
            self._conversions.end(why)

    @property
    def _connected(self) -> Conversation | None:
        """The connection on which the lock is held; C{None} while it is being reclaimed."""
        return self._conversation if self._keeper is None else self._keeper.connected

    def _wait(self, woken: socket.socket, deadline: float) -> None:
        """Wait until the conversion is decided; C{woken} can be read from then."""
        if self._keeper is not None:
            wait_for(woken, POLLIN, deadline)
            return
        while self._reads_on():
            try:
                wait_for(self._conversation.stream.socket, POLLIN, deadline, woken)
            except (Interrupted, ValueError):
                pass  # another thread has read the answer, or released the lock

    def _reads_on(self) -> bool:
        """Read what has come; return whether to wait for more. What comes after L{end} is left to the release."""
        conversions = self._conversions
        with guard:
            if conversions.is_waiting and self._conversation.is_lost:
                conversions.end(self._conversation.why_lost())
            return conversions.is_waiting


def _wake(waking: socket.socket) -> None:
    try:
        waking.send(b"\0")
    except OSError:
        pass  # it was woken already
