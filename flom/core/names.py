"""
Resource names: the name alone decides what type a resource is of (docs/compatibility.md, "Resource names").

L{parse_name} turns a text into a frozen value, one class a type. Two names are the same resource when their C{key} is
the same: the whole text, or the first level of a hierarchy, whose nodes live and queue together
(docs/compatibility.md, "Hierarchical resources").
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Final

from flom.errors import InvalidName

DEFAULT_NAME: Final = "_RESOURCE"
"""What is locked when nobody says what; simple, and reserved to that use (docs/compatibility.md, "Resource names")."""

MAX_TEXT: Final = 320
"""
Characters of the longest text that is given out, an element of a set or a time: an answer that carries it stays below
512 bytes (docs/compatibility.md, "Protocol: framing", "A long timestamp is never answered").
"""

_USUAL: Final = 511  # characters; longer ones, which FLoM does not know, are not kept: there would be no end of memory

# each class has the number of its type, which FLoM prints (docs/compatibility.md, "Resource names")


@dataclass(frozen=True, slots=True)
class _Name:
    """
    @ivar key: of the resource; kept, because it is asked for again and again.
    """

    text: str
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self._key())

    def _key(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class SimpleName(_Name):
    """One thing, locked in one of six modes."""

    type_number: ClassVar = 1


@dataclass(frozen=True, slots=True)
class NumericName(_Name):
    """C{total} like units, taken some at a time."""

    type_number: ClassVar = 2

    total: int


@dataclass(frozen=True, slots=True)
class SetName(_Name):
    """Some things of which each holder gets one."""

    type_number: ClassVar = 3

    elements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HierarchicalName(_Name):
    """A node of a tree; C{levels} leads there from the root."""

    type_number: ClassVar = 4

    levels: tuple[str, ...]

    def _key(self) -> str:
        return "/" + self.levels[0]


@dataclass(frozen=True, slots=True)
class SequenceName(_Name):
    """Numbers from 1 on, C{slots} of them out at a time; rolled back ones return if it is transactional."""

    type_number: ClassVar = 5

    slots: int
    transactional: bool


@dataclass(frozen=True, slots=True)
class TimestampName(_Name):
    """Distinct times written in C{format}, C{slots} of them out at a time."""

    type_number: ClassVar = 6

    format: str
    slots: int


ResourceName = SimpleName | NumericName | SetName | HierarchicalName | SequenceName | TimestampName

# tried in this order; the first that matches the whole text gives the type
_SIMPLE: Final = re.compile(r"_RESOURCE|[A-Za-z][A-Za-z0-9]*")
_NUMERIC: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*\[([0-9]+)\]")
_SET: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*)+")
_HIERARCHICAL: Final = re.compile(r"(/[^/\\]+)+")
_SEQUENCE: Final = re.compile(r"_([sS])_[A-Za-z][A-Za-z0-9]*\[([0-9]+)\]")
_TIMESTAMP: Final = re.compile(r"_t_([%#A-Za-z][%#.:\\A-Za-z0-9]*)\[([0-9]+)\]")
# FLoM takes a name with a line feed if any of its lines is one; we take no control character at all
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def parse_name(text: str) -> ResourceName:
    """
    Tell what C{text} names.

    @param text: the name; bytes that are not UTF-8 stand in it as lone surrogates (C{surrogateescape}).
    @raise InvalidName: it names nothing.
    """
    return _parse_usual(text) if len(text) <= _USUAL else _parse(text)


def _parse(text: str) -> ResourceName:
    if _CONTROL.search(text):
        raise InvalidName(text)
    if _SIMPLE.fullmatch(text):
        return SimpleName(text)
    if match := _NUMERIC.fullmatch(text):
        return NumericName(text, _as_c_int(match[1]))
    if _SET.fullmatch(text):
        elements = tuple(text.split("."))
        if max(map(len, elements)) > MAX_TEXT:
            raise InvalidName(text)
        return SetName(text, elements)
    if _HIERARCHICAL.fullmatch(text):
        return HierarchicalName(text, tuple(text[1:].split("/")))
    if match := _SEQUENCE.fullmatch(text):
        return SequenceName(text, _as_c_int(match[2]), transactional=match[1] == "S")
    if match := _TIMESTAMP.fullmatch(text):
        return TimestampName(text, match[1], _as_c_int(match[2]))
    raise InvalidName(text)


_parse_usual = lru_cache(maxsize=4096)(_parse)


def _as_c_int(digits: str) -> int:
    """
    Read C{digits} as FLoM does: as a C long that saturates, cut to 32 bits (docs/compatibility.md, "Resource names").
    """
    significant = digits.lstrip("0") or "0"
    value = int(significant) if len(significant) < 20 else 2**63
    low = min(value, 2**63 - 1) & 0xFFFFFFFF
    return low - 2**32 if low >= 2**31 else low
