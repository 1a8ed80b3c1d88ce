"""C{--help} of C{flomctl}: in groups, for a terminal of 80 columns."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from flom.ctl.command_line import make_parser


def commands_of(parser: Any) -> dict[str, Any]:
    """Return the parsers of the commands of C{parser}, with all their options, by their names."""
    parser.complete()
    return {
        name: command
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    }


COMMANDS = commands_of(make_parser())


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_text_and_its_groups_fit_a_screen(name: str) -> None:
    COMMANDS[name].complete()
    text = COMMANDS[name].format_help()
    assert max(map(len, text.splitlines())) <= 80
    assert max(group.count("\n") for group in text.split("\n\n")) <= 24


def test_the_place_of_a_daemon_is_a_group_of_its_own() -> None:
    COMMANDS["status"].complete()
    text = COMMANDS["status"].format_help()
    assert "\nplace of the daemon:\n  -s PATH, --socket-name PATH\n" in text
    assert "VALUE" not in text


def test_a_command_says_what_it_does() -> None:
    assert "\nShow who blocks whom" in COMMANDS["wait-for"].format_help()
