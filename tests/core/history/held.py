"""Holdings in a short form, and the rules by which they exclude each other, once more: from docs/compatibility.md."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Final

from flom.core.history.holding import Holding

# docs/compatibility.md, "Lock modes"; rows: held; columns: asked
MODES = """
          NL  CR  CW  PR  PW  EX
      NL  yes yes yes yes yes yes
      CR  yes yes yes yes yes no
      CW  yes yes yes no  no  no
      PR  yes yes no  yes no  no
      PW  yes yes no  no  no  no
      EX  yes no  no  no  no  no
"""

_COLUMNS, *_ROWS = [line.split() for line in MODES.strip().splitlines()]
PAIRS = [(held, asked, answer == "yes") for held, *row in _ROWS for asked, answer in zip(_COLUMNS, row, strict=True)]

_BESIDE: Final = {(held, asked): is_allowed for held, asked, is_allowed in PAIRS}


def parse(script: str) -> list[Holding]:
    """
    Parse holdings with commas between, numbered from 1 on.

    Each is BEGIN-END NAME, where END may be missing, then perhaps a mode, a quantity as *2, an element as =red, a token
    as #7.
    """
    found = []
    for number, text in enumerate(script.split(", "), 1):
        when, name, *more = text.split(" ")
        begin, end = when.split("-")
        [mode, quantity, element, token] = ["EX", 1, "", 0]
        for word in more:
            if word.startswith("*"):
                quantity = int(word[1:])
            elif word.startswith("="):
                element = word[1:]
            elif word.startswith("#"):
                token = int(word[1:])
            else:
                mode = word
        found.append(
            Holding(number, name, int(begin), int(end or 0) or math.inf, str(mode), int(quantity), element, int(token))
        )
    return found


def are_within_the_rules(holdings: Iterable[Holding]) -> bool:
    """Return whether all of C{holdings}, which are of one resource, may be held at the same moment."""
    held = list(holdings)
    name = held[0].name if held else "R"
    elements = Counter(each.element for each in held)
    if name.startswith("/"):
        nodes = [(each, each.name.split("/")) for each in held]
        return all(
            _BESIDE[one.mode, other.mode] or levels[: len(others)] != others[: len(levels)]
            for place, (one, levels) in enumerate(nodes)
            for other, others in nodes[:place]
        )
    if name.startswith(("_s_", "_S_", "_t_")):
        of_one = max(elements.values(), default=0) <= 1 or name.startswith("_t_")
        return len(held) <= int(name[name.index("[") + 1 : -1]) and of_one
    if name.endswith("]"):
        return sum(each.quantity for each in held) <= int(name[name.index("[") + 1 : -1])
    if "." in name:
        return all(count <= name.split(".").count(element) for element, count in elements.items())
    return all(_BESIDE[one.mode, other.mode] for place, one in enumerate(held) for other in held[:place])
