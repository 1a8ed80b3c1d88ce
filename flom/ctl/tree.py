"""A tree of lines, for people and for programs."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Tree:
    """
    A line, and the lines below it.

    @ivar text: one line.
    @ivar style: what it looks like on a terminal, in rich's words, C{"bold red"}.
    @ivar children: what is below it.
    """

    def __init__(self, text: str, style: str = "") -> None:
        self.text = text
        self.style = style
        self.children: list[Tree] = []

    def add(self, text: str, style: str = "") -> Tree:
        """Add a line below this one, and return it, so that others can be added below that."""
        self.children.append(Tree(text, style))
        return self.children[-1]

    def plain_lines(self, depth: int = 0) -> Iterator[str]:
        """Yield the lines, with two blanks for each level instead of drawn lines."""
        yield "  " * depth + self.text
        for child in self.children:
            yield from child.plain_lines(depth + 1)
