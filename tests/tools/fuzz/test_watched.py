"""What is a leak, and what a client has asked for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.fuzz.watched import what_is_left

_HELD = {"name": "R", "holders": [{"number": 7}], "waiters": [], "idle_left": None}
_QUEUED = {"name": "R", "holders": [], "waiters": [{"number": 7}], "idle_left": None}
_IDLE = {"name": "R", "holders": [], "waiters": []}


def _status(*resources: dict[str, Any], incubator: int = 0, connected: int = 1) -> dict[str, Any]:
    return {"resources": list(resources), "incubator": [{}] * incubator, "daemon": {"connected": connected}}


@pytest.mark.parametrize(
    ("status", "left"),
    [
        (_status(), set()),
        (_status(_HELD), {"resources"}),
        (_status(_QUEUED), {"resources"}),
        (_status(incubator=1), {"incubator"}),
        (_status(connected=2), {"connected"}),
        (_status({**_IDLE, "idle_left": None}), {"resources"}),
        (_status({**_IDLE, "idle_left": -0.5}), {"resources"}),
        (_status({**_IDLE, "idle_left": 9.9}), {"resources"}),
        (_status({**_IDLE, "idle_left": 10.1}), set()),
        (_status({**_IDLE, "idle_left": 2147463.194}), set()),
    ],
)
def test_nobody_may_be_left_but_a_resource_that_was_asked_to_stay(status: dict[str, Any], left: set[str]) -> None:
    assert set(what_is_left(status, patience=10.0)) == left
