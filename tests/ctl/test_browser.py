"""What C{flomctl top} shows, on a terminal of any size, and what keys change of it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flom.ctl.browser import Browser
from flom.ctl.screen import keys_in
from flom.status.deadlocks import find_deadlocks
from flom.status.model import Status
from tests.fakes.status import make_status
from tests.status.test_deadlocks import make_status as with_processes

MANY = make_status(*(f"R{number:03}" for number in range(200)))


def seen(browser: Browser, status: Status | None, width: int = 80, height: int = 24, problem: str = "") -> list[str]:
    """Return the lines that are shown, without empty ones at the end."""
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(browser.picture(status, width, height, problem))
    return capture.get().rstrip().splitlines()


def names(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if line.startswith("R") and line[1].isdigit()]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 12), (200, 60)])
def test_it_fits_the_terminal(width: int, height: int) -> None:
    lines = seen(Browser(None, "name"), MANY, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    assert any("? help" in line for line in lines)
    assert names(lines) == [f"R{number:03}" for number in range(height - 5)]
    assert lines[-1] == f"rows 1 to {height - 5} of 200, {205 - height} more"


def test_on_a_narrow_terminal_who_and_for_how_long_can_be_read() -> None:
    status = with_processes([(4711, "backup", "EX"), (4712, "N[5]", 4)], [(4713, "backup", "EX")])
    lines = seen(Browser(None, "name"), status, 40, 12)
    assert any("holds EX" in line and "4711" in line and "1 s" in line for line in lines)
    assert any("waits EX" in line and "4713" in line for line in lines)
    assert any("holds 4 units" in line for line in lines)


def test_at_80_columns_what_is_long_is_cut_and_nothing_else() -> None:
    status = make_status("R1", "licences[50]", "an.element.of.a.long.set", "/a/long/way/down/a/hierarchy", "R1")
    lines = seen(Browser(None, "name"), status)
    heading = next(line for line in lines if "RESOURCE" in line)
    assert heading.split() == ["RESOURCE", "FREE", "STATE", "WHO", "MODE", "ELEMENT", "FOR"]
    assert sum(line.endswith(" 0 s") for line in lines) == 5
    assert any("…" in line for line in lines)


def test_keys_scroll_as_far_as_there_are_rows() -> None:
    browser = Browser(None, "name")
    seen(browser, MANY)
    for key, first in (("down", 1), ("j", 2), ("k", 1), ("up", 0), ("up", 0), ("page down", 18), (" ", 36)):
        browser.press(key)
        assert names(seen(browser, MANY))[0] == f"R{first:03}"
    for key, first in (("end", 181), ("down", 181), ("page up", 163), ("home", 0), ("G", 181), ("g", 0)):
        browser.press(key)
        assert names(seen(browser, MANY))[0] == f"R{first:03}"
    browser.press("end")
    assert seen(browser, MANY)[-1] == "rows 182 to 200 of 200"
    assert names(seen(browser, make_status("R1"))) == ["R1"]


def test_a_filter_is_typed_and_taken_back() -> None:
    browser = Browser(None, "name")
    for key in "/R01x":
        browser.press(key)
    assert "nothing matches 'R01x'" in seen(browser, MANY)
    browser.press("backspace")
    assert names(seen(browser, MANY)) == [f"R{number:03}" for number in range(10, 20)]
    browser.press("enter")
    browser.press("w")  # it sorts again, and is not typed
    assert len(names(seen(browser, MANY))) == 10
    assert not browser.is_over
    browser.press("escape")
    assert seen(browser, MANY)[-1].endswith("of 200, 181 more")


def test_a_filter_finds_states_and_clients_too() -> None:
    status = with_processes([(4711, "R1", "EX"), (4712, "R2", "EX")], [(4713, "R2", "EX")])
    for typed, found in (("waits", "R2"), ("4711", "R1"), ("PID 4713", "R2")):
        browser = Browser(None, "name")
        for key in f"/{typed}":
            browser.press(key)
        assert set(names(seen(browser, status))) == {found}


def test_the_name_stands_in_the_first_row_however_far_it_is_scrolled() -> None:
    status = with_processes([(1, "R1", "EX")], [(number, "R1", "EX") for number in range(2, 100)])
    browser = Browser(None, "name")
    seen(browser, status)
    browser.press("page down")
    assert names(seen(browser, status)) == ["R1"]


def test_help_shows_the_keys_until_another_key_comes() -> None:
    browser = Browser(None, "name")
    browser.press("?")
    assert "q" in [line.split()[0] for line in seen(browser, MANY, 40, 12)]
    browser.press("q")
    assert not browser.is_over
    assert names(seen(browser, MANY))


def test_what_is_wrong_has_a_line_of_its_own() -> None:
    status = with_processes([(1, "A", "EX"), (2, "B", "EX")], [(1, "B", "EX"), (2, "A", "EX")])
    status = status.replace(daemon=status.daemon.replace(draining=True), deadlocks=find_deadlocks(status))
    assert seen(Browser(None, "name"), status)[1] == "1 deadlock; draining"
    assert seen(Browser(None, "name"), None, problem="no daemon is listening")[0] == (
        "daemon unreachable, trying again: no daemon is listening"
    )


def test_the_headline_keeps_what_changes() -> None:
    status = make_status("R")
    daemon = status.daemon.replace(group="ff02::1", role="leader", connected=12, host="h" * 30)
    assert "0.0 grants/s, 12 connections" in seen(Browser(None, "name"), status.replace(daemon=daemon))[0]


def test_keys_that_terminals_send() -> None:
    assert keys_in(b"\x1b[A\x1bOBj\x1b[5~\x7f\r\x1b") == ["up", "down", "j", "page up", "backspace", "enter", "escape"]
    assert keys_in(b"") == [""]
    assert keys_in("ä\x1b[1;5C".encode()) == ["ä", "\x1b[1;5C"]
