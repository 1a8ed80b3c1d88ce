"""
The one table of settings: how options and files say each, how C{--verbose} shows it, and that no name stands twice
(docs/compatibility.md, "Options", "Verbose output").
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flom.config import DAEMON, RUNNER, SETTINGS, Config, Setting, runtime_socket, state_directory
from flom.core.group.timing import DEFAULT_TIMING
from flom.core.modes import LockMode
from flom.errors import ConfigError
from flom.job.command_line import parse
from flom.job.help import usage
from flom.net.keepalive import DEFAULT_KEEPALIVE
from tests.config.rows import ROWS, Row
from tests.fakes.programs import RunHere
from tests.fakes.reading import config_in, config_of


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


# every setting


each_setting = pytest.mark.parametrize("row", ROWS, ids=[row.long for row in ROWS])


def setting_of(row: Row) -> Setting:
    (found,) = [setting for setting in SETTINGS if setting.long == row.long and RUNNER in setting.programs]
    return found


def test_this_table_knows_every_setting() -> None:
    assert [row.field for row in ROWS] == [setting.field for setting in SETTINGS if RUNNER in setting.programs]


@each_setting
def test_an_option_is_read_in_every_form(row: Row) -> None:
    value = [row.text] if row.text else []
    forms = [[f"--{row.long}", *value]] + ([[f"--{row.long}={row.text}"]] if value else [])
    if row.short:
        forms += [[f"-{row.short}", *value], [f"-{row.short}{row.text}"]]
    for form in forms:
        assert parse([*form, "--", "ls"]).command == ["ls"]
        assert config_of(*form) == Config(**{row.field: row.value})


@each_setting
def test_a_key_of_a_file_sets_the_same(row: Row) -> None:
    assert config_in(f"[{row.group}]\n{row.key}={row.in_file}\n") == Config(**{row.field: row.value})


@each_setting
def test_the_verbose_line_shows_it_under_its_key(row: Row) -> None:
    assert setting_of(row).show(Config(**{row.field: row.value})) == f"[{row.group}]/{row.key}={row.shown}"


@each_setting
def test_the_help_text_tells_of_it(row: Row) -> None:
    names = f"-{row.short}, --{row.long}" if row.short else f"    --{row.long}"
    assert [line for line in usage("flom-run", is_all=True).splitlines() if f"{line} ".startswith(f"  {names} ")]


def test_verbose_shows_the_defaults_in_the_order_of_the_manual(run_here: RunHere) -> None:
    """What FLoM does not have comes at the end."""
    assert run_here("-V").stdout.splitlines() == [
        "[Trace]/DaemonTraceFile=''",
        "[Trace]/CommandTraceFile=''",
        "[Trace]/AppendTraceFile=0",
        "[Trace]/Verbose=1",
        "[Resource]/Name='_RESOURCE'",
        "[Resource]/Timeout=-1",
        "[Resource]/Quantity=1",
        "[Resource]/LockMode=5",
        "[Resource]/Create=1",
        "[Resource]/IdleLifespan=0",
        "[Daemon]/SocketName=''",
        "[Daemon]/Lifespan=5000",
        "[Daemon]/UnicastAddress=''",
        "[Daemon]/UnicastPort=28015",
        "[Daemon]/MulticastAddress=''",
        "[Daemon]/MulticastPort=28015",
        "[Daemon]/MountPointVFS=''",
        "[Monitor]/IgnoredSignals=''",
        "[Network]/NetworkInterface=''",
        "[Network]/DiscoveryAttempts=2",
        "[Network]/DiscoveryTimeout=500",
        "[Network]/DiscoveryTTL=1",
        "[Network]/TcpKeepaliveTime=60",
        "[Network]/TcpKeepaliveIntvl=10",
        "[Network]/TcpKeepaliveProbes=6",
        "[TLS]/TlsCertificate=''",
        "[TLS]/TlsPrivateKey=''",
        "[TLS]/TlsCaCertificate=''",
        "[TLS]/TlsCheckPeerId=0",
        "[Command]/Close=0",
        "[Command]/KeepPlace=0",
        "[Daemon]/AllowRemoteShutdown=0",
        "[Daemon]/AllowLocalShutdown=0",
        "[Daemon]/Heartbeat=400",
        "[Daemon]/LeaderTimeout=1750",
        "[Daemon]/ElectionTime=500",
        "[Daemon]/GroupKey=''",
        "[Daemon]/GroupKeyRequired=0",
        "[Limits]/MaxConnections=50000",
        "[Limits]/MaxConnectionsPerPeer=20000",
        "[Limits]/MaxWaiters=50000",
        "[Limits]/MaxResources=1000000",
        "[Limits]/MaxLocksPerConnection=1000",
        "[Limits]/MaxOvertaking=16",
        "[Limits]/MaxMessageSize=511",
        "[Limits]/MessageTimeout=30000",
        "[Limits]/UnreadTimeout=30000",
        "[Limits]/SessionTimeout=10000",
        "[Limits]/Sessions='optional'",
        "[Command]/ConflictExitCode=98",
        "[Command]/OnLost='warn'",
        "[Command]/KillAfter=-1",
        "[Command]/History=''",
        "[Command]/StatusFile=''",
        "[Command]/Quiet=0",
        "[Resource]/Type=''",
        "[Resource]/Nested='refuse'",
        "[Resource]/MaxHold=0",
        "[Resource]/LockDelay=-1",
        "[Command]/NotifyWanted=''",
    ]


@pytest.mark.parametrize(
    ("words", "from_a_file"),
    [
        (["-o", "-1"], {"timeout_ms": 5}),
        (["-q", "1"], {"quantity": 5}),
        (["-e", "yes"], {"create": False}),
        (["-i", "0"], {"idle_lifespan_ms": 5}),
        (["-l", "EX"], {"lock_mode": LockMode.PR}),
        (["-d", "5000"], {"lifespan_ms": 5}),
        (["-p", "28015"], {"unicast_port": 5}),
        (["-P", "28015"], {"multicast_port": 5}),
        (["-D", "2"], {"discovery_attempts": 5}),
        (["-I", "500"], {"discovery_timeout_ms": 5}),
        (["--discovery-ttl", "1"], {"discovery_ttl": 5}),
        (["--tcp-keepalive-time", "60"], {"keepalive_time": 5}),
        (["--tcp-keepalive-intvl", "10"], {"keepalive_interval": 5}),
        (["--tcp-keepalive-probes", "6"], {"keepalive_probes": 5}),
        (["--tls-check-peer-id", "no"], {"tls_check_peer_id": True}),
        (["--append-trace-file", "no"], {"append_trace_file": True}),
    ],
)
def test_an_option_with_the_default_value_overrides_a_file_too(words: list[str], from_a_file: dict[str, Any]) -> None:
    assert config_of(*words, **from_a_file) == Config()


def test_signals_are_shown_once_and_in_the_order_of_their_numbers() -> None:
    words = ["SIGTERM", "1", "SIGKILL", "9", "SIGINT"]
    config = config_of(*[f"--ignore-signal={word}" for word in words])
    (setting,) = [setting for setting in SETTINGS if setting.field == "ignored_signals"]
    assert setting.show(config) == "[Monitor]/IgnoredSignals='SIGHUP;SIGINT;SIGKILL;SIGTERM'"


def test_the_run_time_directory_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_socket() == f"{tmp_path}/flom"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a directory of another user")
def test_the_run_time_directory_of_another_user_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # as after su
    os.chown(tmp_path, 65534, 65534)
    assert str(tmp_path) not in runtime_socket()


def test_the_state_directory_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_directory() == f"{tmp_path}/flom"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_directory() == f"{tmp_path}/.local/state/flom"
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert state_directory() == "/var/lib/flom"


@pytest.mark.parametrize("home", ["/nonexistent", "/"])
def test_without_a_home_there_is_no_state_directory(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setenv("HOME", home)
    assert state_directory() == ""


# the type of the resource


NAMES = {
    "simple": "R1",
    "numeric": "N[3]",
    "set": "foo.lock",
    "hierarchical": "/foo.lock",
    "sequence": "_S_a[1]",
    "timestamp": "_t_%S[1]",
}


@pytest.mark.parametrize("type_name", NAMES)
def test_a_resource_of_another_type_than_what_is_meant_is_refused(type_name: str) -> None:
    for is_of, name in NAMES.items():
        config = config_of("--type", type_name, "-r", name)
        if is_of == type_name:
            config.check_type()
            continue
        with pytest.raises(ConfigError, match=f"is of type {is_of}, not {type_name}") as refused:
            config.check_type()
        assert ("; '/foo.lock' is one lock" in str(refused.value)) == (is_of == "set")
        config.replace(resource_type="").check_type()


def test_a_type_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="type: 'mutex' is none of simple, numeric, set"):
        config_of("--type", "mutex")


# the quorum


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"quorum_certificate": "/c"}, "quorum-cert: '/c' needs quorum-key too"),
        ({"quorum_private_key": "/k"}, "quorum-key: '/k' needs quorum-cert too"),
        ({"quorum_user": "flom"}, "quorum-user: 'flom' needs quorum-password-file too"),
    ],
)
def test_what_belongs_together_for_a_quorum_is_given_together(given: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Config(quorum="etcd:http://h1:2379", **given).check_quorum()  # type: ignore[arg-type]


def test_what_is_for_a_quorum_alone_needs_one() -> None:
    with pytest.raises(ConfigError, match="fast: 'yes' needs quorum too"):
        Config(fast=True).check_quorum()
    with pytest.raises(ConfigError, match="quorum-ca: '/ca' needs quorum too"):
        Config(quorum_ca="/ca").check_quorum()
    Config().check_quorum()
    Config(quorum="etcd:http://h1:2379", fast=True, quorum_user="flom", quorum_password_file="/p").check_quorum()
