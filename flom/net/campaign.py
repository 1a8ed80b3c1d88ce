"""
A campaign for the lead of a group that begins before the daemon can take part in the election: while that is being
imported, a thread announces the candidacy, and keeps what other daemons say.
"""

from __future__ import annotations

from os import urandom
from select import POLLIN, poll
from threading import Event, Thread
from time import monotonic, time

from flom.core.group.addresses import Group, Sender
from flom.core.group.timing import Timing
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_MESSAGE_SIZE
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from flom.errors import RemoteProtocolError
from flom.net.multicast import NetworkInterface, NoMulticast, open_group_socket


class Campaign:
    """
    The campaign of one candidate, which decides nothing: the code that L{stop}s it goes on with it.

    @ivar socket: a member of the group.
    @ivar joined: the names of the interfaces on which it is.
    @ivar began: when it began, in seconds of the monotonic clock; C{standing} has it by the wall clock.
    @ivar announced: how many announcements were sent.
    @ivar in_a_row: how many of these were sent in a row: none could not be sent, and no round was too long.
    @ivar last_at: when the last one was sent.
    @ivar heard: what was said by daemons, this one included: datagrams, with their senders and the interfaces by which
        they came.
    """

    def __init__(self, group: Group, timing: Timing) -> None:
        """@raise NoMulticast: the group cannot be joined."""
        self.began = self.last_at = monotonic()
        self.standing = Standing(urandom(8).hex(), Role.CANDIDATE, round(time() * 1000))
        self.announced = self.in_a_row = 0
        self.heard: list[tuple[bytes, Sender, str]] = []
        self._group = group
        self._timing = timing
        self.socket = open_group_socket(group, is_member=True)
        try:
            self.joined = self.socket.join(_ignore)
        except NoMulticast:
            self.socket.close()
            raise
        self._is_over = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what has arrived until now is in L{heard} then."""
        self._is_over.set()
        self._thread.join()

    def give_up(self) -> None:
        """End the campaign: this daemon is no candidate."""
        self.stop()
        self.socket.close()

    def _run(self) -> None:
        arrivals = poll()
        arrivals.register(self.socket.udp, POLLIN)
        while not self._is_over.is_set():
            if (left := self.last_at + self._timing.round - monotonic()) <= 0 or not self.announced:
                self._announce()
            elif arrivals.poll(left * 1000):
                self._receive()
        self._receive()

    def _announce(self) -> None:
        now = monotonic()
        if now - self.last_at >= self._timing.stall:
            self.in_a_row = 0
        self.announced += 1
        self.last_at = now
        message = encode(Discover(self._group.address, standing=self.standing, number=self.announced))
        key = self._group.key
        try:
            self.socket.tell(message if key is None else key.seal(message))
            self.in_a_row += 1
        except NoMulticast:
            self.in_a_row = 0

    def _receive(self) -> None:
        while True:
            try:
                arrived = self.socket.receive(MAX_MESSAGE_SIZE + 1)
            except BlockingIOError:
                return
            except OSError:
                continue  # the port of a daemon that has gone
            if arrived is not None and _is_of_daemon(arrived[0]):
                self.heard.append((*arrived, self.socket.came_by))


def _is_of_daemon(datagram: bytes) -> bool:
    """Return whether C{datagram} may matter to an election; clients ask again."""
    try:
        message = decode(datagram)
    except RemoteProtocolError:
        return False
    return isinstance(message, Discovered) or (isinstance(message, Discover) and message.standing is not None)


def _ignore(interface: NetworkInterface, problem: OSError) -> None:
    """The daemon will find that out again, and log it."""
