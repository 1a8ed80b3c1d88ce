"""The annotated configuration file, docs/flom.conf, tells of everything that can be set, and tells the truth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from flom.config import SETTINGS, Config, Setting, merge

SAMPLE: Final = (Path(__file__).parents[2] / "docs" / "flom.conf").read_text()

EXAMPLES: Final = {
    "resource_name": "backup",
    "resource_type": "simple",
    "socket_name": "/run/flom.sock",
    "unicast_address": "lockhost.example",
    "on_lost": "warn",
    "log_format": "json",
    "http": "tcp:9180:interface=127.0.0.1",
    "multicast_address": "ff02::1",
    "network_interface": "eth0",
    "ignored_signals": (15, 1),
    "daemon_trace_file": "/var/log/flom/daemon.trace",
    "state": "/var/lib/flom",
    "command_trace_file": "/var/log/flom/command.trace",
    "quorum": "etcd:https://h1:2379,https://h2:2379,https://h3:2379/flom",
    "quorum_user": "flom",
    "hold_limits": "backup*=1h,10m",
    "lock_delays": "30s",
    "notify_wanted": "SIGUSR1",
    "listen": ("tcp:28015:interface=127.0.0.1", r"tcp6:28015:interface=\:\:1"),
}
"""What is switched on by taking away the #, where there is no default; the rest is files that must be there."""

ON_DISK: Final = {
    *("mount_point", "group_key", "tls_certificate", "tls_private_key", "tls_ca_certificate"),
    *("quorum_certificate", "quorum_private_key", "quorum_ca", "quorum_password_file"),
}


def warn(text: str) -> None:
    raise AssertionError(text)


def lines_of(setting: Setting) -> list[str]:
    """Return the values that the sample has for C{setting}, each behind a C{#}."""
    group, key = setting.place
    section = SAMPLE.partition(f"[{group}]\n")[2].partition("\n[")[0]
    return re.findall(rf"^#{key}=(.*)$", section, re.MULTILINE)


def test_as_it_stands_it_changes_nothing() -> None:
    assert merge(Config(), "flom.conf", SAMPLE, warn) == Config()


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.long)
def test_it_has_every_key_with_its_default_or_an_example(setting: Setting) -> None:
    [value] = lines_of(setting)
    if setting.field not in ON_DISK:
        expected = EXAMPLES.get(setting.field, getattr(Config(), setting.field))
        assert setting.from_file(value) == expected
