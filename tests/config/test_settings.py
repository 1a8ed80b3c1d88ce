"""The one table of settings fits the rooms that use it, and has no name twice."""

from __future__ import annotations

from collections import Counter

import pytest

from flom.config import DAEMON, RUNNER, SETTINGS, Config
from flom.core.group.election import DEFAULT_TIMING
from flom.net.keepalive import DEFAULT_KEEPALIVE


def test_the_defaults_are_those_of_the_rooms_that_use_them() -> None:
    assert Config().timing == DEFAULT_TIMING
    assert Config().keepalive == DEFAULT_KEEPALIVE


@pytest.mark.parametrize("program", [RUNNER, DAEMON])
def test_no_two_settings_of_a_program_share_a_name(program: str) -> None:
    settings = [setting for setting in SETTINGS if program in setting.programs]
    names = Counter(name for setting in settings for name in (setting.long, setting.short) if name)
    assert set(names.values()) == {1}


def test_no_two_settings_share_a_key_in_a_file() -> None:
    assert len({setting.place for setting in SETTINGS}) == len(SETTINGS)


def test_every_setting_can_be_shown() -> None:
    """Daemon and command trace all of them, and a file that both read may have those of the other one."""
    config = Config(listen=("tcp:28015", "unix:/flom"), ignored_signals=(15, 1))
    shown = [setting.show(config) for setting in SETTINGS]
    assert "[Daemon]/Listen='tcp:28015;unix:/flom'" in shown
    assert "[Monitor]/IgnoredSignals='SIGHUP;SIGTERM'" in shown


def test_a_config_is_a_value() -> None:
    config = Config(verbose=True, timeout_ms=5)
    assert config == Config(timeout_ms=5, verbose=True, quantity=1)
    assert hash(config) == hash(Config(timeout_ms=5, verbose=True, quantity=1))
    assert config != Config(verbose=True)
    assert repr(config) == "Config(verbose=True, timeout_ms=5)"


def test_a_config_is_replaced_and_never_changed() -> None:
    config = Config(verbose=True)
    assert config.replace(verbose=False, timeout_ms=5) == Config(timeout_ms=5)
    assert config == Config(verbose=True)
    with pytest.raises(AttributeError, match="verbose: a Config does not change"):
        config.verbose = False  # type: ignore[misc]


def test_a_config_has_only_the_fields_of_the_table() -> None:
    with pytest.raises(TypeError, match="there is no setting 'colour'"):
        Config(colour="red")  # type: ignore[call-arg]
