"""What C{flomctl} writes when something is wrong."""

from __future__ import annotations

import sys

import pytest

from flom.ctl.output import FAILED, print_error, print_warning, report
from flom.errors import FlomError


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("two\nlines")
    assert capsys.readouterr().err == "flomctl: two\\nlines\n"


def test_a_warning_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_warning("it is late")
    assert capsys.readouterr().err == "flomctl: warning: it is late\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FlomError("no daemon"), "flomctl: no daemon\n"),
        (OSError(2, "No such file"), "flomctl: [Errno 2] No such file\n"),
        (LookupError("a bug"), "flomctl: internal error: LookupError('a bug')\n"),
    ],
    ids=repr,
)
def test_an_exception_is_reported(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(error) == FAILED
    assert capsys.readouterr().err == line


def test_a_reader_that_has_seen_enough_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert report(BrokenPipeError()) == 0
    assert capsys.readouterr().err == ""
