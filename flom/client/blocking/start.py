"""
Whether a daemon is to be started, or elected, by an L{Acquirer} that has found none, and waiting for it
(docs/compatibility.md, "Who starts a daemon"). How that is done is in L{flom.client.blocking.launch}.
"""

from __future__ import annotations

from time import monotonic

from flom.client.addresses import peer_of
from flom.client.blocking import launch
from flom.client.blocking.dial import Seek, pause
from flom.client.blocking.launch import MOST_STARTS, START_TIMEOUT, KilledAtStart, not_started
from flom.client.blocking.stream import NEVER
from flom.client.retry import BACK_OFF, LONG_RETRY, RETRY
from flom.codes import ReturnCode
from flom.errors import DaemonUnreachable, LockTimeout
from flom.net.claim import CannotClaim
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.dial import NoDaemon
    from flom.client.blocking.launch import Candidate

_POLL: Final = 0.02  # seconds between two questions while we have a candidate

_trace = tracer("client")


class Starter:
    """Starts daemons, or candidates, until there is one, or there were too many."""

    def __init__(self, acquirer: Acquirer, began: float) -> None:
        """@param began: when a daemon was looked for first, as a time of C{time.monotonic}."""
        self._acquirer = acquirer
        self._began = began
        self._starts = 0

    def check(self, error: NoDaemon) -> None:
        """Raise L{DaemonUnreachable} if no daemon is to be started because of C{error}, or that was of no use."""
        acquirer = self._acquirer
        if not acquirer.may_start:
            raise error
        peer = peer_of(acquirer.config)
        if not acquirer.can_start:
            what = str(error) if acquirer.is_in_group else f"{peer}: no daemon is listening"
            why = f"{what}, and daemon-lifespan 0 forbids to start one"
            raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, why) from error
        if self._starts >= MOST_STARTS:
            raise not_started(f"{peer}: a daemon was started {self._starts} times, and does not listen") from error

    def start(self) -> bool:
        """
        Start a daemon at a fixed address, unless another program is doing so.

        @return: whether that may be of use; it is not if the address is another host's, at which we have waited.
        @raise DaemonUnreachable: it cannot be started.
        """
        acquirer = self._acquirer
        peer = peer_of(acquirer.config)
        try:
            started = launch.start_daemon(acquirer.config, acquirer.hooks.warn)
        except launch.ToComeBack as e:
            if not acquirer.budget.has_told:
                acquirer.budget.has_told = True
                what = f"{peer} belongs to a daemon that is to come back"
                acquirer.hooks.say(f"{what}: waiting for it, for {e.left:.0f} s at most")
            pause(RETRY, acquirer.deadline)
            return True
        except CannotClaim as e:
            if not e.is_taken and acquirer.config.unicast_address and acquirer.budget.has_waited:
                return False
            if not e.is_taken or monotonic() > self._began + START_TIMEOUT:
                raise launch.cannot_claim(e) from e
            pause(launch.RETRY, acquirer.deadline)
            return True
        try:
            self._starts += 1
            acquirer.hooks.say(f"no daemon at {peer}, starting one{launch.without_state()}")
            if not started.wait(monotonic() + START_TIMEOUT, acquirer.hooks.pass_on):
                raise not_started(f"{peer}: the daemon was not ready within {START_TIMEOUT:g} s")
        except KilledAtStart as e:
            if not acquirer.waits_on or self._starts >= MOST_STARTS:
                raise
            acquirer.hooks.say(f"{e}, trying again")
        finally:
            started.close()
        if not acquirer.budget.has_waited:
            acquirer.limit_wait()
        return True

    def elect(self) -> None:
        """
        Start a candidate and wait until it is elected, or until another one has been, here or on another host.

        Of the programs of one host, one at a time has a candidate; the others go on asking.
        """
        from flom.client.blocking.discovery import Asker
        from flom.core.group.discovery import QUIET, Search
        from flom.net.multicast import group_of

        acquirer = self._acquirer
        config, hooks = acquirer.config, acquirer.hooks
        group = group_of(config)
        reclaims = acquirer.seek == Seek.TO_RECLAIM
        began = monotonic()
        give_up = START_TIMEOUT + launch.campaign_of(config)
        stand_again = 0.0
        candidate: Candidate | None = None
        self._starts += 1
        try:
            search = Search(group, orphaned=reclaims, holder=acquirer.holder)
            with Asker(search, NEVER, _trace.debug) as asker:
                while not asker.finish():  # at first, nobody is asked again
                    took = monotonic() - began
                    if candidate is not None and candidate.has_ended:
                        candidate.close()
                        candidate = None
                        acquirer.limit_wait()
                        stand_again = took + config.timing.patience  # there is a leader, who should answer
                    if candidate is None and took >= stand_again:
                        candidate = launch.stand_for_election(config, group)
                        if candidate is not None:
                            hooks.say(f"no daemon leads {group}: standing for election{launch.without_state()}")
                    try:
                        if candidate is not None and candidate.check(hooks):
                            break
                    except KilledAtStart as e:
                        self._starts += 1
                        if candidate is None or not acquirer.waits_on or self._starts > MOST_STARTS:
                            raise
                        hooks.say(f"{e}, trying again")
                        candidate.close()
                        candidate = None
                    patience = _POLL
                    if candidate is None:  # another program of this host has one; our user's timeout runs on meanwhile
                        if not reclaims:
                            patience = min(max(QUIET, took * BACK_OFF), LONG_RETRY)
                        patience = min(patience, acquirer.deadline - monotonic())
                        if patience <= 0:
                            raise LockTimeout("too late")
                    if took > give_up:
                        raise not_started(f"{group}: no daemon was elected within {give_up:g} s")
                    search.ask(patience)
                if candidate is not None and not candidate.has_ended:
                    try:
                        candidate.check(hooks)  # it may lead since a moment ago
                    except DaemonUnreachable:
                        pass  # another one leads, so that does not matter
        finally:
            if candidate is not None:
                candidate.close()
        if candidate is not None:
            acquirer.limit_wait()
