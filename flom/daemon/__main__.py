"""
The daemon that was started for a command; the arguments are those of C{twistd flom}.

It is the same service, and logs to syslog. But a user waits for it: it imports what it needs, and nothing else.
"""

from __future__ import annotations

import gc
import os
import sys
from itertools import pairwise

from flom.daemon.independence import become_ordinary, heed_signals, move_to_scope
from flom.errors import FlomError
from flom.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from flom.net.campaign import Campaign

_READY: Final = b"0"


def main(words: Sequence[str]) -> None:
    """Become a daemon; the process that was called ends when that is ready, with status 0, or cannot be, with 1."""
    gc.disable()  # what is imported is there to stay
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # signals that the starter has blocked (flom.client.blocking.launch)
    become_ordinary()
    ready = _detach()  # before the imports: a process of little memory is forked faster
    heed_signals()
    campaign = _begin_campaign(words)

    from contextlib import nullcontext
    from typing import cast

    from flom.daemon.slim_imports import lean_imports

    may_need_tls = any(word.startswith(("--tls-", "--http")) for word in words)
    with nullcontext() if may_need_tls else lean_imports():
        from twisted.internet import reactor as the_reactor
        from twisted.python.log import startLoggingWithObserver
        from twisted.python.syslog import SyslogObserver

        from flom.interfaces import IReactor
        from flom.tap import Options, makeService

        reactor = cast(IReactor, the_reactor)
        options = Options()
        options.campaign = campaign
        options.parseOptions(words)
        service = makeService(options)
    os.umask(0o077)  # as twistd has it
    startLoggingWithObserver(SyslogObserver("flom").emit)
    try:
        service.privilegedStartService()
        service.startService()
    except Exception as e:
        print(f"twistd flom: {e!r}", file=sys.__stderr__)  # sys.stderr is the log by now
        raise
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    gc.enable()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)  # the starter waits for the end of our error lines
    os.close(nothing)
    try:
        os.write(ready, _READY)
    except BrokenPipeError:
        pass  # the starter was interrupted; others may be about to connect
    os.close(ready)
    reactor.run()


def _begin_campaign(words: Sequence[str]) -> Campaign | None:
    """Begin the campaign for which this daemon was started, if it was for that, while the rest is imported."""
    given = dict(pairwise(words))
    if "--starter" not in given or given["--interface"] == "lo":  # where no election is
        return None

    from flom.core.group.timing import DEFAULT_TIMING
    from flom.net.campaign import Campaign
    from flom.net.multicast import make_group

    timing = DEFAULT_TIMING
    if "--election-time" in given:
        timing = timing.replace(campaign=int(given["--election-time"]) / 1000)
    try:
        group = make_group(
            given["--group"],
            int(given["--port"]),
            given["--interface"],
            int(given["--discovery-ttl"]),
            given.get("--group-key", ""),
            is_key_required="--group-key-required" in words,
        )
        return Campaign(group, timing)
    except FlomError:
        return None  # which the daemon will say


def _detach() -> int:
    """
    Go on in a process without terminal, waiting parent and directory that it would keep busy.

    @return: what to write to when the daemon is ready.
    """
    os.chdir("/")
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os._exit(0 if os.read(reading, 1) == _READY else 1)
    os.close(reading)
    os.setsid()
    if daemon := os.fork():
        try:
            move_to_scope(daemon)  # meanwhile, the daemon starts
        finally:
            os._exit(0)
    return writing


if __name__ == "__main__":
    main(sys.argv[1:])
