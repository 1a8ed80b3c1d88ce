"""The programs and their options, as their own tables have them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from flom.config import DAEMON, RUNNER, SETTINGS, Config, Setting
from flom.config.groups import GROUPS, title_of, value_name, values_of
from flom.ctl.command_line import make_parser
from flom.job.command_line import NOT_OF_FLOM, OPTIONS
from flom.job.help import DAEMON_HELP, show_default
from flom.tap import NAMES

_FIRST_OF_OURS: Final = "close"
"""The first setting that FLoM does not have; they stand at the end of the table, in the order of C{--verbose}."""

_OURS: Final = {setting.long for setting in SETTINGS[[s.field for s in SETTINGS].index(_FIRST_OF_OURS) :]} | {
    *("show-config", "shell", "timeout")
}


@dataclass(frozen=True)
class Option:
    """
    One option of one program.

    @ivar names: with their dashes, short ones first.
    @ivar value: what stands for its value; the empty string for a flag.
    @ivar key: group and key in a file, C{"[Group] Key"}, or the empty string.
    @ivar default: what an option would say; the empty string if there is none.
    @ivar values: all that the value can be, if that is known.
    """

    names: tuple[str, ...]
    value: str
    help: str
    default: str = ""
    key: str = ""
    is_flom: bool = True
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operand:
    """A word of a command line that is no option."""

    name: str
    help: str


@dataclass
class Program:
    """
    A program, or a command of one.

    @ivar groups: its options, by the titles of their groups.
    """

    name: str
    about: str = ""
    groups: dict[str, list[Option]] = field(default_factory=dict)
    operands: list[Operand] = field(default_factory=list)
    commands: list[Program] = field(default_factory=list)

    def options(self) -> Iterator[Option]:
        """Return the options of all groups."""
        for options in self.groups.values():
            yield from options


def _option_of(setting: Setting, name: str = "", also: str = "", help: str = "", default: str | None = None) -> Option:
    names = [f"-{setting.short}"] if setting.short else []
    names += [f"--{long}" for long in (name or setting.long, also) if long]
    group, key = setting.place
    value = value_name(setting.long)
    return Option(
        tuple(names),
        value,
        help or setting.help,
        (show_default(setting) if value else "") if default is None else default,
        f"[{group}] {key}" if key else "",
        setting.long not in _OURS,
        tuple(values_of(value)),
    )


def _in_groups(options: dict[str, Option]) -> dict[str, list[Option]]:
    """Return options, by their long names in the tables, under the titles of their groups, in the order of those."""
    found = {title: [options[name] for name in names if name in options] for title, names in GROUPS.items()}
    return {title: listed for title, listed in found.items() if listed}


def runner(name: str = "flom-run") -> Program:
    """Return C{flom-run} or C{flom}."""
    listed = [setting for setting in OPTIONS if name != "flom" or setting.field not in NOT_OF_FLOM]
    options = {setting.long: _option_of(setting) for setting in listed}
    options["help"] = Option(("-h", "--help"), "", "show the options that most users need, and end")
    if name == "flom":
        options["help"] = Option(("-h", "--help"), "", "show all options, and end")
    groups = _in_groups(options)
    if name != "flom":
        at = groups["Instead of a command"]
        at.insert(1, Option(("--help=all",), "", "show all options, and end", is_flom=False))
    return Program(name, "run a command under a lock", groups)


def daemon() -> Program:
    """Return C{twistd flom}."""
    options = {}
    for setting in SETTINGS:
        if DAEMON in setting.programs:
            short = NAMES.get(setting.long, "")
            default = {"daemon-lifespan": "-1", "socket-name": ""}.get(setting.long)
            also = setting.long if short else ""
            options[setting.long] = _option_of(setting, short, also, DAEMON_HELP.get(setting.long, ""), default)
    about_file = "a configuration file; options override it, and no other file is read"
    options["config-file"] = Option(("-c", "--config-file"), "FILE", about_file)
    options["help"] = Option(("--help",), "", "show the options, and end")
    options["version"] = Option(("--version",), "", "show the version, and end")
    groups = {{"Instead of a command": "Help"}.get(title, title): each for title, each in _in_groups(options).items()}
    return Program("twistd flom", "lock daemon", groups)


def ctl() -> Program:
    """Return C{flomctl} with its commands."""
    return _from_argparse(make_parser(), "flomctl", "look after lock daemons, and see what they hold")


def _from_argparse(parser: Any, name: str, about: str) -> Program:
    parser.complete()
    program = Program(name, about)
    for group in parser._action_groups:
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
                for command, subparser in action.choices.items():
                    program.commands.append(_from_argparse(subparser, f"{name} {command}", helps[command]))
            elif not action.option_strings:
                program.operands.append(Operand(_name_of(action), (action.help or "").replace("%%", "%")))
            else:
                title = group.title[0].upper() + group.title[1:]
                program.groups.setdefault(title, []).append(_of_action(action))
    return program


def _name_of(action: argparse.Action) -> str:
    """Return C{[NAME]} for what may be left out, C{NAME...} for what may be repeated."""
    name = str(action.metavar or action.dest.upper())
    if action.nargs == argparse.OPTIONAL:
        return f"[{name}]"
    return f"{name}..." if action.nargs == argparse.ONE_OR_MORE else name


def _of_action(action: argparse.Action) -> Option:
    names = sorted(action.option_strings, key=lambda name: name.startswith("--"))
    help = (action.help or "").replace("%%", "%")
    if isinstance(action, argparse._HelpAction | argparse._VersionAction):
        return Option(tuple(names), "", "show this, and end" if "-h" in names else "show the version, and end")
    if action.nargs == 0:
        return Option(tuple(names), "", help)
    choices = tuple(map(str, action.choices)) if isinstance(action.choices, tuple) else ()
    value = str(action.metavar or "|".join(choices) or action.dest.upper())
    default = (
        ""
        if action.default in (None, "", -1)
        else f"{action.default:g}"
        if isinstance(action.default, float)
        else str(action.default)
    )
    setting = getattr(action, "setting", None)
    if setting is not None:
        default = show_default(setting)
    return Option(tuple(names), value, help, default, values=choices or tuple(values_of(value)))


PROGRAMS: Final = {"flom-run": runner, "flom": lambda: runner("flom"), "twistd flom": daemon, "flomctl": ctl}

OWN_KEYS: Final = {f"[{s.place[0]}] {s.place[1]}" for s in SETTINGS if s.long in _OURS}
"""Keys that FLoM does not have."""

KEYS: Final = [setting for setting in SETTINGS if isinstance(getattr(Config, setting.field), Setting)]

__all__ = ["KEYS", "OWN_KEYS", "PROGRAMS", "RUNNER", "Operand", "Option", "Program", "title_of"]
