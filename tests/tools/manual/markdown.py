"""Options, keys and the like as Markdown: definition lists, which a terminal shows as well as a browser."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import Final

from flom.config import DAEMON, RUNNER, SETTINGS, Setting
from flom.config.groups import value_name
from flom.job.help import show_default
from tests.tools.manual.programs import OWN_KEYS, Option, Program

WIDTH: Final = 100
"""Columns of a line of what is generated."""

_SHARED: Final = ("Place of the daemon", "Network", "TLS", "Group of daemons", "Group", "Quorum")
"""Groups of options that several commands of C{flomctl} have."""


def filled(text: str, first: str = "", others: str = "") -> str:
    """
    Return C{text} in lines that do not end within code.

    @param first: begins the first line; C{others} begin the others.
    """
    kept = re.sub(r"`[^`]+`|\[[^]]+\]\([^)]+\)", lambda code: code[0].replace(" ", "\0"), text)
    lines = wrap(
        kept, WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False, break_long_words=False
    )
    return "\n".join(lines).replace("\0", " ")


def definition(term: str, text: str) -> str:
    """Return an entry of a definition list."""
    return f"{term}\n{filled(text, ': ', '  ')}\n"


def as_text(help: str) -> str:
    """Return a help text as it stands in a page: what Markdown would take for its own is escaped, options are code."""
    return re.sub(r"(?<![\w`-])(--?[A-Za-z][\w-]*)", r"`\1`", help.replace("*", r"\*").replace("<", r"\<"))


def option(each: Option, *, marks_ours: bool = False) -> str:
    """
    Return the entry of an option.

    @param marks_ours: whether to say that FLoM does not have it.
    """
    names = ", ".join(f"`{name}`" for name in each.names)
    facts = []
    if each.default and "default" not in each.help:
        facts.append(f"default `{each.default}`")
    if each.key:
        facts.append(f"key `{each.key}`")
    if marks_ours and not each.is_flom:
        facts.append("not in FLoM")
    about = as_text(each.help) + (f" ({'; '.join(facts)})" if facts else "")
    return definition(names + (f" *{each.value}*" if each.value else ""), about)


def options_of(program: Program, *, marks_ours: bool = False) -> str:
    """Return the options of C{program} in their groups."""
    return "\n".join(
        f"### {title}\n\n" + "\n".join(option(each, marks_ours=marks_ours) for each in options)
        for title, options in program.groups.items()
    )


def commands_of(program: Program) -> str:
    """Return the commands of C{program}, each with the options that it does not share with others."""
    return "\n".join(_command(command) for command in program.commands)


def shared_options_of(program: Program) -> str:
    """Return the options that several commands share, each once."""
    found: dict[str, dict[Option, None]] = {}
    for command in program.commands:
        for title in _SHARED:
            found.setdefault(title, {}).update(dict.fromkeys(command.groups.get(title, ())))
    return "\n".join(
        f"### {title}\n\n" + "\n".join(map(option, options)) for title, options in found.items() if options
    )


def _command(command: Program) -> str:
    operands = "".join(f" {operand.name}" for operand in command.operands)
    lines = [f"### {command.name.partition(' ')[2]}", ""]
    if not command.commands:
        lines += ["```text", f"{command.name} [OPTION...]{operands}", "```", ""]
    lines += [filled(f"{command.about[0].upper()}{as_text(command.about)[1:]}."), ""]
    shared = [title for title in command.groups if title in _SHARED]
    entries = [definition(f"*{_bare(each.name)}*", as_text(each.help)) for each in command.operands]
    own = (each for title, options in command.groups.items() if title not in _SHARED for each in options)
    entries += [option(each) for each in own if "--help" not in each.names]
    for step in command.commands:
        entries.append(_step(step))
    lines += entries
    if shared:
        links = [f"[{title}](#{_anchor(title)})" for title in shared]
        said = ", ".join(links[:-1]) + (" and " if links[1:] else "") + links[-1]
        lines += [filled(f"Also, the options of {said}."), ""]
    return "\n".join(lines)


def _bare(name: str) -> str:
    """Return the name of an operand without the brackets that say that it may be left out."""
    return name[1:-1] if name.startswith("[") else name.removeprefix("-- ")


def _step(step: Program) -> str:
    """Return a command of a command."""
    head = f"`{step.name} [OPTION...]{''.join(f' {operand.name}' for operand in step.operands)}`"
    entries = [definition(f"*{each.name}*", as_text(each.help)) for each in step.operands]
    entries += [option(each) for each in step.options() if "--help" not in each.names]
    return "\n".join([filled(f"{head}: {step.about}."), "", *entries])


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def keys() -> str:
    """Return the keys of configuration files, under their groups."""
    groups: dict[str, list[Setting]] = {}
    for setting in SETTINGS:
        groups.setdefault(setting.place[0], []).append(setting)
    return "\n".join(f"### [{group}]\n\n" + "\n".join(map(_key, settings)) for group, settings in groups.items())


def _key(setting: Setting) -> str:
    facts = []
    if (default := show_default(setting)) and "default" not in setting.help:
        facts.append(f"default `{default}`")
    names = "".join(f"`-{setting.short}`, " if setting.short else "") + f"`--{setting.long}`"
    facts.append(f"option {names}")
    if setting.programs == (DAEMON,):
        facts.append("for twistd flom alone")
    if setting.programs == (RUNNER,):
        facts.append("for commands alone")
    group, key = setting.place
    if f"[{group}] {key}" in OWN_KEYS:
        facts.append("not in FLoM")
    return definition(
        f"`{key}` = *{value_name(setting.long) or 'yes|no'}*", f"{as_text(setting.help)} ({'; '.join(facts)})"
    )


def fields() -> str:
    """Return the fields of a configuration, with the options that set them."""
    return "\n".join(f"- `{setting.field}`: `--{setting.long}`" for setting in SETTINGS)
