"""
The base class of plain values, for the modules that C{flom-run} imports.

A value is what C{@dataclass(frozen=True, slots=True)} would make of it, but for the milliseconds which the import of
C{dataclasses} takes. A subclass lists its fields in C{__slots__} and sets each in its C{__init__}, by parameters of
the same names. Values are never changed once they are made.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    _Self = TypeVar("_Self", bound="Value")


class Value:
    """Compares, hashes and prints itself by its fields."""

    __slots__: tuple[str, ...] = ()

    def replace(self: _Self, **changes: Any) -> _Self:
        """Return a copy in which the fields that C{changes} names have the values it gives."""
        return type(self)(**{field: getattr(self, field) for field in self.__slots__} | changes)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or all(getattr(self, field) == getattr(other, field) for field in self.__slots__)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, field) for field in self.__slots__)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{field}={getattr(self, field)!r}' for field in self.__slots__)})"
