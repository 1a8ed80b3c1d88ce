"""The six lock modes: what is granted beside what (docs/compatibility.md, "Lock modes")."""

from __future__ import annotations

import pytest

from flom.core.modes import LockMode, compatible

# rows: held; columns: asked
TABLE = """
          NL  CR  CW  PR  PW  EX
      NL  yes yes yes yes yes yes
      CR  yes yes yes yes yes no
      CW  yes yes yes no  no  no
      PR  yes yes no  yes no  no
      PW  yes yes no  no  no  no
      EX  yes no  no  no  no  no
"""

_COLUMNS, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]
PAIRS = [(held, asked, answer == "yes") for held, *row in _ROWS for asked, answer in zip(_COLUMNS, row, strict=True)]


@pytest.mark.parametrize(("held", "asked", "granted"), PAIRS)
def test_a_mode_is_granted_beside_another_as_the_table_says(held: str, asked: str, granted: bool) -> None:
    assert compatible(LockMode[held], LockMode[asked]) is granted


def test_the_numbers_are_those_of_the_wire() -> None:
    assert [(mode.name, mode.value) for mode in LockMode] == list(zip(_COLUMNS, range(6), strict=True))
