"""What a page shows of a terminal: commands, and what each of them prints (docs/contributing.md, "Testing a page")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_FENCE: Final = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|:{3,})(?P<info>.*)")
_PROMPT: Final = re.compile(r"(?P<host>[a-z][a-z0-9]*)?(?P<user>[$#]) (?P<command>.*)")
_CONTINUED: Final = "> "
_VARIES: Final = "..."


@dataclass
class Shown:
    """
    One command of a page.

    @ivar line: its number in the file, from 1 on.
    @ivar host: the name before the prompt; the empty string if the page has one host without a name.
    @ivar command: for bash; it may have several lines.
    @ivar output: the lines that the page says it prints, in which C{...} stands for what varies.
    """

    line: int
    host: str
    command: str
    output: list[str] = field(default_factory=list)

    def matches(self, found: list[str]) -> bool:
        """Return whether C{found}, lines that were printed, is what the page says."""
        return _pattern(self.output).fullmatch(_text(found)) is not None

    def is_begun_by(self, found: list[str]) -> bool:
        """Return whether C{found} may become what the page says, when more is printed."""
        return any(_pattern(self.output[:count]).fullmatch(_text(found)) for count in range(len(self.output) + 1))


class BadBlock(ValueError):
    """A block that shows no commands; the text names its line."""


def find_commands(page: Path) -> list[Shown]:
    """
    Return all commands of the C{console} blocks of a page, in order, see L{read_commands}.

    @raise BadBlock: likewise; the text names the page too.
    """
    try:
        return read_commands(page.read_text("utf-8"))
    except BadBlock as e:
        raise BadBlock(f"{page}: {e}") from None


def read_commands(page: str) -> list[Shown]:
    """
    Return all commands of the C{console} blocks of a text, in order.

    A line that begins with C{$}, C{NAME$} or C{NAME#}, and a blank, is a command; so is one with C{#} and a blank in a
    block that begins so. C{>} and a blank continue the command of the line before. All other lines are what it prints.

    @raise BadBlock: a block does not begin with a command, or does not end.
    """
    return [shown for first, block in _find_blocks(page) for shown in _read_block(first, block)]


def _find_blocks(page: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line, and the lines, of each C{console} block, without the indent of its fence."""
    lines = enumerate(page.splitlines(), 1)
    for number, line in lines:
        opened = _FENCE.fullmatch(line)
        if opened is None:
            continue
        block = []
        for _, inner in lines:
            if re.fullmatch(rf" *{opened['fence']}{opened['fence'][0]}* *", inner):
                break
            block.append(inner.removeprefix(opened["indent"]))
        else:
            raise BadBlock(f"line {number}: the block does not end")
        if opened["info"].strip() == "console":
            yield number + 1, block
        elif opened["fence"].startswith(":"):  # a directive, which may have blocks in it
            for first, nested in _find_blocks("\n".join(block)):
                yield number + first, nested


def _read_block(first: int, block: list[str]) -> list[Shown]:
    found: list[Shown] = []
    is_roots = block[:1] != [] and block[0].startswith("# ")
    for number, line in enumerate(block, first):
        prompt = _PROMPT.fullmatch(line)
        if prompt is not None and (prompt["host"] or prompt["user"] == "$" or is_roots):
            found.append(Shown(number, prompt["host"] or "", prompt["command"]))
        elif not found:
            raise BadBlock(f"line {number}: a console block begins with a prompt, $ or NAME$")
        elif f"{line} ".startswith(_CONTINUED) and not found[-1].output:
            found[-1].command += "\n" + line[len(_CONTINUED) :]
        else:
            found[-1].output.append(line.rstrip())
    for shown in found:
        while shown.output and not shown.output[-1]:
            shown.output.pop()
    return found


def _pattern(output: list[str]) -> re.Pattern[str]:
    """Return what matches all texts that a page means by C{output}."""
    parts = []
    for line in output:
        if line.strip() == _VARIES:
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(_as_wide_as_need_be(part) for part in line.split(_VARIES)) + r"\n")
    return re.compile("".join(parts))


def _as_wide_as_need_be(text: str) -> str:
    """Return a pattern for C{text} in which the columns of a table may be of other widths."""
    return re.sub(r"─+", "─+", re.sub(r"(\\ ){2,}", " {2,}", re.escape(text)))


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
