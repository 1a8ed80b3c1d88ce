"""Which sessions a daemon keeps, and how long (L{flom.core.sessions})."""

from __future__ import annotations

import pytest

from flom.core.requests import SessionId
from flom.core.sessions import Owner, Session, SessionTable

TIMEOUT = 10.0


def begun(table: SessionTable, number: int) -> Session:
    """Begin a session that has a connection."""
    session = Session(SessionId(number), f"secret {number}", Owner(b"", None), "a connection")
    table.begin(session)
    return session


def test_one_whose_client_is_back_in_time_goes_on() -> None:
    table = SessionTable(TIMEOUT)
    session = begun(table, 1)
    assert table.suspend(session, 100.0)
    assert (session.connection, table.next_deadline) == (None, 110.0)
    assert table.expire(109.9) == []
    assert table.find("secret 1") is session
    table.go_on(session, "another connection")
    assert session.connection == "another connection"
    assert table.next_deadline is None
    assert table.expire(200.0) == []


def test_one_whose_client_is_late_is_over() -> None:
    table = SessionTable(TIMEOUT)
    first, second = begun(table, 1), begun(table, 2)
    table.suspend(first, 100.0)
    table.suspend(second, 101.0)
    assert table.expire(110.0) == [first]
    assert (table.find("secret 1"), table.find("secret 2")) == (None, second)
    assert table.next_deadline == 111.0
    assert list(table) == [second]


def test_one_that_breaks_again_is_kept_anew_behind_the_others() -> None:
    table = SessionTable(TIMEOUT)
    first, second = begun(table, 1), begun(table, 2)
    table.suspend(first, 100.0)
    table.suspend(second, 101.0)
    table.go_on(first, "another connection")
    table.suspend(first, 102.0)
    assert table.expire(111.5) == [second]
    assert table.expire(112.0) == [first]


def test_one_that_ends_in_good_order_is_not_waited_for() -> None:
    table = SessionTable(TIMEOUT)
    session = begun(table, 1)
    table.suspend(session, 100.0)
    table.end(session)
    assert (table.find("secret 1"), table.next_deadline, table.expire(200.0)) == (None, None, [])


def test_without_a_timeout_none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    table = SessionTable(0.0)
    assert not table.suspend(begun(table, 1), 100.0)
    monkeypatch.setattr("flom.core.sessions.MOST_BROKEN", 1)
    table = SessionTable(TIMEOUT)
    assert [table.suspend(begun(table, number), 100.0) for number in (1, 2)] == [True, False]
    table.most_broken = float("inf")
    assert table.suspend(begun(table, 3), 100.0)
