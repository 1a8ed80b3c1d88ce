"""
Resource names: the name alone decides what type a resource is of (docs/compatibility.md, "Resource names").

L{parse_name} turns a text into a value, one class a type. Two names are the same resource when their C{key} is the
same: the whole text, or the first level of a hierarchy, whose nodes live and queue together
(docs/compatibility.md, "Hierarchical resources").
"""

from __future__ import annotations

from flom.core.cache import Cache
from flom.errors import InvalidName, InvalidTimestampFormat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

DEFAULT_NAME: Final = "_RESOURCE"
"""The resource of a lock without a name; simple, and reserved to that (docs/compatibility.md, "Resource names")."""

MAX_TEXT: Final = 320
"""
Characters of the longest text that a grant carries, an element of a set or a time: an answer that carries it stays
below 512 bytes (docs/compatibility.md, "Protocol: framing", "A long timestamp is never answered").
"""

_USUAL: Final = 511  # characters; longer names, which FLoM does not know, are not kept in memory


class _Name:
    """
    What the types have in common. Names are equal if their texts are, and are never changed.

    @ivar text: the name as it was parsed.
    @ivar key: what names of the same resource have in common.
    @ivar type_name: the type in a word.
    @ivar type_number: the number that FLoM prints for the type (docs/compatibility.md, "Resource names").
    @ivar has_mode: true if a lock of it is held in one of the six modes.
    @ivar has_quantity: true if a lock of it takes some units.
    @ivar transactional: true if its holder can put back what was granted, for the next one.
    """

    __slots__ = ("key", "text")

    type_name = ""
    type_number = 0
    has_mode = False
    has_quantity = False
    transactional = False

    def __init__(self, text: str, key: str | None = None) -> None:
        self.text = text
        self.key = text if key is None else key

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, _Name) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


class SimpleName(_Name):
    """One thing, locked in one of six modes."""

    __slots__ = ()
    type_name, type_number, has_mode = "simple", 1, True


class NumericName(_Name):
    """C{total} like units, taken some at a time."""

    __slots__ = ("total",)
    type_name, type_number, has_quantity = "numeric", 2, True

    def __init__(self, text: str, total: int) -> None:
        super().__init__(text)
        self.total = total


class SetName(_Name):
    """Some things of which each holder gets one."""

    __slots__ = ("elements",)
    type_name, type_number = "set", 3

    def __init__(self, text: str, elements: tuple[str, ...]) -> None:
        super().__init__(text)
        self.elements = elements


class HierarchicalName(_Name):
    """A node of a tree; C{levels} leads there from the root."""

    __slots__ = ("levels",)
    type_name, type_number, has_mode = "hierarchical", 4, True

    def __init__(self, text: str, levels: tuple[str, ...]) -> None:
        super().__init__(text, "/" + levels[0])
        self.levels = levels


class SequenceName(_Name):
    """Numbers from 1 on, C{slots} of them held at a time; those rolled back return if it is transactional."""

    __slots__ = ("slots", "transactional")
    type_name, type_number = "sequence", 5

    def __init__(self, text: str, slots: int, transactional: bool) -> None:
        super().__init__(text)
        self.slots = slots
        self.transactional = transactional


class TimestampName(_Name):
    """Distinct times written in C{format}, C{slots} of them held at a time."""

    __slots__ = ("format", "slots")
    type_name, type_number = "timestamp", 6

    def __init__(self, text: str, format: str, slots: int) -> None:
        super().__init__(text)
        self.format = format
        self.slots = slots

    def unit(self) -> int:
        """
        Return after how many microseconds the text of C{format} changes, an hour at most.

        Unlike FLoM's search for C{%S} anywhere, this takes C{%%} for what it is.

        @raise InvalidTimestampFormat: it does not change at least once an hour.
        """
        runs = [len(run) - len(run.lstrip("f")) for run in self.format.split("#")[1:]]  # digits of fractions
        if any(runs):
            return int(10 ** (6 - min(max(runs), 6)))
        conversions = {rest[:1] for rest in self.format.replace("%%", "").split("%")[1:]}
        for signs, unit in _UNITS:
            if not conversions.isdisjoint(signs):
                return unit
        raise InvalidTimestampFormat(f"nothing in {self.format!r} changes at least once an hour")


_UNITS: Final = (("crsSTX", 1_000_000), ("MR", 60_000_000), ("HI", 3_600_000_000))
"""Conversions of strftime that show seconds, minutes or hours, and how many microseconds these are."""


TYPE_NAMES: Final = ("simple", "numeric", "set", "hierarchical", "sequence", "timestamp")

ResourceName = SimpleName | NumericName | SetName | HierarchicalName | SequenceName | TimestampName


def parse_name(text: str) -> ResourceName:
    """
    Return what C{text} names.

    @param text: the name; bytes that are not UTF-8 stand in it as lone surrogates (C{surrogateescape}).
    @raise InvalidName: it names nothing.
    """
    return _parsed[text] if len(text) <= _USUAL else _parse(text)


def _parse(text: str) -> ResourceName:
    if _is_word(text) or text == DEFAULT_NAME:
        return SimpleName(text)
    if text.startswith("/"):
        levels = tuple(text[1:].split("/"))
        if all(levels) and "\\" not in text and not any(map(_is_control, text)):
            return HierarchicalName(text, levels)
    elif text.endswith("]"):
        front, _, digits = text[:-1].partition("[")
        if digits.isascii() and digits.isdigit():
            number = _as_c_int(digits)
            prefix, rest = front[:3], front[3:]
            if _is_word(front):
                return NumericName(text, number)
            if prefix in ("_s_", "_S_") and _is_word(rest):
                return SequenceName(text, number, transactional=prefix == "_S_")
            if prefix == "_t_" and _is_format(rest):
                return TimestampName(text, rest, number)
    else:
        elements = tuple(text.split("."))
        if all(map(_is_word, elements)) and max(map(len, elements)) <= MAX_TEXT:
            return SetName(text, elements)
    raise InvalidName(text)


_parsed: Final = Cache(_parse, 4096)


def _is_word(text: str) -> bool:
    """Return whether C{text} is a letter of ASCII and perhaps more letters and digits."""
    return text.isascii() and text.isalnum() and text[0].isalpha()


def _is_format(text: str) -> bool:
    rest = text.translate(_FORMAT_SIGNS)
    return text.isascii() and (not rest or rest.isalnum()) and (text[:1].isalpha() or text[:1] in ("%", "#"))


_FORMAT_SIGNS: Final = str.maketrans("", "", "%#.:\\")


def _is_control(character: str) -> bool:
    # FLoM takes a name with a line feed if any of its lines is one; we take no control character at all
    return character < " " or "\x7f" <= character <= "\x9f"


def _as_c_int(digits: str) -> int:
    """Read as FLoM does: as a C long that saturates, cut to 32 bits (docs/compatibility.md, "Resource names")."""
    significant = digits.lstrip("0") or "0"
    value = int(significant) if len(significant) < 20 else 2**63
    low = min(value, 2**63 - 1) & 0xFFFFFFFF
    return low - 2**32 if low >= 2**31 else low
