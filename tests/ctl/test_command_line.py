"""The commands of C{flomctl}, and their options."""

from __future__ import annotations

import pytest

from flom.ctl.command_line import SORT_KEYS, find_command, parse
from flom.ctl.rows import ORDERS
from tests.ctl.peers import flomctl
from tests.fakes.programs import Programs, assert_refused


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("status", "show_status"),
        ("top", "show_live"),
        ("wait-for R1", "show_waiting"),
        ("discover -A ff02::1", "discover"),
        ("doctor -A ff02::1", "doctor"),
        ("certs init ca", "make_authority"),
        ("certs issue ca", "issue_certificate"),
        ("fence file -- true", "run_fenced"),
    ],
)
def test_each_command_has_what_runs_it(words: str, command: str) -> None:
    assert find_command(parse(words.split())).__name__ == command


def test_each_key_of_top_is_an_order() -> None:
    assert set(SORT_KEYS) == set(ORDERS)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "COMMAND"),
        ("status --nonsense", "--nonsense"),
        ("status -s a -a b", "not allowed"),
        ("wait-for one two", "two"),
    ],
)
def test_a_command_line_without_sense_is_one_line(programs: Programs, words: str, why: str) -> None:
    assert_refused(flomctl(programs, *words.split()), 2, why)
