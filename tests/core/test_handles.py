"""What a handle looks like, by which it is told apart from the name of a resource."""

from __future__ import annotations

import pytest

from flom.core.handles import SIZE, id_of, is_handle, make_handle

HANDLE = make_handle(bytes(range(20)))


def test_a_handle_shows_its_id_and_hides_a_secret() -> None:
    assert HANDLE == "hold-00010203-0405060708090a0b0c0d0e0f10111213"
    assert len(HANDLE) == SIZE
    assert is_handle(HANDLE)
    assert id_of(HANDLE) == "hold-00010203"


@pytest.mark.parametrize(
    "text",
    ["", "hold", "hold-", "db", id_of(HANDLE), HANDLE[:-1], f"{HANDLE}0", HANDLE.upper(), HANDLE.replace("1", "g")]
    + [HANDLE.replace("-", "_"), f"hold-{'0' * 41}", f" {HANDLE[1:]}"],
)
def test_anything_else_is_none(text: str) -> None:
    assert not is_handle(text)
