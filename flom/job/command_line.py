"""
The command line of C{flom-run}, and of C{flom}, for which it is read as GLib reads FLoM's
(docs/compatibility.md, "Parsing of options").
"""

from __future__ import annotations

from flom.config import RUNNER, SETTINGS, Setting, flock_hint
from flom.config.parsers import read_timeout
from flom.errors import ConfigError
from flom.text import likeness

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_HELP: Final = frozenset({"-h", "-?", "--help"})


def _action(field: str, option: str, help: str, *, takes_value: bool = False) -> Setting:
    """Return what a command line can ask for, and no file."""
    return Setting(option, "", None, help, str if takes_value else None, str, RUNNER, field=field)


_CONFIG_FILE: Final = _action("config_file", "-c, --config-file", "a configuration file, read last", takes_value=True)
_WITHOUT_COMMAND: Final = (
    _action("version", "-v, --version", "show the version"),
    _action("signal_list", "--signal-list", "list the signals"),
    _action("quiesce", "-x, --quiesce-exit", "end the daemon as soon as no client needs it"),
    _action("immediate", "-X, --immediate-exit", "end the daemon at once"),
    _action("show_config", "--show-config", "print the configuration that files, environment and options make"),
    _action("unique_id", "--unique-id", "show the unique id that this host sends to daemons"),
    _action(
        "debug_feature",
        "--debug-feature",
        "try ipv6.multicast.server, ipv6.multicast.client, tls.server or tls.client",
        takes_value=True,
    ),
)
"""What a command line can ask for instead of a command."""

_SHELL: Final = _action("shell", "--shell", "a command line for /bin/sh, instead of COMMAND", takes_value=True)
_KEPT: Final = (
    _action(
        "once_per",
        "--once-per",
        "do not run it if a host has finished it well within PERIOD: 12h, 90m",
        takes_value=True,
    ),
    _action("key", "--key", "which job --once-per means, if the resource has several", takes_value=True),
    _action("skip_ok", "--skip-ok", "exit with 0, not 92, and say nothing, where --once-per runs nothing"),
    _action("value", "--value", "the resource's value from now on, if the command ends with 0", takes_value=True),
    _action("read_value", "--read-value", "tell the command the resource's value, in FLOM_VALUE"),
)
"""What is kept with the resource beyond the lock (L{flom.job.kept})."""

_ADOPT: Final = _action("adopt", "--adopt", "run it under a hold: what flomctl hold has printed", takes_value=True)

_ACTIONS: Final = (
    *_WITHOUT_COMMAND,
    _CONFIG_FILE,
    _SHELL,
    *_KEPT,
    _ADOPT,
)  # under the names of the fields of CommandLine
TIMEOUT: Final = Setting(
    *(
        "--timeout",
        "",
        None,
        "seconds to wait at most: 0.5, 2m; 0: do not wait",
        read_timeout,
        str,
        RUNNER,
    ),
    field="timeout_ms",
)
NOT_OF_FLOM: Final = frozenset(
    {
        *("on_lost", "kill_after_ms", "history", "status_file", "nested", "max_hold_ms", "lock_delay_ms"),
        *("notify_wanted", "adopt", *(setting.field for setting in _KEPT)),
    }
)
"""Fields of the options that C{flom} does not have; others that FLoM does not have are no harm there."""

OPTIONS: Final = (*_ACTIONS, TIMEOUT, *(setting for setting in SETTINGS if RUNNER in setting.programs))
"""All but those for the help text."""

_BY_WORD: Final = {word: setting for setting in OPTIONS for word in (f"-{setting.short}", f"--{setting.long}")}


class CommandLine:
    """
    What was asked for; the fields that no C{@ivar} names are those of the options with the same names.

    @ivar options: settings and their texts, in the order in which they were given.
    @ivar instead: the option, as it was given last, that asks for something else than a command.
    @ivar command: the words of COMMAND.
    @ivar help_all: whether the help text is to have all options.
    @ivar immediate: whether to end the daemon at once; this counts if C{quiesce} is given too.
    """

    def __init__(self) -> None:
        self.options: list[tuple[Setting, str]] = []
        self.instead: tuple[str, Setting] | None = None
        self.config_file: str | None = None
        self.command: list[str] = []
        self.help = False
        self.help_all = False
        self.version = False
        self.signal_list = False
        self.show_config = False
        self.shell: str | None = None
        self.unique_id = False
        self.quiesce = False
        self.immediate = False
        self.debug_feature: str | None = None
        self.once_per: str | None = None
        self.key: str | None = None
        self.skip_ok = False
        self.value: str | None = None
        self.read_value = False
        self.adopt: str | None = None

    @property
    def concerns_kept(self) -> bool:
        """True if something is asked for that is kept with the resource; see L{flom.job.kept}."""
        return not (self.once_per is self.key is self.value is None) or self.skip_ok or self.read_value


def parse(words: Sequence[str], *, as_flom: bool = False) -> CommandLine:
    """
    Read C{words}, the command line without the name of the program.

    Options end at C{--} and at the first word that is none, where COMMAND begins. Unlike with FLoM, C{-rNAME} is the
    same as C{-r NAME}.

    @param as_flom: true to read it as FLoM does: options may stand anywhere before C{--}, a value may look like an
        option, and a command beside C{--version} and the like is left out.
    @raise ConfigError: an option is unknown, has no value or one too many, or excludes the command.
    """
    line = CommandLine()
    rest = list(words)
    while rest and not line.help:
        word = rest.pop(0)
        if word == "--":
            line.command += rest
            break
        if word in _HELP:
            line.help = True
        elif word == "--help=all" and not as_flom:
            line.help = line.help_all = True
        elif word.startswith("--"):
            option, has_value, value = word.partition("=")
            _add(line, option, value if has_value else None, rest, as_flom)
        elif word.startswith("-") and word != "-":
            letters = word[1:]
            while letters and not line.help:
                option, letters = f"-{letters[0]}", letters[1:]
                if option in _HELP:
                    line.help = True
                elif _add(line, option, letters or None, rest, as_flom):
                    break
        else:
            line.command.append(word)
            if not as_flom:
                line.command += rest
                break
    if line.shell is not None:
        if line.command:
            raise ConfigError(f"--shell is instead of a command: leave out --shell or '{line.command[0]}'")
        line.command = ["/bin/sh", "-c", line.shell, "sh"]  # an element of the resource becomes $1
    if line.command and line.instead and not line.help and not as_flom:
        option, setting = line.instead
        what = f"{option} is to {setting.help}, and runs no command: leave out {option} or '{line.command[0]}'"
        raise ConfigError(what + flock_hint(option))
    return line


def _add(line: CommandLine, option: str, value: str | None, rest: list[str], as_flom: bool) -> bool:
    """
    Add to C{line} what C{option}, a word with its dashes, asks for; return whether it takes a value.

    @param value: what is written together with it; without it, the value is the first word of C{rest}.
    """
    setting = _BY_WORD.get(option)
    if setting is None or (as_flom and setting.field in NOT_OF_FLOM):
        raise _cannot_parse(f"unknown option {option}", "" if as_flom else flock_hint(option) or _likeness(option))
    takes_value = setting.from_option is not None
    if not as_flom and not takes_value and value is not None and option.startswith("--"):
        raise _cannot_parse(f"{option} takes no value, '{value}'", "")
    if takes_value and value is None:
        if not rest:
            raise _cannot_parse(f"missing argument for {option}", flock_hint(option))
        value = rest.pop(0)
        if not as_flom and _looks_like_an_option(value):
            raise _cannot_parse(f"missing argument for {option}, before '{value}'", flock_hint(option))
    if setting in _ACTIONS:
        setattr(line, setting.field, value if takes_value else True)
        if setting in _WITHOUT_COMMAND:
            line.instead = option, setting
    else:
        line.options.append((setting, value or ""))
    return takes_value


def _looks_like_an_option(word: str) -> bool:
    """Return whether C{word} is no value, unless it is attached to its option: it begins with a dash and no number."""
    return word.startswith("-") and word != "-" and not word[1].isdigit()


def _likeness(option: str) -> str:
    """Return what ends a message about C{option}, with its dashes, which does not exist."""
    known = [word for word in _BY_WORD if word.startswith("--")] if option.startswith("--") else []
    return f"; {likeness(option, known)}"


def _cannot_parse(why: str, hint: str) -> ConfigError:
    return ConfigError(why + hint, flom_line=f"option parsing failed: {why[0].upper()}{why[1:]}")
