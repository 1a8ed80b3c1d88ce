"""
The way to the daemon that leads a multicast group (docs/compatibility.md, "Ways to the daemon",
"Discovery by the client").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectError, DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import deferLater
from zope.interface import implementer

from flom.client.addresses import daemon_host
from flom.client.deferred.discovery import Answer, Asker, choice_warning, connect_to_first, describe
from flom.codes import ReturnCode
from flom.config import Config
from flom.core.group.addresses import Group
from flom.core.group.discovery import ASK_AGAIN, QUIET
from flom.errors import DaemonUnreachable
from flom.net.multicast import NoMulticast
from flom.reactor.endpoints import stream_endpoint
from flom.text import reason


@implementer(IStreamClientEndpoint)
class GroupEndpoint:
    """
    Leads to the daemon of a group.

    If a unicast address is configured too, the daemon is looked for there first
    (docs/compatibility.md, "Who starts a daemon").

    @ivar is_orphaned: whether to look for the successor of a daemon that we hold a lock of.
    """

    _NOBODY: ClassVar = "no daemon answers in {group}"

    def __init__(
        self,
        reactor: Any,
        config: Config,
        group: Group,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        *,
        may_elect: bool = False,
        remembers: bool = False,
    ) -> None:
        """
        @param say: told what is done.
        @param warn: told what the user should know.
        @param may_elect: whether somebody is to be elected, by L{_elect}, if nobody answers.
        @param remembers: whether to connect to the same daemon again, without asking who leads, until L{forget}.
        """
        self._reactor = reactor
        self._config = config
        self._group = group
        self._say = say
        self._warn = warn
        self._may_elect = may_elect
        self._remembers = remembers
        self._leader: list[Answer] = []  # the one that we remember, if we do
        self._was_connected = False
        timing = config.timing
        self._takeover = timing.patience + timing.campaign + 0.5  # seconds, for those who stand by; and some more
        self.is_orphaned = False

    @property
    def peer(self) -> str:
        """Names the daemon to a user."""
        return f"the daemon of {self._group}"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See L{IStreamClientEndpoint.connect}.

        @return: may fire with L{DaemonUnreachable} or L{NoMulticast}.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    def forget(self) -> None:
        """Ask who leads the next time: the daemon has gone, or does not lead any more."""
        self._leader = []

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        if self._leader:
            try:
                return await connect_to_first(self._reactor, self._leader, factory, self._say)
            except DaemonUnreachable:
                self.forget()
        give_up = self._reactor.seconds() + self._takeover
        connected = None
        while connected is None:
            if self._config.unicast_address and not self._was_connected:  # who has sent us away may be standing by
                connected = await self._connect_directly(factory)
            if connected is None:
                answers = await self._find()
                if warning := choice_warning(answers, self._group):
                    self._warn(warning)
                self._say(f"{self._group} is led by {describe(answers[0])}")
                try:
                    connected = await connect_to_first(self._reactor, answers, factory, self._say)
                    self._leader = answers[:1] if self._remembers else []
                except DaemonUnreachable:
                    if self._reactor.seconds() > give_up:
                        raise
                    await deferLater(self._reactor, ASK_AGAIN)  # it has ended since it answered
        self._was_connected = True
        return connected

    async def _connect_directly(self, factory: IProtocolFactory) -> IProtocol | None:
        """Try the unicast address; C{None} if nobody is there and a daemon may be started."""
        config = self._config
        endpoint = stream_endpoint(self._reactor, daemon_host(config), config.unicast_port)
        try:
            connected: IProtocol = await endpoint.connect(factory)
        except (ConnectError, DNSLookupError, OSError, ValueError) as e:
            if not self._may_elect:
                raise DaemonUnreachable(
                    ReturnCode.CONNECT_ERROR, f"{config.unicast_address}: no daemon is listening: {e}"
                ) from e
            return None
        return connected

    async def _find(self) -> list[Answer]:
        """Ask for the daemon, and see that there is one, if allowed; give the answers of those that lead."""
        config = self._config
        try:
            asker = Asker(self._group, self._reactor, self._say, orphaned=self.is_orphaned)
            with asker:
                if self._was_connected:  # it has gone; another one may be about to take its place
                    answers = await asker.ask_often(round(self._takeover / ASK_AGAIN), ASK_AGAIN)
                elif self._may_elect:
                    answers = await asker.ask(QUIET)
                else:
                    answers = await asker.ask_often(config.discovery_attempts, config.discovery_timeout_ms / 1000)
                if not answers and asker.problem is not None:
                    raise asker.problem
                if not answers:
                    self._say(f"no reply from {self._group.address}/{self._group.port}")
                if not answers and self._may_elect:
                    answers = await self._elect(asker)
        except CannotListenError as e:
            raise NoMulticast(f"{self._group}: {reason(e.socketError)}") from e
        if not answers:
            raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, self._NOBODY.format(group=self._group))
        return answers

    async def _elect(self, asker: Asker) -> list[Answer]:
        """See that somebody is elected; give the answers of those that lead then."""
        raise NotImplementedError
