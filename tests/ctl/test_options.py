"""Reading a command line with argparse."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flom.ctl.options import Parser, Range


def test_only_the_options_of_the_command_that_is_run_are_made() -> None:
    made = []

    def add_options(parser: Parser) -> None:
        made.append(parser.prog)
        parser.add_argument("--some")

    parser = Parser(prog="program")
    commands = parser.add_subparsers()
    for name in ("one", "other"):
        commands.add_parser(name, add_options=add_options)
    assert parser.parse_args(["other", "--some", "thing"]).some == "thing"
    assert parser.parse_args(["other"]).some is None
    assert made == ["program other"]


def test_help_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = Parser(prog="program")
    parser.add_argument("--some", help="word " * 40)
    for columns in (60, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        widest = max(map(len, parser.format_help().splitlines()))
        assert columns - 10 < widest < columns


def test_the_width_is_not_asked_for_where_nothing_is_printed() -> None:
    script = "import sys; from flom.ctl.options import Parser; Parser().parse_args([]); print('shutil' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_range_has_both_its_ends() -> None:
    ports = Range(1, 65535)
    assert (0 in ports, 1 in ports, 65535 in ports, 65536 in ports) == (False, True, True, False)
    assert list(ports) == ["1 to 65535"]


@pytest.mark.parametrize(("typed", "hint"), [("stat", "did you mean status?"), ("xyz", "program --help lists all")])
def test_a_command_that_is_none_is_answered_by_a_like_one(
    typed: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Parser(prog="program")
    commands = parser.add_subparsers()
    for name in ("status", "top"):
        commands.add_parser(name)
    with pytest.raises(SystemExit):
        parser.parse_args([typed])
    assert capsys.readouterr().err == f"program: there is no command {typed!r}; {hint}\n"
