"""The command line of C{flom-run}, read as GLib reads FLoM's (docs/compatibility.md, "Parsing of options")."""

from __future__ import annotations

from flom.config import RUNNER, SETTINGS, Setting
from flom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_HELP: Final = frozenset({"-h", "-?", "--help"})


def _action(field: str, option: str, help: str, *, takes_value: bool = False) -> Setting:
    """Return what a command line can ask for, and no file."""
    return Setting(option, "", None, help, str if takes_value else None, str, RUNNER, field=field)


_ACTIONS: Final = (  # under the names of the fields of CommandLine
    _action("version", "-v, --version", "show the version"),
    _action("config_file", "-c, --config-file", "a configuration file, read last", takes_value=True),
    _action("signal_list", "--signal-list", "list the signals"),
    _action("quiesce", "-x, --quiesce-exit", "end the daemon as soon as no client needs it"),
    _action("immediate", "-X, --immediate-exit", "end the daemon at once"),
    _action("unique_id", "--unique-id", "show the unique id that this host sends to daemons"),
    _action(
        "debug_feature",
        "--debug-feature",
        "try ipv6.multicast.server, ipv6.multicast.client, tls.server or tls.client",
        takes_value=True,
    ),
)
_OPTIONS: Final = (*_ACTIONS, *(setting for setting in SETTINGS if RUNNER in setting.programs))
_BY_WORD: Final = {word: setting for setting in _OPTIONS for word in (f"-{setting.short}", f"--{setting.long}")}


class CommandLine:
    """
    What was asked for; the fields that no C{@ivar} names are those of the options with the same names.

    @ivar options: settings and their texts, in the order in which they were given.
    @ivar command: the words of COMMAND.
    @ivar immediate: whether to end the daemon at once; this counts if C{quiesce} is given too.
    """

    def __init__(self) -> None:
        self.options: list[tuple[Setting, str]] = []
        self.config_file: str | None = None
        self.command: list[str] = []
        self.help = False
        self.version = False
        self.signal_list = False
        self.unique_id = False
        self.quiesce = False
        self.immediate = False
        self.debug_feature: str | None = None


def parse(words: Sequence[str]) -> CommandLine:
    """
    Read C{words}, the command line without the name of the program.

    Options may stand anywhere before C{--}. Unlike with FLoM, C{-rNAME} is the same as C{-r NAME}.

    @raise ConfigError: an option is unknown or has no value.
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
        elif word.startswith("--"):
            option, has_value, value = word.partition("=")
            _add(line, option, value if has_value else None, rest)
        elif word.startswith("-") and word != "-":
            letters = word[1:]
            while letters and not line.help:
                option, letters = f"-{letters[0]}", letters[1:]
                if option in _HELP:
                    line.help = True
                elif _add(line, option, letters or None, rest):
                    break
        else:
            line.command.append(word)
    return line


def usage(program: str) -> str:
    """Write the help text of C{program}."""
    lines = [
        "Usage:",
        f"  {program} [OPTION...] [-- command to execute]",
        "",
        "Takes a lock, runs the command, releases the lock. The command's last argument is the locked element, if",
        "the resource has elements; FLOM_RESOURCE, FLOM_LOCK_MODE and FLOM_ELEMENT are in its environment.",
        "",
        "Help Options:",
        "  -h, --help                           show this",
        "",
        "Application Options:",
    ]
    for setting in _OPTIONS:
        short = f"-{setting.short}, " if setting.short else "    "
        value = "" if setting.from_option is None else " VALUE"
        lines.append(f"  {short + '--' + setting.long + value:<36} {setting.help}")
    return "\n".join(lines)


def _add(line: CommandLine, option: str, value: str | None, rest: list[str]) -> bool:
    """
    Add to C{line} what C{option}, a word with its dashes, asks for; return whether it takes a value.

    @param value: what is written together with it; without it, the value is the first word of C{rest}.
    """
    setting = _BY_WORD.get(option)
    if setting is None:
        raise ConfigError(f"option parsing failed: Unknown option {option}")
    takes_value = setting.from_option is not None
    if takes_value and value is None:
        if not rest:
            raise ConfigError(f"option parsing failed: Missing argument for {option}")
        value = rest.pop(0)
    if setting in _ACTIONS:
        setattr(line, setting.field, value if takes_value else True)
    else:
        line.options.append((setting, value or ""))
    return takes_value
