"""
Completion for bash, zsh and fish, of C{flom-run}, C{flom} and C{flomctl}.

Each shell's scripts are a frame, which stands in C{frames/}, and tables of options that are put into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.tools.manual.pages import ROOT
from tests.tools.manual.programs import PROGRAMS, Option, Program

SHARE: Final = ROOT / "flom" / "share" / "completion"
FRAMES: Final = Path(__file__).parent / "frames"

_KINDS: Final = {
    "FILE": "file",
    "PATH": "file",
    "HISTORY": "file",
    "DIR": "folder",
    "IF": "interface",
    "HOST": "host",
    "SIGNAL": "signal",
    "RESOURCE": "resource",
    "RESOURCE-GLOB": "resource",
}
"""What a value or an operand is, by its name in the help text."""

_OF_EACH_LOCK: Final = (
    *("--resource-name", "--type", "--lock-mode"),
    *(f"--resource-{what}" for what in ("quantity", "create", "idle-lifespan")),
)
"""Options that a command line has for each of several locks."""

_PLACE: Final = (
    *("socket-name", "unicast-address", "unicast-port", "multicast-address", "multicast-port", "network-interface"),
    *("group", "interface", "config-file"),
)
"""Options that C{flomctl status} is asked with for the resources of a daemon."""


def completions() -> dict[Path, str]:
    """Return the scripts, by where they stand."""
    files = {}
    for name in ("flom-run", "flom", "flomctl"):
        program = PROGRAMS[name]()
        files[SHARE / "bash" / name] = _bash(program)
        files[SHARE / "zsh" / f"_{name}"] = _zsh(program)
        files[SHARE / "fish" / f"{name}.fish"] = _fish(program)
    return files


def kind_of(option: Option) -> str:
    """Return what the value of C{option} is: C{words} if all are known, C{any} if nothing is, C{flag} without one."""
    if not option.value:
        return "flag"
    if option.values:
        return "words"
    return "resource" if "--resource-name" in option.names else _KINDS.get(option.value, "any")


def _operand_kind(name: str) -> str:
    bare = name.strip("[].")
    return "command" if bare.startswith("-- COMMAND") else _KINDS.get(bare, "any")


def _frame(name: str, **parts: str) -> str:
    """Return a frame with its parts: C{@NAME@} for a part, C{@PLACE@} for the options that say where a daemon is."""
    text = (FRAMES / name).read_text()
    for part, filling in parts.items():
        text = text.replace(f"@{part}@", filling)
    return text


def _leaves(program: Program) -> Iterator[Program]:
    """Return C{program} and all commands in it, at any depth."""
    yield program
    for command in program.commands:
        yield from _leaves(command)


def _place_pattern(separator: str) -> str:
    return separator.join([*("-s", "-a", "-p", "-A", "-P", "-n", "-c"), *(f"--{name}" for name in _PLACE)])


# bash


def _bash(program: Program) -> str:
    name = program.name
    cases = "\n".join(_bash_case(each) for each in _leaves(program))
    steps = " | ".join(f'"{each.name}"' for each in _leaves(program) if each.name != name)
    return _frame(
        "bash",
        PROGRAM=name,
        FUNCTION=name.replace("-", "_"),
        PLACE=_place_pattern("|"),
        CASES=cases,
        STEPS=steps or '"-"',
    )


def _bash_case(program: Program) -> str:
    options = list(program.options())
    of_kind: dict[str, list[str]] = {}
    for option in options:
        kind = kind_of(option)
        if kind != "flag":
            spelt = f"words {' '.join(option.values)}" if kind == "words" else kind
            of_kind.setdefault(spelt, []).extend(option.names)
    operands = [_operand_kind(operand.name) for operand in program.operands]
    if program.name in ("flom-run", "flom"):
        operands = ["command"]
    if program.commands:
        operands = [f"words {' '.join(command.name.rpartition(' ')[2] for command in program.commands)}"]
    names = " ".join(name for option in options for name in option.names)
    lines = [f'    "{program.name}")', f'        options="{names}"']
    lines.append(f"        operands=({' '.join(_quoted(kind) for kind in operands)})")
    lines.append("        case $1 in")
    lines += [f"        {' | '.join(given)}) kind={_quoted(kind)} ;;" for kind, given in of_kind.items()]
    return "\n".join([*lines, "        esac", "        ;;"])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# zsh


def _zsh(program: Program) -> str:
    body = _zsh_commands(program) if program.commands else _zsh_arguments(program, "    ")
    return _frame("zsh", PROGRAM=program.name, PLACE=_place_pattern("|"), BODY=body)


_ZSH_ACTIONS: Final = {
    "file": "_files",
    "folder": "_files -/",
    "interface": "_net_interfaces",
    "host": "_hosts",
    "signal": "_signals -s",
    "resource": "_flom_resources",
    "any": " ",
}


def _zsh_arguments(program: Program, indent: str) -> str:
    lines = [f"{indent}_arguments -s -S : \\"]
    for option in program.options():
        kind = kind_of(option)
        action = f"({' '.join(option.values)})" if kind == "words" else _ZSH_ACTIONS.get(kind, "")
        value = "" if kind == "flag" else f":{_zsh_text(option.value)}:{action}"
        text = f"[{_zsh_text(option.help)}]{value}"
        exclusive = "" if option.names[-1] == "--ignore-signal" else f"({' '.join(option.names)})"
        if program.name == "flom-run" and option.names[-1] in _OF_EACH_LOCK:
            exclusive = "*"
        for name in option.names:
            mark = "" if kind == "flag" or "=" in name else ("=" if name.startswith("--") else "+")
            lines.append(f"{indent}    {_quoted(f'{exclusive}{name}{mark}{text}')} \\")
    if program.name in ("flom-run", "flom"):
        lines += [f"{indent}    '(-):command: _command_names -e' \\", f"{indent}    '*::arguments: _normal' \\"]
    for operand in program.operands:
        kind = _operand_kind(operand.name)
        if kind == "command":
            lines += [f"{indent}    '(-):command: _command_names -e' \\", f"{indent}    '*::arguments: _normal' \\"]
            continue
        many = "*" if operand.name.endswith("...") else ""
        action = _ZSH_ACTIONS[kind]
        lines.append(f"{indent}    {_quoted(f'{many}:{_zsh_text(operand.name)}:{action}')} \\")
    return "\n".join(lines)[: -len(" \\")]


def _zsh_commands(program: Program, indent: str = "    ") -> str:
    described = "\n".join(
        f"{indent}            {_quoted(f'{_last(command)}:{command.about}')}" for command in program.commands
    )
    cases = "\n".join(
        f"{indent}        {_last(command)})\n"
        + (
            _zsh_commands(command, f"{indent}            ")
            if command.commands
            else _zsh_arguments(command, f"{indent}            ")
        )
        + f"\n{indent}            ;;"
        for command in program.commands
    )
    flags = "".join(
        f"{indent}    {_quoted(f'(- *){name}[{_zsh_text(option.help)}]')} \\\n"
        for option in program.options()
        for name in option.names
    )
    return (
        f"{indent}_arguments -C : \\\n{flags}{indent}    '1: :->command' '*:: :->options' && return\n"
        f"{indent}case $state in\n{indent}command)\n{indent}    steps=(\n{described}\n{indent}    )\n"
        f"{indent}    _describe command steps\n{indent}    ;;\n"
        f"{indent}options)\n{indent}    case $words[1] in\n{cases}\n{indent}    esac\n{indent}    ;;\n{indent}esac"
    )


def _last(command: Program) -> str:
    return command.name.rpartition(" ")[2]


def _zsh_text(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


# fish

_FISH_ACTIONS: Final = {
    "file": "-rF",
    "folder": "-xa '(__fish_complete_directories)'",
    "interface": "-xa '(__fish_print_interfaces)'",
    "host": "-xa '(__fish_print_hostnames)'",
    "signal": f"-xa '{' '.join(('HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'ALRM', 'TERM', 'CONT', 'TSTP', 'WINCH'))}'",
    "resource": "-xa '(__flom_resources)'",
    "any": "-x",
    "flag": "-f",
}


def _fish(program: Program) -> str:
    name = program.name
    if not program.commands:
        function = f"__{name.replace('-', '_')}"
        specs = [_fish_spec(option) for option in program.options()]
        rest = _frame("fish-command", PROGRAM=name, FUNCTION=function, SPECS=" ".join(dict.fromkeys(specs)))
        lines = [_fish_option(name, f"not {function}_command >/dev/null", option) for option in program.options()]
        return _frame("fish", PROGRAM=name, PLACE=_place_pattern(" "), BODY="\n".join([rest.rstrip(), *lines]))
    lines = [f"complete -c {name} -f"]
    for option in program.options():
        lines.append(_fish_option(name, "__fish_use_subcommand", option))
    for command in program.commands:
        word = _last(command)
        about = _quoted(command.about)
        lines.append(f"complete -c {name} -n __fish_use_subcommand -xa {word} -d {about}")
        seen = f"__fish_seen_subcommand_from {word}"
        for step in command.commands:
            unseen = f"{seen}; and not __fish_seen_subcommand_from {' '.join(map(_last, command.commands))}"
            lines.append(f"complete -c {name} -n '{unseen}' -xa {_last(step)} -d {_quoted(step.about)}")
            lines += _fish_command(name, f"{seen}; and __fish_seen_subcommand_from {_last(step)}", step)
        lines += _fish_command(name, seen, command)
    return _frame("fish", PROGRAM=name, PLACE=_place_pattern(" "), BODY="\n".join(lines))


def _fish_command(name: str, seen: str, command: Program) -> Iterator[str]:
    for option in command.options():
        yield _fish_option(name, seen, option)
    actions = {"file": "-F", "command": "-xa '(__fish_complete_command)'"}
    for kind in dict.fromkeys(_operand_kind(operand.name) for operand in command.operands):
        yield f"complete -c {name} -n '{seen}' {actions.get(kind, _FISH_ACTIONS[kind] if kind != 'command' else '')}"


def _fish_option(name: str, when: str, option: Option) -> str:
    names = " ".join(
        f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}" for word in option.names if "=" not in word
    )
    if not names:  # --help=all
        return f"complete -c {name} -n {_quoted(when)} -a {option.names[0]} -d {_quoted(option.help)}"
    kind = kind_of(option)
    action = f"-xa {_quoted(' '.join(option.values))}" if kind == "words" else _FISH_ACTIONS[kind]
    return f"complete -c {name} -n {_quoted(when)} {names} {action} -d {_quoted(option.help)}"


def _fish_spec(option: Option) -> str:
    """Return an option as fish's argparse is told of it."""
    *short, long = (name.lstrip("-") for name in option.names)
    if "help" in long:
        return "'h/help=?'"
    return "/".join([*short, long]) + ("=" if option.value else "")
