"""Where the command line says that the daemon is."""

from __future__ import annotations

from pathlib import Path

import pytest

from flom.config import Config
from flom.ctl.options import Parser
from flom.ctl.place import add_place, config_of
from flom.errors import ConfigError


def read(*words: str) -> Config:
    parser = Parser()
    add_place(parser)
    return config_of(parser.parse_args(words))


def test_a_place_replaces_that_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "flom.conf"
    file.write_text("[Daemon]\nUnicastAddress=192.0.2.1\nUnicastPort=4711\n")
    config = read("-c", str(file), "-s", "/tmp/sock")
    assert (config.socket_name, config.unicast_address, config.unicast_port) == ("/tmp/sock", "", 4711)


def test_a_place_in_the_environment_is_that_of_flom_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOM_ADDRESS", "lockhost:4711")
    assert read() == Config(unicast_address="lockhost", unicast_port=4711)
    assert read("-s", "/tmp/sock").unicast_address == ""


def test_a_group_has_the_names_of_flomctl_discover_too() -> None:
    config = read("--group", "ff02::1", "--interface", "lo")
    assert (config.multicast_address, config.network_interface) == ("ff02::1", "lo")


def test_tls_needs_all_its_files(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch()
    with pytest.raises(ConfigError, match="TLS needs"):
        read("-a", "localhost", "--tls-private-key", str(file))
