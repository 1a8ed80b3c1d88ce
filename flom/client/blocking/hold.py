"""Holds without a process: to begin one, and to renew or release it by its handle (docs/howto/holds.md)."""

from __future__ import annotations

import os
from time import monotonic

from flom.client.blocking.acquire import Acquirer, Hooks, request_of
from flom.core.handles import NO_SUCH_HOLD
from flom.core.modes import NL
from flom.core.protocol.events import Refused
from flom.core.protocol.messages import STATUS_PROBE, HoldAnswer, Lock, Wishes
from flom.errors import DaemonLost, FlomError, RemoteProtocolError
from flom.job.sender import signed, user_name
from flom.net.machine_id import unique_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.client.blocking.connection import Conversation
    from flom.config import Config
    from flom.core.protocol.events import Granted
    from flom.core.protocol.messages import HoldTold

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for connecting to the daemon, besides those in which one is started."""

ANSWER_TIMEOUT: Final = 20.0
"""Seconds that a daemon has to renew or release a hold, which it writes down: the disk, or etcd, may be busy."""


class HoldRefused(FlomError):
    """A daemon has not done what was asked of a hold; the text says why."""


class HoldGone(HoldRefused):
    """A daemon knows no hold of this handle: it was released, or its time is over."""


def begin_hold(config: Config, hooks: Hooks, ttl: float, title: str = "") -> tuple[HoldTold, Granted]:
    """
    Acquire what C{config} says is to be locked, as a hold that goes on without this process.

    @param ttl: seconds after which it ends, unless it is renewed or adopted.
    @param title: names it to people; the empty string for no name.
    @return: what the daemon has told of it, its handle too, and what was granted.
    @raise FlomError: see L{Acquirer.acquire}.
    """
    acquirer = Acquirer(config, hooks, config.timeout or None, may_start=True)
    request = signed(request_of(config), "flomctl").replace(wishes=Wishes(ttl=ttl, hold_as=title))
    conversation, granted = acquirer.acquire(request)
    conversation.give_up()  # no daemon waits for this process
    conversation.close()
    if granted.hold is None or not granted.hold.handle:
        raise RemoteProtocolError(f"{conversation.peer} has granted a lock, and not said the handle of the hold")
    return granted.hold, granted


def order_hold(config: Config, hooks: Hooks, handle: str, *, is_release: bool = False, ttl: float = 0.0) -> HoldTold:
    """
    Renew or release the hold of C{handle} at the daemon that C{config} means, which is started if need be.

    @param is_release: true to release it, and false to begin its time anew.
    @param ttl: seconds of its new TTL; 0 for the one that it has.
    @return: what it is then, or was.
    @raise HoldGone: there is no such hold.
    @raise HoldRefused: that was not done.
    @raise DaemonLost: it is not known whether it was.
    @raise FlomError: see L{Acquirer.reach}.
    """
    conversation = Acquirer(config, hooks, CONNECT_TIMEOUT, may_start=True).reach()
    try:
        deadline = monotonic() + ANSWER_TIMEOUT
        _check_is_ours(conversation, deadline)
        connection = conversation.connection
        order = connection.order_hold(handle, unique_id(), is_release=is_release, ttl=ttl, user=user_name())
        answer = _ask(conversation, order, deadline)
    finally:
        conversation.close()
    if answer.hold is None:
        refused = HoldGone if answer.why == NO_SUCH_HOLD else HoldRefused
        raise refused(f"{conversation.peer}: {answer.why or 'nothing was done'}")
    return answer.hold


def _check_is_ours(conversation: Conversation, deadline: float) -> None:
    """Raise L{HoldRefused} if the daemon is one of FLoM's, which would end if it were given an order that is ours."""
    probe = f"{STATUS_PROBE}{os.urandom(8).hex()}"
    decision = conversation.lock(Lock(probe, NL, extended=True), deadline)
    if not (isinstance(decision, Refused) and conversation.connection.is_extended):
        raise HoldRefused(f"{conversation.peer} is a daemon of FLoM's, which knows nothing of holds")


def _ask(conversation: Conversation, order: bytes, deadline: float) -> HoldAnswer:
    stream = conversation.stream
    try:
        stream.send(order, deadline)
        while data := stream.receive(deadline):
            for event in conversation.connection.receive(data):
                if isinstance(event, HoldAnswer):
                    return event
    except FlomError:
        raise
    except OSError:
        pass
    why = "it does not lead, or is of an older version, which knows nothing of holds"
    raise DaemonLost(f"{conversation.peer} has closed the connection, and not answered: {why}")
