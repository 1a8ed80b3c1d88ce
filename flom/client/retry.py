"""Why a daemon has closed the connection, and how often to ask again."""

from __future__ import annotations

import os

from flom.codes import ReturnCode
from flom.errors import DaemonLost, DaemonUnreachable, RemoteProtocolError
from flom.net.keepalive import Keepalive
from flom.net.machine_id import unique_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.client.blocking.tls import TlsEnd
    from flom.core.group.timing import Timing
    from flom.core.protocol.events import Granted
    from flom.core.protocol.messages import Lock
    from flom.tls.context import Tls

HANDSHAKE_TIMEOUT: Final = 30.0
"""
Seconds that a daemon has for the TLS handshake. One that is being started needs some of them; a daemon of FLoM that
does not speak TLS waits for ever (docs/compatibility.md, "One silent client blocks all others").
"""

NOTE_TIMEOUT: Final = 10.0
"""Seconds that the daemon has for confirming an unlock with a note, which it writes to a disk, or to etcd, before."""

ANSWER_TIMEOUT: Final = 5.0
"""
Seconds that a daemon has for being connected to, and for answering a request that is not to wait. One that lives
answers at once; others were stopped, or are no daemon.
"""

TAKEOVER_ANSWER_TIMEOUT: Final = 15.0
"""The same in a group: a daemon that takes over answers when its grace period ends, which takes 10 s at most."""

FIRST_ANSWER: Final = 1.0  # seconds that one of several daemons has to say whether it leads
CONNECT_TRY: Final = 2.0  # seconds for connecting to one of several hosts

CLOSE_TIMEOUT: Final = 5.0
"""
Seconds that the daemon has for confirming an unlock. One that cannot be reached, but keeps the lock until we are back,
has as long as it does (L{flom.core.protocol.messages.Terms}), unless its host says all the time that there is none.
"""

UNLOCK_TRY: Final = CLOSE_TIMEOUT / 2
"""Seconds that it has for that on one connection, if it can be asked again by another."""

MOST_GONE: Final = 20  # daemons that go before they confirm an unlock, or connections that break, one after another
RETRY: Final = 0.1  # seconds before another daemon is asked than the one that has gone
FIRST_RETRY: Final = 0.01
"""The same in a group, the first time, and twice as long each further time: a leader may have handed over."""

LONG_RETRY: Final = 1.0  # seconds at most between two looks for a daemon that another program has to start
KEPT_RETRY: Final = 0.5
"""The same where a daemon keeps what we have for some seconds: the way to it may be clear for a short time only."""

BACK_OFF: Final = 0.25  # between two looks, part of the time up to now: hundreds may look from one host

_MANY_RETRIES: Final = 20
_SOME_RETRIES: Final = 10


def why_closed(peer: str, *, answered: bool, tls: Tls | TlsEnd | None, is_secured: bool) -> DaemonLost:
    """
    Return the error that C{peer} has closed the connection, for a reason that OpenSSL does not know.

    @param answered: whether it had said anything.
    @param tls: our end of TLS; C{None} for plain text.
    @param is_secured: whether the handshake was over.
    """
    closed = f"{peer} closed the connection"
    if answered:
        return DaemonLost(closed)
    if tls is None:
        return DaemonLost(f"{closed} without an answer; it may want TLS, or have reached a limit")
    if not is_secured:
        return DaemonLost(f"{closed} during the TLS handshake; it may not speak TLS")
    why = "it may not accept our certificate"
    try:
        name = tls.own_name
    except ImportError:  # what it takes to read a certificate
        name = unique_id()
    if name != unique_id():
        from flom.tls.verdicts import describe_name

        why = f"it may check peer ids: our unique id is '{unique_id()}', and our certificate {describe_name(name)}"
    return DaemonLost(f"{closed} without an answer; {why}", ReturnCode.SSL_READ_ERROR)


def silent(peer: str, seconds: float) -> DaemonUnreachable:
    """Return the error that C{peer} has not answered within C{seconds} a request that is not to wait."""
    why = f"{peer}: no answer within {seconds:g} s; its daemon may be stopped, or another program is there"
    return DaemonUnreachable(ReturnCode.NETWORK_TIMEOUT, why)


COME_BACK_TIMEOUT: Final = 2.0
"""Seconds for one attempt to connect to a daemon again: the kernel's own go on after 1, 3, 7 and 15 s."""


def with_time_left(message: Lock, left: float, seconds: float) -> Lock:
    """
    Return C{message}, which reclaims a lock, with the time after which that ends.

    @param left: seconds that were left of it when it was granted, C{seconds} ago; 0 for any time.
    """
    if not left:
        return message
    from flom.core.protocol.messages import Wishes  # now, because few need it

    return message.replace(wishes=(message.wishes or Wishes()).replace(left=max(left - seconds, 0.001)))


def check_reclaimed(peer: str, granted: Granted, had: tuple[str | None, ...]) -> None:
    """
    Check that C{peer} has C{granted} again what we C{had}, which are the elements of our locks.

    @raise RemoteProtocolError: it has granted another element, as a daemon does that cannot reclaim elements.
    """
    for element, former in zip(granted.elements, had, strict=True):
        if element != former:
            raise RemoteProtocolError(f"{peer} would grant {element!r} in the place of {former!r}")


def unconfirmed(peer: str, when: str) -> DaemonLost:
    """Return the error that the daemon C{peer} has not confirmed an unlock; C{when} it should have, in words."""
    return DaemonLost(f"{peer} has not confirmed the unlock {when}: the lock may have been lost before")


def jitter() -> float:
    """Return a factor from 0.5 to 1.5, so that those who wait for the same do not ask at the same moment."""
    return 0.5 + os.urandom(1)[0] / 255


def until_next_look(took: float, longest: float = LONG_RETRY) -> float:
    """
    Return seconds until the next look for a daemon that was looked for during C{took} seconds.

    @param longest: so many at most, before L{jitter}.
    """
    return min(max(RETRY, took * BACK_OFF), longest) * jitter()


class RetryBudget:
    """
    The retry budget of one lock: how often to ask again when the daemon has gone without a decision.

    Whenever a daemon at which we have waited has gone: nothing was granted, so asking again does no harm. If a daemon
    has gone without a word, once, as it may have refused us; more often where another one takes its place, which may be
    killed in its turn: in a group, after a wait, and where we start it ourselves.

    @ivar has_waited: true once a daemon had us wait.
    @ivar silent: how many daemons in a row have gone without a word, since the last one that had us wait.
    @ivar has_told: for the driver: true once it has said that it waits for another program's daemon.
    """

    def __init__(self, *, is_in_group: bool, waits_on: bool = True, may_start: bool = False) -> None:
        """
        @param waits_on: false to give up when the only daemon that there may be has gone, as FLoM's client does.
        @param may_start: whether a daemon is started if there is none.
        """
        self.has_waited = self.has_told = False
        self.silent = 0
        self._is_in_group = is_in_group
        self._waits_on = waits_on or is_in_group
        self._silent_retries = _SOME_RETRIES if may_start and waits_on else 1

    def spend(self, loss: DaemonLost, *, answered: bool) -> None:
        """
        Spend one retry on C{loss}; the caller asks again.

        @param answered: whether the daemon had said anything to the request.
        @raise DaemonLost: none is left: this is C{loss}.
        """
        self.silent = 0 if answered else self.silent + 1
        is_refusal = loss.code is ReturnCode.SSL_READ_ERROR  # one that stands by would not have spoken TLS
        if answered and self._waits_on:
            self.has_waited = True
        retries = _MANY_RETRIES if self._is_in_group or self.has_waited else self._silent_retries
        if self.silent > (1 if is_refusal else retries) or (answered and not self._waits_on):
            raise loss


def new_holder() -> int:
    """Return a number by which a daemon that takes over knows who it was that looked for it (L{Discover.holder})."""
    return int.from_bytes(os.urandom(4), "big") or 1


def in_group(keepalive: Keepalive, timing: Timing) -> Keepalive:
    """
    Return when the leader of a group is probed: as by C{keepalive}, or as early as its successor may be elected.

    If its host dies, a standby leads after L{Timing.patience} and L{Timing.campaign}; clients have to look for it then.
    """
    step = timing.probe_step
    return Keepalive(min(keepalive.time, step), min(keepalive.interval, step), min(keepalive.probes, 2))
