"""The base class of plain values."""

from __future__ import annotations

import pytest

from flom.core.value import Value


class Point(Value):
    """A value with two fields."""

    __slots__ = ("x", "y")

    def __init__(self, x: int, y: int = 0) -> None:
        self.x = x
        self.y = y


class Place(Point):
    """Another class, which has the same fields."""

    __slots__ = ()


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
