"""
The base class of plain values, for the modules that C{flom-run} imports.

A value is what C{@dataclass(frozen=True, slots=True)} would make of it, but for the milliseconds which the import of
C{dataclasses} takes. A subclass lists its fields in C{__slots__} and sets each in its C{__init__}, by parameters of
the same names. Values are never changed once they are made.
"""

from __future__ import annotations

from _operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, TypeVar

    _Self = TypeVar("_Self", bound="Value")


class Value:
    """Compares, hashes and prints itself by its fields."""

    __slots__: tuple[str, ...] = ()

    _fields_of: ClassVar[Any] = staticmethod(lambda value: ())

    def __init_subclass__(cls) -> None:
        if cls.__slots__:
            cls._fields_of = attrgetter(*cls.__slots__)  # in C, because each answer of a daemon is a key of a cache

    def replace(self: _Self, **changes: Any) -> _Self:
        """Return a copy in which the fields that C{changes} names have the values it gives."""
        return type(self)(**{field: getattr(self, field) for field in self.__slots__} | changes)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or self._fields_of(self) == self._fields_of(other)

    def __hash__(self) -> int:
        return hash((type(self), self._fields_of(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{field}={getattr(self, field)!r}' for field in self.__slots__)})"
