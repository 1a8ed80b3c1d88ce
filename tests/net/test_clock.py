"""The clocks of this machine."""

from __future__ import annotations

import time

import pytest

from flom.net.clock import local_strftime, system_instant


def test_an_instant_has_both_clocks() -> None:
    before = (time.monotonic(), time.time())
    instant = system_instant()
    assert before[0] <= instant.monotonic <= time.monotonic()
    assert before[1] <= instant.wall <= time.time()


def test_a_time_is_written_in_the_local_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        assert local_strftime("%H:%M", 0.0) == "02:00"
    finally:
        monkeypatch.undo()
        time.tzset()
