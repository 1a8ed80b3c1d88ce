"""
How a daemon is started for a command: where it listens, what it is told, whether it has come up
(docs/compatibility.md, "Who starts a daemon", "Start of a daemon").

Whoever starts it listens on the address and hands the socket on. So of many starters one wins, at once; the others can
connect from then on, and wait in the kernel until the daemon serves them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from flom.client.addresses import daemon_host
from flom.codes import ReturnCode
from flom.config import DAEMON, SETTINGS, Config
from flom.errors import DaemonUnreachable
from flom.net.claim import OPEN, PRIVATE, Claim, claim_tcp, claim_unix
from flom.run.output import complain

START_TIMEOUT: Final = 30.0
"""
Seconds that a daemon has to start, whoever starts it (docs/compatibility.md,
"A starter waits for its daemon for ever").
"""

MOST_STARTS: Final = 10
"""A daemon with a short lifespan may have ended before whoever started it is connected; not so often, though."""

RETRY: Final = 0.02
"""Seconds until the next attempt; for the moment until another starter listens."""

COMPLAINT: Final = "twistd flom: "
"""How a line begins that C{twistd flom} writes to stderr."""

_TOLD_OTHERWISE: Final = frozenset(
    {
        "lifespan_ms",  # always, because a daemon has another default
        "socket_name",  # where it listens, and in which group, by what it inherits and by options of its own
        "unicast_address",
        "unicast_port",
        "multicast_address",
        "multicast_port",
        "network_interface",
        "discovery_ttl",
        "listen",  # not at all: it is for daemons that nobody starts for a command
    }
)
"""Fields of L{Config} that a daemon does not get as we have them."""

Unblocked = Callable[[], AbstractContextManager[None]]
"""Makes a context in which processes may be made, see L{flom.job.signals.SignalWatch.unblocked}."""


def check_may_start(config: Config, peer: str, starts: int) -> None:
    """
    Check that a daemon may be started.

    @param starts: how often that was done before.
    @raise DaemonUnreachable: the user does not want it, or it was of no use.
    """
    if starts >= MOST_STARTS:
        raise DaemonUnreachable(
            ReturnCode.DAEMON_NOT_STARTED, f"{peer}: a daemon was started {starts} times, and does not listen"
        )
    if config.lifespan_ms == 0:
        raise DaemonUnreachable(
            ReturnCode.CONNECT_ERROR, f"{peer}: no daemon is listening, and daemon-lifespan 0 forbids to start one"
        )


def claim_place(config: Config) -> Claim:
    """
    Listen where C{config} wants the daemon.

    @raise flom.net.claim.CannotClaim: somebody else does, or it is not possible.
    """
    if config.unicast_address:
        return claim_tcp(daemon_host(config), config.unicast_port)
    return claim_unix(config.socket_path, OPEN if config.socket_name else PRIVATE)


def daemon_words(config: Config, options: Sequence[str]) -> list[str]:
    """
    Give the words that start a daemon.

    @param options: of C{twistd flom}, beside those that follow from C{config}.
    """
    if config.daemon_trace_file:
        config = config.replace(daemon_trace_file=os.path.abspath(config.daemon_trace_file))
    if config.mount_point:
        config = config.replace(mount_point=os.path.abspath(config.mount_point))
    words = [sys.executable, "-m", "flom.daemon", "--daemon-lifespan", str(config.lifespan_ms), *options]
    for setting in SETTINGS:
        is_used = config.is_tls or setting.place[0] != "TLS"  # a daemon would refuse half of TLS's files
        if DAEMON in setting.programs and setting.field not in _TOLD_OTHERWISE and is_used:
            words += setting.as_option(config)
    return words


def check_ready(exit_code: int | None, how: str, complaint: bytes) -> None:
    """
    Pass on what the daemon complains of.

    @param exit_code: what the process has exited with that was to start it; C{None} if a signal ended it.
    @param how: says so.
    @param complaint: what it wrote to stderr.
    @raise DaemonUnreachable: it has not come up.
    """
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    if exit_code != 0:
        why = lines[-1] if lines else how
        raise DaemonUnreachable(ReturnCode.DAEMON_NOT_STARTED, f"the daemon did not start: {why}")
    for line in lines:
        if line.startswith(COMPLAINT):
            complain(line)


def not_ready(peer: str) -> DaemonUnreachable:
    """Make the error that tells that L{START_TIMEOUT} is over."""
    return DaemonUnreachable(
        ReturnCode.DAEMON_NOT_STARTED, f"{peer}: the daemon was not ready within {START_TIMEOUT:g} s"
    )


class Launch:
    """A daemon that is being started, to serve a claim."""

    def __init__(self, config: Config, claim: Claim, unblocked: Unblocked) -> None:
        descriptors = claim.descriptors()
        with unblocked():
            self._process = subprocess.Popen(
                daemon_words(config, ["--inherit", ",".join(map(str, descriptors))]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",  # the daemon keeps no directory busy, and imports nothing from where we happen to be
                pass_fds=descriptors,
            )

    def wait(self, peer: str) -> None:
        """
        Wait until it is ready.

        @param peer: names it in errors.
        @raise DaemonUnreachable: it cannot be, or takes too long.
        """
        try:
            _, complaint = self._process.communicate(timeout=START_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise not_ready(peer) from None
        code = self._process.returncode
        how = f"it was ended by signal {-code}" if code < 0 else "it has ended"
        check_ready(code if code >= 0 else None, how, complaint)
