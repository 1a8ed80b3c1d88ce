"""A page of docs/reference/man/ as a page for man(1): Markdown becomes man(7)."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.deflist import deflist_plugin

from tests.tools.manual.pages import DOCS, ROOT

SOURCES: Final = DOCS / "reference" / "man"
MAN: Final = ROOT / "flom" / "share" / "man"

DATE: Final = "2026-11-30"
"""When the pages were last looked through."""

_FONTS: Final = {"strong_open": "B", "strong_close": "R", "em_open": "I", "em_close": "R"}


def man_pages() -> dict[Path, Path]:
    """Return the source of each man page, by the path where the man page stands."""
    found = {}
    for source in sorted(SOURCES.glob("*.[1-8].md")):
        name = source.name.removesuffix(".md")
        found[MAN / f"man{name[-1]}" / name] = source
    return found


def man_page(name: str, text: str) -> str:
    """
    Return the man page.

    @param name: C{PAGE.SECTION}.
    @param text: its Markdown.
    """
    page, _, section = name.rpartition(".")
    titles = {"1": "User Commands", "5": "File Formats", "8": "System Administration"}
    lines = [
        '.\\" Written by make share from docs/reference/man; change that.',
        f'.TH {page.upper()} {section} {DATE} txflom "{titles[section]}"',
        ".nh",
        ".ad l",
    ]
    return "\n".join([*lines, *_Writer().write(MarkdownIt("commonmark").use(deflist_plugin).parse(text))]) + "\n"


_ESCAPES: Final = str.maketrans({"\\": "\\e", "-": "\\-", "~": "\\(ti", "^": "\\(ha", "`": "\\(ga"})


class _Writer:
    """Turns the tokens of a page into lines of man(7)."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._fresh = True  # after a heading or the mark of an item, a paragraph needs no request of its own
        self._depth = 0  # of lists, beyond the first

    def write(self, tokens: list[Token]) -> list[str]:
        for at, token in enumerate(tokens):
            inline = tokens[at + 1] if at + 1 < len(tokens) else token
            match token.type:
                case "heading_open":
                    self._heading(token.tag, inline)
                case "paragraph_open":
                    if not self._fresh:
                        self._lines.append(".PP" if self._depth == 0 else ".sp")
                    self._lines += _filled(inline)
                    self._fresh = False
                case "dt_open":
                    self._lines += [".TP", _text(inline)]
                case "dd_open":
                    self._fresh = True
                    self._depth += 1
                case "dd_close" | "list_item_close":
                    self._depth -= 1
                    self._fresh = False
                case "list_item_open":
                    self._lines.append(".IP \\(bu 2")
                    self._fresh = True
                    self._depth += 1
                case "fence":
                    if not self._fresh:
                        self._lines.append(".PP" if self._depth == 0 else ".sp")
                    self._lines += [".RS 4", ".nf"]
                    self._lines += [_line(line) for line in token.content.rstrip("\n").split("\n")]
                    self._lines += [".fi", ".RE"]
                    self._fresh = False
        return self._lines

    def _heading(self, tag: str, inline: Token) -> None:
        self._fresh = True
        if tag == "h2":
            self._lines.append(f".SH {_text(inline).upper()}")
        elif tag == "h3":
            self._lines.append(f".SS {_text(inline)}")


def _line(text: str) -> str:
    """Return a line that is neither filled nor taken for a request."""
    escaped = _escaped(text)
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _escaped(text: str) -> str:
    return (
        text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha").replace("`", "\\(ga")
    )


def _text(inline: Token) -> str:
    """Return the text of a paragraph with its fonts, in one line."""
    made = ""
    for token in inline.children or ():
        if token.type in _FONTS:
            made += f"\\f{_FONTS[token.type]}"
        elif token.type == "code_inline":
            made += f"\\fB{_escaped(token.content)}\\fR"
        elif token.type in ("softbreak", "hardbreak"):
            made += " "
        elif token.type == "text":
            made += _escaped(token.content)
    return made


def _filled(inline: Token) -> list[str]:
    """Return the text of a paragraph in lines, none of which is taken for a request."""
    lines = wrap(_text(inline), 79, break_on_hyphens=False, break_long_words=False)
    return [f"\\&{line}" if line[0] in ".'" else line for line in lines]
