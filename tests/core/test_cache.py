"""Results that are kept."""

from __future__ import annotations

import pytest

from flom.core.cache import Cache


def test_what_was_looked_up_is_made_once_until_there_are_too_many() -> None:
    asked: list[str] = []

    def make(text: str) -> int:
        asked.append(text)
        return int(text)

    cache = Cache(make, 2)
    assert [cache["1"], cache["2"], cache["1"]] == [1, 2, 1]
    assert asked == ["1", "2"]
    assert cache["3"] == 3  # for which the others are forgotten
    assert (cache["1"], asked) == (1, ["1", "2", "3", "1"])
    with pytest.raises(ValueError, match="no number"):
        cache["no number"]
    assert (cache["3"], len(asked)) == (3, 5)  # what raises is neither kept nor in the way
