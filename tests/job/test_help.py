"""Help texts: every option once, in a group, on a terminal of 80 columns."""

from __future__ import annotations

from collections import Counter

import pytest

from flom.config import DAEMON, RUNNER, SETTINGS, Config
from flom.job.command_line import NOT_OF_FLOM, OPTIONS, parse
from flom.job.help import show_default, usage
from flom.tap import Options

TEXTS = {
    "flom-run": usage("flom-run"),
    "flom-run, all": usage("flom-run", is_all=True),
    "flom": usage("flom"),
    "twistd flom": str(Options()),
}


def listed(text: str) -> list[str]:
    """Return the long names of the options that a help text lists, in its order."""
    words = [line.split()[:2] for line in text.splitlines() if line.startswith(("  -", "      --"))]
    return [next(word for word in both if word.startswith("--")).strip("-,") for both in words]


@pytest.mark.parametrize("program", TEXTS)
def test_a_help_text_fits_80_columns(program: str) -> None:
    assert max(map(len, TEXTS[program].splitlines())) <= 80


def test_the_first_help_text_fits_a_screen() -> None:
    assert len(TEXTS["flom-run"].splitlines()) <= 50
    assert set(listed(TEXTS["flom-run"])) < set(listed(TEXTS["flom-run, all"]))


@pytest.mark.parametrize("program", ["flom-run, all", "twistd flom"])
def test_a_group_fits_a_screen(program: str) -> None:
    assert max(group.count("\n") for group in TEXTS[program].split("\n\n")) <= 24


def test_all_options_of_flom_run_are_listed_once() -> None:
    options = [setting.long for setting in OPTIONS]
    assert Counter(listed(TEXTS["flom-run, all"])) == Counter([*options, "help"])
    flom = [setting.long for setting in OPTIONS if setting.field not in NOT_OF_FLOM]
    assert Counter(listed(TEXTS["flom"])) == Counter([*flom, "help"])
    assert {setting.long for setting in SETTINGS if RUNNER in setting.programs} <= set(options)


def test_the_options_of_the_daemon_are_listed_but_for_internal_ones() -> None:
    shorter = {"multicast-address": "group", "multicast-port": "port", "network-interface": "interface"}
    options = [shorter.get(setting.long, setting.long) for setting in SETTINGS if DAEMON in setting.programs]
    assert Counter(listed(TEXTS["twistd flom"])) == Counter([*options, "config-file", "help", "version"])
    for option in listed(TEXTS["twistd flom"]):
        assert hasattr(Options(), f"opt_{option.replace('-', '_')}") or option in Options().synonyms


def test_all_help_is_asked_for_by_a_word() -> None:
    assert parse(["--help=all"]).help_all
    assert not parse(["--help"]).help_all


def test_defaults_are_shown_as_options_say_them() -> None:
    shown = {setting.field: show_default(setting) for setting in SETTINGS}
    assert (shown["lock_mode"], shown["create"], shown["timeout_ms"], shown["http"]) == ("EX", "yes", "-1", "")
    assert Config().create
