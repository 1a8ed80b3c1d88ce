"""The base class of plain values."""

from __future__ import annotations

from typing import Any

import pytest

from flom.core.value import Record, Value


class Point(Value):
    """A value with two fields."""

    x: int
    y: int = 0


class Place(Value):
    """Another class, which has the same fields and lists them itself."""

    __slots__ = ("x", "y")

    def __init__(self, x: int, y: int = 0) -> None:
        self.x = x
        self.y = y


def test_values_are_equal_if_class_and_fields_are() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(1, 3)
    assert Point(1, 2) != Place(1, 2)
    assert Point(1, 2) != (1, 2)


def test_equal_values_have_the_same_hash() -> None:
    assert len({Point(1), Point(1, 0), Point(2)}) == 2


def test_a_value_prints_its_fields() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"


def test_a_copy_has_the_changes() -> None:
    point = Point(1, 2)
    assert point.replace(y=3) == Point(1, 3)
    assert point == Point(1, 2)
    with pytest.raises(TypeError):
        point.replace(z=1)


def fresh() -> type[Point]:
    """Return a class of which no value was made yet."""

    class Fresh(Value):
        x: int
        y: int = 0

    return Fresh  # type: ignore[return-value]


def test_the_first_value_and_later_ones_are_made_alike() -> None:
    kind = fresh()
    for _ in range(8):
        assert [(each.x, each.y) for each in (kind(1), kind(1, 2), kind(y=2, x=1))] == [(1, 0), (1, 2), (1, 2)]
        assert not hasattr(kind(1), "__dict__")


@pytest.mark.parametrize("made_before", [0, 1, 2, 20])
@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1, 2), {"x": 1})])
def test_wrong_fields_are_an_error(made_before: int, values: tuple[int, ...], named: dict[str, int]) -> None:
    kind = fresh()
    for _ in range(made_before):
        kind(1)
    with pytest.raises(TypeError):
        kind(*values, **named)


def test_another_thread_never_finds_half_a_constructor() -> None:
    made = []

    class Watched(type(Value)):  # type: ignore[misc]
        def __setattr__(cls, name: str, value: Any) -> None:
            made.append((name, getattr(value, "__defaults__", None)))
            super().__setattr__(name, value)

    class Fresh(Value, metaclass=Watched):
        x: int
        y: int = 0

    while not any(name == "__init__" for name, _ in made):
        assert Fresh(1) == Fresh(1, 0)
    assert [each for each in made if each[0] == "__init__"] == [("__init__", (0,))]


def test_a_value_is_taken_apart_by_its_fields() -> None:
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_no_two_records_are_equal() -> None:
    class Mark(Record):
        x: int

    assert Mark(1) != Mark(1)
    assert len({Mark(1), Mark(1)}) == 2
