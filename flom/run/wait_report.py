"""
What C{flom-run} says while it waits: for what, and because of which holders.

With C{-V} on stdout, soon; without, only on a terminal, on stderr, in a line that vanishes.

The daemon is asked over a connection of its own, in a thread of its own, so that the lock is neither delayed nor lost
by it. If that fails, because it is a daemon of FLoM's or does not show its status, for example, there is no report.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from flom.lean import Lock, socket, start_thread
from flom.run.terminal import can_show, hide, show, tell
from flom.text import listed, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final, TextIO

    from flom.client.blocking.status import StatusReader
    from flom.config import Config
    from flom.status.model import LockStatus, ResourceStatus, Status

    FindOwn = Callable[[list[LockStatus]], LockStatus | None]

_IN_GRACE: Final = "waiting: the daemon is in a grace period, and serves only holders of the one before it"
_NEW_LEADER: Final = "waiting: the daemon leads since a moment ago, and serves only holders of the leader before"
_PATIENCE: Final = 0.3  # seconds from the request until -V says something: most locks are there by then
_UNASKED_PATIENCE: Final = 1.0  # until something is said without -V
_ASK_TIMEOUT: Final = 0.5  # seconds until we do not wait any more to be told who holds a lock that we did not get
_PERIOD: Final = 1.0  # seconds
_TOLERANCE: Final = 1.0  # seconds: a daemon that was busy or has just started has read the request later
_STOP_TIMEOUT: Final = 1.0  # seconds until we end although a terminal does not take what is written to it


class WaitReport:
    """Reports what the request on C{asking}, a connection, waits for: every second on a terminal, otherwise once."""

    def __init__(self, config: Config, asking: socket.socket, others: Sequence[Config] = ()) -> None:
        """@param others: what is asked for together with what C{config} says."""
        self._config = config
        self._others = others
        self._asking = asking
        self._asked_at = monotonic()
        self._stream: TextIO = sys.stdout if config.verbose else sys.stderr
        self._is_over = False
        self._waking = Lock()  # held until this is over
        self._waking.acquire()
        self._saying = Lock()  # held while something is said
        start_thread(self._run)

    def stop(self) -> None:
        """Stop the report, and clear the terminal's line."""
        self._is_over = True
        try:
            self._waking.release()
        except RuntimeError:
            return  # it has been stopped by a signal's thread
        if self._saying.acquire(timeout=_STOP_TIMEOUT):
            hide()
            self._saying.release()

    def _pause(self, seconds: float) -> bool:
        """Wait for C{seconds}; return whether this is over."""
        if not self._is_over:
            self._waking.acquire(timeout=seconds)
        return self._is_over

    def _run(self) -> None:
        if self._pause(_PATIENCE if self._config.verbose else _UNASKED_PATIENCE):
            return
        try:
            from flom.client.blocking.status import open_status

            place, find_own = _place_of(self._asking, self._config, self._asked_at)
            with open_status(place, lambda text: None) as reader:
                told = ""
                while not self._is_over:
                    status = reader.read(self._config.resource_name)
                    text = describe_wait(status, find_own)
                    if self._others:
                        text = self._describe_waits(reader)
                    if text is not None and not self._say(text):
                        break
                    why = why_not_served(status)
                    if text is None and why and why != told:
                        told = why
                        self._say(why)
                    self._pause(_PERIOD)
        except Exception:
            pass
        with self._saying:
            if not self._is_over:
                hide()  # what was said can not be brought up to date any more

    def _describe_waits(self, reader: StatusReader) -> str | None:
        """Return in one line what several locks wait for; C{None} if they do not wait."""
        configs, held, is_waiting = (self._config, *self._others), [], False
        for config in configs:
            find_own = _place_of(self._asking, config, self._asked_at)[1]
            for resource in reader.read(config.resource_name).resources:
                if (own := find_own(list(resource.waiters))) is not None:
                    is_waiting = True
                    if holders := _spell_holders(resource.blockers(own)):
                        held.append(f"{own.name} is held {holders}")
        if not is_waiting:
            return None
        what = listed([config.resource_name for config in configs])
        return f"waiting for {what}: {', '.join(held) or 'others are first'}"

    def _say(self, text: str) -> bool:
        """Write C{text}; return whether it is to be brought up to date."""
        with self._saying:
            if self._is_over:
                return False
            if can_show(self._stream):
                show(text, self._stream)
                return True
            if self._config.verbose:
                tell(text)
            return False


def why_not_served(status: Status) -> str:
    """Return why the daemon grants no new lock; the empty string if it does, as far as it says."""
    daemon, quorum = status.daemon, status.daemon.quorum
    if quorum is not None and quorum.problem:
        return f"waiting: the daemon grants nothing: {quorum.problem}"
    if daemon.grace_left is None:
        return ""
    return _IN_GRACE if quorum is None else _NEW_LEADER


def describe_wait(status: Status, find_own: FindOwn) -> str | None:
    """Return in one line what the waiter that is C{find_own}'s choice waits for; C{None} if it is none."""
    if (waiter := find_own(list(status.incubator))) is not None:
        return f"waiting for {waiter.name}: no client has created it yet"
    for resource in status.resources:
        if (waiter := find_own(list(resource.waiters))) is not None:
            return _describe(resource, waiter, _more_of(status))
    return None


def _more_of(status: Status) -> str:
    """Return what there is to say of the daemon at the end of a line about a waiter."""
    quorum = status.daemon.quorum
    if quorum is not None and quorum.problem:
        return f", and the daemon grants nothing: {quorum.problem}"
    return ", and the daemon is draining" if status.daemon.draining else ""


def _describe(resource: ResourceStatus, own: LockStatus, more: str) -> str:
    what = own.mode if own.quantity is None else str(own.quantity)
    ahead = len(resource.ahead_of(own))
    text = f"waiting for {own.name}{f' ({what})' if what else ''}: {f'{ahead} ahead' if ahead else 'next in line'}"
    held = _spell_holders(resource.blockers(own))
    return f"{text}{f', held {held}' if held else ''}{more}"


def _spell_holders(holders: list[LockStatus]) -> str:
    from flom.status.wording import spell_client, spell_seconds

    if not holders:
        return ""
    text = f"by {spell_client(holders[0])} for {spell_seconds(holders[0].seconds)}"
    others = len(holders) - 1
    return f"{text} and {others} {'other' if others == 1 else 'others'}" if others else text


def describe_holders(config: Config) -> str:
    """
    Return who holds what C{config} has asked for in vain, as in C{"by pid 4711 (root, backup) for 37 s"}.

    @return: the empty string if that is not known, or not within half a second.
    """
    try:
        from flom.client.blocking.status import open_status

        with open_status(config, lambda text: None, _ASK_TIMEOUT) as reader:
            return one_line(_spell_holders(_blockers_of(reader, config)))
    except Exception:
        return ""


def describe_holders_of_all(place: Config, configs: Sequence[Config]) -> str:
    """
    Return who holds what C{configs} have asked for in vain, as in C{"a is held by pid 4711 (root, backup) for 37 s"}.

    @param place: says where the daemon is.
    @return: the empty string if that is not known, or not within half a second.
    """
    try:
        from flom.client.blocking.status import open_status

        with open_status(place, lambda text: None, _ASK_TIMEOUT) as reader:
            each = [(config.resource_name, _spell_holders(_blockers_of(reader, config))) for config in configs]
        return one_line(", ".join(f"{name} is held {holders}" for name, holders in each if holders))
    except Exception:
        return ""


def _blockers_of(reader: StatusReader, config: Config) -> list[LockStatus]:
    """Return the holders because of which what C{config} asks for cannot be granted."""
    from flom.core.names import parse_name
    from flom.status.model import LockStatus

    status = reader.read(config.resource_name, _ASK_TIMEOUT)
    name = parse_name(config.resource_name)
    mode = config.lock_mode.name if name.has_mode else None
    quantity = config.quantity if name.has_quantity else None
    wish = LockStatus(0, "", None, None, None, name.text, mode, quantity, None, 0.0)
    return status.resources[0].blockers(wish) if status.resources else []


def _place_of(asking: socket.socket, config: Config, asked_at: float) -> tuple[Config, FindOwn]:
    """Return where the daemon at the other end of C{asking} is, and what finds the waiter at our end."""
    name = config.resource_name
    if asking.family == socket.AF_UNIX:

        def find_process(waiters: list[LockStatus]) -> LockStatus | None:
            return _own_of([waiter for waiter in waiters if waiter.name == name], monotonic() - asked_at)

        return config, find_process
    here, there = asking.getsockname(), asking.getpeername()
    address = _spell(f"{here[0]}/{here[1]}")
    host = there[0]
    if len(there) > 3 and there[3] and "%" not in host:
        host += f"%{there[3]}"
    direct = config.replace(
        socket_name="", multicast_address="", network_interface="", unicast_address=host, unicast_port=there[1]
    )

    def find_address(waiters: list[LockStatus]) -> LockStatus | None:
        own = [waiter for waiter in waiters if _spell(waiter.address) == address and waiter.name == name]
        return own[0] if own else None

    return direct, find_address


def _own_of(waiters: list[LockStatus], waited: float) -> LockStatus | None:
    """
    Return which of C{waiters} at a UNIX socket is this process, which has waited for C{waited} seconds.

    In another PID namespace than the daemon's, it is not known there by its number, but by its time.
    """
    for waiter in waiters:
        if waiter.pid == os.getpid():
            return waiter
    nearest = min(waiters, key=lambda waiter: abs(waiter.seconds - waited), default=None)
    return nearest if nearest is not None and abs(nearest.seconds - waited) < _TOLERANCE else None


def _spell(address: str) -> str:
    """Return C{ADDRESS/PORT} as it is at both ends: without an interface, and without that it is IPv4 within IPv6."""
    host, _, port = address.rpartition("/")
    return f"{host.partition('%')[0].removeprefix('::ffff:')}/{port}"
