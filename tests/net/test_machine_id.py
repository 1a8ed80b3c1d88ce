"""
Every machine has an id, also one without a machine id (docs/compatibility.md, "Unique id",
"Without a machine id, FLoM aborts").
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flom.net import machine_id
from flom.net.machine_id import unique_id

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "text", [f"{ID}\n", ID.upper(), "01234567-89ab-cdef-0123-456789abcdef\n"], ids=["machine", "upper case", "boot"]
)
def test_an_id_is_read_however_it_is_written(text: str, tmp_path: Path) -> None:
    source = tmp_path / "id"
    source.write_text(text)
    assert unique_id((str(tmp_path / "missing"), str(source))) == ID


@pytest.mark.parametrize("text", ["", "uninitialized\n", ID[1:], "\xff" * 32])
def test_what_is_no_id_is_passed_over(text: str, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_text(text, "latin-1")
    good.write_text(ID)
    assert unique_id((str(bad), str(good))) == ID


def test_without_any_source_there_still_is_one_and_always_the_same() -> None:
    found = unique_id(())
    assert re.fullmatch("[0-9a-f]{32}", found)
    machine_id._found.clear()
    assert unique_id(()) == found


def test_ours_has_the_form_that_flom_knows() -> None:
    assert re.fullmatch("[0-9a-f]{32}", unique_id())
