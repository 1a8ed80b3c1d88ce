"""
What C{python -m flom.client.deferred} does: a command under a lock, as every Twisted program takes one.

It starts no daemon and elects none, and reports nothing for C{-V}. Options that are for no command, such as
C{--quiesce-exit}, are C{flom-run}'s alone.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from flom.acquisition import limit
from flom.client.deferred.arbiter import RemoteArbiter
from flom.client.deferred.connect import connect
from flom.codes import ExitStatus
from flom.config import SIGNAL_NAMES, Config, forget_place, load, override
from flom.errors import Closed, ConfigError, FlomError
from flom.job.command_line import parse
from flom.job.environment import inherited_environment
from flom.job.forwarding import Forwarding, ignore_signals
from flom.job.on_wanted import in_use
from flom.job.signals import SignalWatch
from flom.job.status import leave
from flom.job.wording import Wording, status_for, unmeant_set
from flom.reactor.clock import make_monotonic
from flom.text import one_line
from flom.trace import start_trace


def run(words: Sequence[str], watch: SignalWatch, descriptors: Collection[int]) -> NoReturn:
    """
    Do what the command line C{words} says, and exit with the status.

    @param descriptors: those that the command gets beside stdin, stdout and stderr.
    """
    try:
        line = parse(words)
        with watch.unblocked():  # a file may be a pipe that says nothing for long
            config = load(line.config_file, os.environ, print_error)
            config = forget_place(config, [setting.field for setting, _ in line.options])
            config = override(config, line.options, print_error)
            config.check_type()
            if [setting.field for setting, _ in line.options].count("resource_name") > 1:
                raise ConfigError("resource-name: several locks at once (-r) are an option of flom-run alone")
            if line.concerns_kept:
                raise ConfigError("once-per, value: they are options of flom-run alone")
            if line.adopt is not None:
                raise ConfigError("adopt: it is an option of flom-run alone")
            if config.wanted_by is not None and config.wanted_by in [("fd", number) for number in descriptors]:
                raise in_use(config.wanted_by[1])
            if warning := unmeant_set(config):
                print_error(f"warning: {warning}")
        start_trace(config.command_trace_file, config.append_trace_file, os.environ, print_error)
    except ConfigError as e:
        print_error(str(e))
        sys.exit(ExitStatus.ERROR)
    if line.help:
        from flom.job.help import usage

        print(usage("python -m flom.client.deferred", is_all=line.help_all))
        sys.exit(ExitStatus.OK)
    if not line.command:
        print_error("No command to execute!")
        sys.exit(ExitStatus.CANNOT_EXECUTE)
    react(lambda reactor: Deferred.fromCoroutine(_exit_with(reactor, config, line.command, watch, descriptors)))
    raise AssertionError("react has come back")


def print_error(text: str) -> None:
    """Print C{text} to stderr in one line, even if it quotes values with line feeds."""
    print(one_line(text), file=sys.stderr, flush=True)


async def _exit_with(
    reactor: Any, config: Config, command: Sequence[str], watch: SignalWatch, descriptors: Collection[int]
) -> NoReturn:
    make_monotonic(reactor)
    running: Deferred[None] = Deferred()
    reactor.callWhenRunning(running.callback, None)
    await running  # it has installed handlers of its own, which the watch replaces
    locks: RemoteArbiter | None = None

    def end(status: int) -> None:
        """Say goodbye, and exit."""
        if locks is not None:
            locks.close()
        leave(status)

    def warn(text: str) -> None:
        print_error(f"flom.client.deferred: warning: {text}")

    forwarding = Forwarding(config.ignored_signals, warn=warn, end=end)
    spawn_process = reactor.spawnProcess

    def spawn_unblocked(*arguments: Any, **options: Any) -> Any:
        with watch.unblocked():  # the command would inherit that they are blocked
            return spawn_process(*arguments, **options)

    reactor.spawnProcess = spawn_unblocked
    wording = Wording("flom.client.deferred", config)
    try:
        watch.start(lambda number, from_terminal: reactor.callFromThread(forwarding.receive, number, from_terminal))
        locks = await limit(connect(reactor, config), config.timeout or None, reactor, "")
        child = await locks.spawn(
            config.resource_name,
            command,
            config.lock_mode,
            childFDs={number: number for number in (0, 1, 2, *descriptors)},
            env=inherited_environment(),
            inherit=not config.close,
            quantity=config.quantity,
            create=config.create,
            lifespan=config.idle_lifespan_ms / 1000,
            timeout=config.timeout,
            max_hold=config.max_hold_ms / 1000 or None,
            lock_delay=None if config.lock_delay_ms < 0 else config.lock_delay_ms / 1000,
            notify_wanted=config.notify_wanted,
            nested=config.nested,
        )
    except FlomError as e:
        status = status_for(e, config.conflict_exit_code)
        if status != 0 and not isinstance(e, Closed):  # the latter by ourselves, because a signal ends us
            print_error(wording.refused(e))
        sys.exit(status)

    def send(number: int, to_group: bool) -> None:
        if to_group and child.code is None:
            os.killpg(child.pid, number)
        else:
            child.signal(number)

    child.warn = warn
    forwarding.note_start(child.pid, send)
    for number in ignore_signals(config.ignored_signals):
        print_error(f"Warning: couldn't ignore signal {number}:{SIGNAL_NAMES[number - 1]}")
    has_acted = False

    def act_on_loss(why: FlomError) -> None:
        nonlocal has_acted
        print_error(wording.lost(why))
        if config.lost_signal is None or child.code is not None:
            return
        has_acted = True
        child.signal(config.lost_signal)
        if config.kill_after is not None:
            child.signal(signal.SIGCONT)  # one that is stopped would not end
            reactor.callLater(config.kill_after, child.signal, signal.SIGKILL)

    child.held.lost.addCallback(act_on_loss)
    status = await child.exited
    assert child.code is not None
    forwarding.note_end(child.code)
    if has_acted and (config.kill_after is not None or child.code == -(config.lost_signal or 0)):
        sys.exit(ExitStatus.LOST)
    if child.code < 0:
        leave(child.code)
    sys.exit(status or (ExitStatus.LOST if child.held.is_lost else ExitStatus.OK))
