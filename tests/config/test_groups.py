"""Every option stands in one group, and its value has a name."""

from __future__ import annotations

from collections import Counter

from flom.config import SETTINGS
from flom.config.groups import GROUPS, VALUES, title_of, value_name, values_of
from flom.config.parsers import read_mode_name, read_type
from flom.job.command_line import OPTIONS

ALL = {setting.long: setting for setting in (*SETTINGS, *OPTIONS)}


def test_every_option_has_its_group() -> None:
    named = [option for names in GROUPS.values() for option in names]
    assert [option for option, times in Counter(named).items() if times > 1] == []
    assert set(named) == {*ALL, "help"}


def test_what_takes_a_value_says_what_and_no_flag_does() -> None:
    wrong = [option for option, setting in ALL.items() if bool(value_name(option)) != (setting.from_option is not None)]
    assert wrong == []


def test_the_values_that_are_offered_are_taken() -> None:
    assert [read_mode_name(mode).name for mode in VALUES["MODE"]] == list(VALUES["MODE"])
    assert [read_type(name) for name in VALUES["TYPE"]] == list(VALUES["TYPE"])
    for setting in SETTINGS:
        for value in values_of(value_name(setting.long)):
            if setting.from_option is not None and not value.endswith(":"):
                setting.from_option(value)
    assert values_of("FILE") == ()


def test_a_title_is_that_of_the_group() -> None:
    assert title_of("heartbeat") == "Group of daemons"
