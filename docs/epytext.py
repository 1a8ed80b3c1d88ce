"""What has Sphinx's autodoc read docstrings in Epytext: each is turned into reStructuredText."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_INLINE: Final = re.compile(r"([BCILU])\{((?:[^{}]|\{[^{}]*\})*)\}")
_FIELD: Final = re.compile(r"@(\w+)(?: ([\w.* -]+))?:(.*)")
_NAMES: Final = {"return": "return", "rtype": "rtype", "raise": "raise", "param": "param", "ivar": "ivar", "cvar": "cvar"}


def convert(lines: list[str]) -> list[str]:
    """
    Return the lines of a docstring as reStructuredText.

    Code and names become literals, C{@param x: text} becomes C{:param x: text}, with the lines that go on with it.
    """
    converted: list[str] = []
    in_field = False
    for line in _INLINE.sub(_inline, "\n".join(lines)).split("\n"):
        field = _FIELD.fullmatch(line)
        if field and field[1] in _NAMES:
            if not in_field and converted and converted[-1]:
                converted.append("")
            name = f" {field[2]}" if field[2] else ""
            converted.append(f":{_NAMES[field[1]]}{name}:{field[3]}")
            in_field = True
        else:
            converted.append(line)
            in_field = in_field and (not line or line.startswith(" "))
    return converted


def _inline(match: re.Match[str]) -> str:
    kind, text = match[1], " ".join(match[2].split())
    if kind in "CL":
        return f"``{text}``"
    return {"B": f"**{text}**", "I": f"*{text}*", "U": text}[kind]


def _process(app: Sphinx, what: str, name: str, documented: object, options: Any, lines: list[str]) -> None:
    lines[:] = convert(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Take part in reading every docstring."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
