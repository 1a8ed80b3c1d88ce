"""The actions of the command line, in FLoM's order (docs/compatibility.md, "Order of actions")."""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper

from flom._version import __version__
from flom.codes import ExitStatus, ReturnCode
from flom.config import RUNNER, SETTINGS, SIGNAL_NAMES, Config, flock_hint, forget_place, load, override
from flom.core.modes import EX
from flom.core.names import parse_name
from flom.errors import ConfigError, FlomError, NoProcess
from flom.job.command_line import CommandLine, parse
from flom.job.signals import ENDING, SignalWatch
from flom.job.status import leave, status_after
from flom.job.wording import Wording, status_for, unmeant_set
from flom.lean import socket
from flom.net.machine_id import unique_id
from flom.run.terminal import be_quiet, name_program, print_bug, print_error, tell, warn
from flom.text import reason
from flom.trace import start_trace, tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Final

    from flom.config import Setting
    from flom.job.adoption import Adoption
    from flom.job.kept import KeptWishes

_VERSION_OF_FLOM = f"""\
FLoM: Free Lock Manager
Copyright (c) 2026 the FLoM on Twisted authors
License: MIT
Package name: flom; package version: 1.7.2; release date: 2024-03-02
TLS supported protocol(s): TLS 1.2, TLS 1.3
Access https://github.com/tiian/flom for project community activities
Documentation is available at http://www.tiian.org/flom/
This is no part of that project, but FLoM on Twisted {__version__}, which does what FLoM 1.7.2 does"""

_VERSION = f"""\
flom-run {__version__} (txflom: FLoM on Twisted), which does what FLoM 1.7.2 does
Documentation: https://txflom.readthedocs.io"""

_ONE_LOCK: Final[list[list[tuple[Setting, str]]]] = []  # no lock has options of its own

_trace = tracer("config")


def run(program: str, words: Sequence[str], watch: SignalWatch) -> int:
    """
    Do what the command line C{words} says.

    @param program: the name that we were called by.
    @return: what to exit with (docs/compatibility.md, "Exit statuses"); -N for death by signal N.
    """
    name_program(program)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path need not be text
    try:
        line = parse(words, as_flom=program == "flom")
        if _inform(program, line):
            return ExitStatus.OK
        with watch.unblocked():  # a file may be a pipe that says nothing for long
            configs = configure(program, line)
        kept = kept_wishes(line, configs[0])
        if kept is not None and len(configs) > 1:
            raise ConfigError("--once-per, --value and --read-value are for one lock, and there are several (-r)")
        adoption = adoption_of(line, configs[0])
    except ConfigError as e:
        if program == "flom":
            for said in e.on_stdout:
                tell(said)
            print_error(e.flom_line)
        else:
            print_error(f"{program}: {e}")
        return ExitStatus.ERROR
    try:
        return _act(program, line, configs, watch, kept, adoption)
    except Exception as e:
        if isinstance(e, OSError) and e.errno in (errno.EMFILE, errno.ENFILE):
            print_error(f"{program}: {reason(e)}: raise the limit (ulimit -n), or close files that are not needed")
        elif isinstance(e, NoProcess):
            print_error(f"{program}: {e}")
        else:
            print_bug(e)
        return ExitStatus.ERROR if line.debug_feature is None else ExitStatus.DEBUG_FAILED


def _act(
    program: str,
    line: CommandLine,
    configs: Sequence[Config],
    watch: SignalWatch,
    kept: KeptWishes | None,
    adoption: Adoption | None = None,
) -> int:
    """Do what C{line} asks for, with what L{configure} has returned; return what to exit with."""
    config = configs[0]

    def end(status: int) -> None:
        leave(_for_program(program, status))

    def end_by(number: int, from_terminal: bool) -> None:
        if number in ENDING:
            end(-number)

    if line.debug_feature is not None:
        from flom.run.debug import try_feature

        watch.start(end_by)
        return try_feature(line.debug_feature, config)
    if line.show_config:
        return ExitStatus.OK
    if line.quiesce or line.immediate:
        watch.start(end_by)
        return _shut_down(program, config, line.immediate)
    if not line.command:
        print_error("No command to execute!" if program == "flom" else f"{program}: no command to execute; see --help")
        return ExitStatus.CANNOT_EXECUTE

    from flom.run.runner import Runner  # what only informs need not wait for its import

    if adoption is not None:
        config, configs = adoption.config, (adoption.config,)
    waits_on, wording = program != "flom", _wording(program, *configs)
    runner = Runner(
        config,
        line.command,
        wording,
        waits_on=waits_on,
        end=end,
        kept=kept,
        others=configs[1:],
        adoption=adoption,
    )
    watch.start(runner.signal)
    return _for_program(program, runner.run())


def adoption_of(line: CommandLine, config: Config) -> Adoption | None:
    """Return the hold that C{line} adopts, if any; L{ConfigError} is raised if that makes no sense."""
    if line.adopt is None:
        return None
    from flom.job.adoption import Adoption  # which few commands need

    return Adoption(line, config)


def kept_wishes(line: CommandLine, config: Config) -> KeptWishes | None:
    """Return what C{line} wants of what is kept with the resource; L{ConfigError} is raised if that is not possible."""
    if not line.concerns_kept:
        return None
    from flom.job.kept import KeptWishes  # which few commands need

    return KeptWishes(line, config)


def _shut_down(program: str, config: Config, immediate: bool) -> int:
    """Order the daemon to end, if there is one; return the status to exit with."""
    from flom.client.blocking.shutdown import shut_down

    tell(f"Starting FLoM daemon {'immediate' if immediate else 'quiesce'} shutdown...")
    try:
        shut_down(config, immediate, warn=warn, say=tell if config.verbose else lambda line: None)
    except FlomError as e:
        print_error(_wording(program, config).refused(e))
        return status_for(e)
    return ExitStatus.OK


def _for_program(program: str, status: int) -> int:
    """Return C{status}; of C{flom}, scripts expect 128 + N and no death by signal N."""
    return status_after(status) if program == "flom" else status


def _wording(program: str, config: Config, *others: Config) -> Wording:
    if others:
        from flom.run.several import WordingOfSeveral  # seldom wanted

        return WordingOfSeveral(program, config, *others)
    if program != "flom":
        return Wording(program, config)

    from flom.job.flom_wording import FlomWording

    return FlomWording(program, config)


def _check_socket_name(name: str) -> None:
    """Raise L{ConfigError} if C{name} is what follows flock's C{-s}: another letter, or the command."""
    if name and "/" not in name and not os.path.exists(name):
        found = [os.path.join(directory, name) for directory in os.get_exec_path()]
        if len(name) == 1 or any(os.access(path, os.X_OK) for path in found):
            why = f"socket-name: '{name}' is taken for no socket, ./{name} would be"
            raise ConfigError(f"{why}{flock_hint('-s')}")


def configure(program: str, line: CommandLine) -> tuple[Config, ...]:
    """
    Read files and options into one configuration, and write what is to be said of it.

    @return: one for each lock that is to be taken; all but the first differ from that in what is locked and how alone.
    """
    as_flom = program == "flom"
    options, for_each = line.options, _ONE_LOCK
    if not as_flom and [setting.field for setting, _ in options].count("resource_name") > 1:
        from flom.run.several import split_options  # seldom wanted

        options, for_each = split_options(options)
    others: list[Config] = []
    warnings: list[str] = []
    is_quiet = False
    try:
        config = load(line.config_file, os.environ, warnings.append, as_flom)
        if as_flom:
            # it has no such options; a file is for flom-run too
            config = config.replace(on_lost="warn", history="", status_file="", notify_wanted="")
            config = config.replace(max_hold_ms=0, lock_delay_ms=-1)
        config = forget_place(config, [setting.field for setting, _ in line.options])
        config = override(config, options, warnings.append, as_flom=as_flom)
        if for_each:
            from flom.run.several import configure_each

            config, *others = configure_each(config, for_each, warnings.append)
        if not as_flom:
            _check_socket_name(config.socket_name)
        is_quiet = config.quiet
    except ConfigError as e:
        is_bad_file = e.code is ReturnCode.G_KEY_FILE_LOAD_FROM_FILE_ERROR
        if is_bad_file and line.config_file is not None and not os.path.exists(line.config_file):
            e.args = (f"{e}{flock_hint('-c')}",)
        raise
    finally:
        for text in warnings:
            if not is_quiet:
                print_error(text if as_flom else f"{program}: warning: {text}")
    start_trace(config.command_trace_file, config.append_trace_file, os.environ, warn)
    is_shown = line.show_config or (as_flom and config.verbose)
    if is_shown or _trace.is_on:
        for setting in SETTINGS:
            shown = setting.show(config)
            _trace.debug("%s", shown)
            if is_shown and RUNNER in setting.programs:
                tell(shown)
                for text in [setting.show(other) for other in others]:
                    if text != shown:
                        tell(text)
    config.check_transport()
    if not as_flom:
        _check_use(line, config, is_one=not others)
        if others:
            from flom.run.several import check_use

            check_use(options, for_each, [config, *others])
    elif config.verbose:
        for text in what_is_ignored(config):
            _warn_as_glib_does(text)
    config.check_tls()
    config.check_election()
    config.check_sessions()
    config.check_type()
    if config.quiet:
        be_quiet()
        config = config.replace(verbose=False)
    for each in (config, *others) if line.command and not as_flom else ():
        if warning := unmeant_set(each):
            warn(warning)
    if config.is_tls_halved:
        warn(f"TLS is not used, it needs {' and '.join(config.missing_tls_files)} too")
    if as_flom:
        config.check_one_host("to FLoM that is one name: flom-run takes the one of them that leads")
        config = config.replace(
            allow_local_shutdown=True,  # a daemon that FLoM starts obeys every client
            keep_place=True,
        )
    return config, *others


def _check_use(line: CommandLine, config: Config, *, is_one: bool) -> None:
    """
    Raise L{ConfigError} if an option of C{line} is of no use with C{config}; what a file says may be for others.

    @param is_one: whether one lock is to be taken.
    """
    given = {setting.field for setting, _ in line.options}
    if line.quiesce or line.immediate or line.debug_feature is not None:
        config.check_one_host("this is for one")
    if is_one:
        check_lock(given, config)
    if "kill_after_ms" in given and config.kill_after is None:
        raise ConfigError("kill-after: it is for --on-lost terminate, which alone is followed by SIGKILL")
    if "network_interface" in given and config.network_interface:
        if not (config.unicast_address or config.multicast_address):
            why = f"network-interface: '{config.network_interface}' is for an address or a group, and there is neither"
            raise ConfigError(f"{why}{flock_hint('-n')}")
        try:
            socket.if_nametoindex(config.network_interface)
        except OSError:
            from flom.net.multicast import check_interface  # seldom wanted

            try:
                check_interface(config.network_interface)
            except ConfigError as e:
                raise ConfigError(f"{e}{flock_hint('-n')}") from None


def check_lock(given: Collection[str], config: Config) -> None:
    """Raise L{ConfigError} if one of C{given}, fields of options, says of a lock what C{config} has no use for."""
    name = parse_name(config.resource_name)
    what = f"'{name.text}', which is {name.type_name},"
    if "lock_mode" in given and config.lock_mode is not EX and not name.has_mode:
        raise ConfigError(f"lock-mode: {what} has no modes; simple and hierarchical resources have")
    if "quantity" in given and config.quantity != 1 and not name.has_quantity:
        raise ConfigError(f"resource-quantity: {what} has no units; numeric resources, such as NAME[5], have")


def what_is_ignored(config: Config) -> list[str]:
    """Return which settings have no effect on the type of the resource (docs/compatibility.md, "Messages")."""
    name = parse_name(config.resource_name)
    number = name.type_number
    texts = []
    if config.lock_mode is not EX and not name.has_mode:
        mode = config.lock_mode.name
        texts.append(f"resource type {number} supports only exclusive mode; lock mode {mode} is ignored")
    if config.quantity != 1 and not name.has_quantity:
        texts.append(f"resource type {number} does not support quantity; {config.quantity} is ignored")
    return texts


def signal_table() -> str:
    """Return the signals, four in a line (docs/compatibility.md, "Values of options")."""
    entries = [f"{number}) {name}\t" for number, name in enumerate(SIGNAL_NAMES, start=1)]
    return "\n".join("".join(entries[start : start + 4]) for start in range(0, len(entries), 4))


def _inform(program: str, line: CommandLine) -> bool:
    """Print what C{line} asks for, if that takes no configuration; return whether that is all."""
    if line.help:
        from flom.job.help import usage

        tell(usage(program, is_all=line.help_all))
    elif line.version or line.signal_list:
        if line.version:
            tell(_VERSION_OF_FLOM if program == "flom" else _VERSION)
        if line.signal_list:
            tell(signal_table())
    elif line.unique_id:
        tell(unique_id())
    else:
        return False
    return True


def _warn_as_glib_does(text: str) -> None:
    """Write C{text} as GLib writes its warnings, in which FLoM says this."""
    from datetime import datetime  # for nothing else

    now = datetime.now().strftime("%H:%M:%S.%f")[:-3]
    try:
        print(f"\n** (flom:{os.getpid()}): WARNING **: {now}: {text}\n", file=sys.stderr, flush=True)
    except OSError:
        pass
