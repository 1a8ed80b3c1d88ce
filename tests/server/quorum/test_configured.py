"""The quorum of a daemon, as its configuration has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flom.config import Config
from flom.core.quorum.times import DEFAULT
from flom.errors import ConfigError
from flom.server.quorum.configured import gateway_of, quorum_of, times_of
from tests.fakes.reactors import MemoryReactor

PLAIN = "etcd:http://h1:2379,http://h2:2379/locks"


def test_the_margin_is_a_fifth_of_the_session_unless_it_is_said() -> None:
    assert times_of(Config(session_timeout_ms=5000)) == DEFAULT
    assert times_of(Config(session_timeout_ms=5000, quorum_margin_ms=2000)).margin == 2.0


def test_the_gateway_has_the_addresses_and_the_prefix() -> None:
    gateway = gateway_of(Config(quorum=PLAIN), MemoryReactor())
    assert gateway.address.endpoints == ("http://h1:2379", "http://h2:2379")
    assert gateway.address.key("leader") == "/locks/leader"


def test_the_password_must_be_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    file.chmod(0o644)
    config = Config(quorum=PLAIN, quorum_user="flom", quorum_password_file=str(file))
    with pytest.raises(ConfigError, match=f"quorum-password-file: '{file}' cannot be used: others may read"):
        gateway_of(config, MemoryReactor())
    file.chmod(0o600)
    gateway_of(config, MemoryReactor())


def test_a_daemon_is_known_by_its_host_and_process() -> None:
    config = Config(quorum=PLAIN, session_timeout_ms=5000)
    first, second = (quorum_of(config, MemoryReactor(), None) for _ in range(2))
    assert first.identity != second.identity
    assert "pid" in first.identity
