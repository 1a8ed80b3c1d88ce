"""What is written to a terminal, and what of it goes away again."""

from __future__ import annotations

import sys
from io import StringIO

import pytest

from flom.run import terminal


def test_an_error_is_one_line_whatever_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_error("no such file: 'a\nb'")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "'a" in said.err


def test_a_warning_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.warn("beware")
    assert capsys.readouterr().err == "flom: warning: beware\n"


def test_a_bug_is_shown_with_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_bug(KeyError("x"))
    assert capsys.readouterr().err == "flom: internal error: KeyError('x')\n"


def test_output_that_is_not_read_any_more_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Broken())
    terminal.tell("one")
    terminal.tell("two")
    assert sys.stdout.name == "/dev/null"


def test_what_is_no_terminal_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert not terminal.can_show(sys.stdout)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abc", 3, "abc"), ("abc", 2, "ab"), ("日本", 3, "日"), ("日本", 4, "日本"), ("", 0, "")],
)
def test_a_line_is_cut_to_the_columns_of_the_terminal(text: str, width: int, shown: str) -> None:
    assert terminal._cut(text, width) == shown
