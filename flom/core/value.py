"""
Plain values, for the modules that C{flom-run} imports.

To a reader and to mypy they are frozen dataclasses with slots, but they cost neither the import of C{dataclasses} nor
the making of methods, which take milliseconds. A subclass may list its fields in C{__slots__} instead of annotating
them, and set each in an C{__init__} of its own, by parameters of the same names.
"""

from __future__ import annotations

from _operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Final, TypeVar

    from typing_extensions import dataclass_transform as dataclass_transform

    _Self = TypeVar("_Self", bound="Value")
else:

    def dataclass_transform(**what):
        return lambda cls: cls


_FEW: Final = 16


class _Annotated(type):
    """Makes slots of the annotations in a class; what they are assigned is their default."""

    def __new__(meta, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        if "__slots__" not in body:
            body["__slots__"] = body["__match_args__"] = tuple(body.get("__annotations__", ()))
            body["_defaults"] = {field: body.pop(field) for field in body["__slots__"] if field in body}
        return super().__new__(meta, name, bases, body)


@dataclass_transform(eq_default=False, frozen_default=True)
class Record(metaclass=_Annotated):
    """Fields that are never changed; no two records are equal."""

    __slots__: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}

    if not TYPE_CHECKING:
        _made = 0  # objects, until there is a compiled __init__

        def __init__(self, *values, **named):
            """
            Set the fields one by one, in 5 us; when the L{_FEW}th object is made, or for a wrong call, compile an
            C{__init__} with the fields as parameters, in 0.2 ms. A program that runs for a moment makes few.
            """
            cls = type(self)
            cls._made += 1
            given = dict(zip(cls.__slots__, values)) | named  # noqa: B905 (the number of fields is looked at)
            fields = cls._defaults | given
            is_right = len(given) == len(values) + len(named) and fields.keys() == {*cls.__slots__}
            if is_right and cls._made < _FEW:
                for field, value in fields.items():
                    setattr(self, field, value)
                return
            setters = "; ".join(f"self.{field} = {field}" for field in cls.__slots__) or "pass"
            exec(f"def __init__({', '.join(('self', *cls.__slots__))}): {setters}", made := {})
            made["__init__"].__defaults__ = tuple(cls._defaults.values())
            cls.__init__ = made["__init__"]  # whole, because another thread may be about to call it
            cls.__init__(self, *values, **named)


@dataclass_transform(frozen_default=True)
class Value(Record):
    """Compares, hashes and prints itself by its fields."""

    __slots__: ClassVar[tuple[str, ...]] = ()

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
