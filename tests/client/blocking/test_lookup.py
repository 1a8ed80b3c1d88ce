"""Names are looked up within a deadline."""

from __future__ import annotations

import socket
from threading import Event
from time import monotonic
from unittest.mock import Mock

import pytest

from flom.client.blocking.lookup import LookupTimeout, look_up_by


def test_what_is_found_in_time_is_returned() -> None:
    assert look_up_by(monotonic() + 60, "lockhost", lambda: "192.0.2.1") == "192.0.2.1"


def test_what_is_raised_in_time_is_raised() -> None:
    with pytest.raises(socket.gaierror, match="no such host"):
        look_up_by(monotonic() + 60, "lockhost", Mock(side_effect=socket.gaierror(-2, "no such host")))


def test_a_silent_name_server_is_waited_for_until_the_deadline() -> None:
    over = Event()
    with pytest.raises(LookupTimeout, match=r"^lockhost: no name server has answered in time$"):
        look_up_by(monotonic() + 0.05, "lockhost", over.wait)
    over.set()


def test_a_deadline_may_be_very_far_away() -> None:
    assert look_up_by(1e300, "lockhost", lambda: True)


def test_without_a_thread_it_takes_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.lean.start_new_thread", Mock(side_effect=RuntimeError("can't start new thread")))
    assert look_up_by(monotonic() - 1, "lockhost", lambda: True)
