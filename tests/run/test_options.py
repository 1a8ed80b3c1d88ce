"""The command line and the configuration files, and which of them wins (spec 1.1-1.3, 2)."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import flom.config
from flom.config import (
    SETTINGS,
    Config,
    Setting,
    default_socket,
    load,
    merge,
    override,
    read_bool,
    read_c_int,
    read_decimal,
    read_mode,
)
from flom.core.modes import LockMode
from flom.errors import ConfigError
from flom.run.options import parse, usage


class Row(NamedTuple):
    """One setting, said in every way; an empty C{text} is for a flag."""

    field: str
    short: str
    long: str
    text: str
    value: Any
    group: str
    key: str
    in_file: str
    shown: str


ROWS = [
    Row("verbose", "V", "verbose", "", True, "Trace", "Verbose", "yes", "[Trace]/Verbose=1"),
    Row("resource_name", "r", "resource-name", "R1", "R1", "Resource", "Name", "R1", "[Resource]/Name='R1'"),
    Row("timeout_ms", "o", "resource-timeout", "0x10", 16, "Resource", "Timeout", "16", "[Resource]/Timeout=16"),
    Row("quantity", "q", "resource-quantity", "3", 3, "Resource", "Quantity", "3", "[Resource]/Quantity=3"),
    Row("lock_mode", "l", "lock-mode", "pr", LockMode.PR, "Resource", "LockMode", "PR", "[Resource]/LockMode=3"),
    Row("create", "e", "resource-create", "no", False, "Resource", "Create", "n", "[Resource]/Create=0"),
    Row(
        "idle_lifespan_ms",
        "i",
        "resource-idle-lifespan",
        "-700",
        700,
        "Resource",
        "IdleLifespan",
        "-700",
        "[Resource]/IdleLifespan=700",
    ),
    Row(
        "socket_name", "s", "socket-name", "/a/b", "/a/b", "Daemon", "SocketName", "/a/b", "[Daemon]/SocketName='/a/b'"
    ),
    Row("lifespan_ms", "d", "daemon-lifespan", "-1", -1, "Daemon", "Lifespan", "-1", "[Daemon]/Lifespan=-1"),
    Row(
        "unicast_address",
        "a",
        "unicast-address",
        "::1",
        "::1",
        "Daemon",
        "UnicastAddress",
        "::1",
        "[Daemon]/UnicastAddress='::1'",
    ),
    Row("unicast_port", "p", "unicast-port", "-010", 8, "Daemon", "UnicastPort", "-8", "[Daemon]/UnicastPort=8"),
    Row(
        "multicast_address",
        "A",
        "multicast-address",
        "ff02::1",
        "ff02::1",
        "Daemon",
        "MulticastAddress",
        "ff02::1",
        "[Daemon]/MulticastAddress='ff02::1'",
    ),
    Row(
        "multicast_port", "P", "multicast-port", "-010", 8, "Daemon", "MulticastPort", "-8", "[Daemon]/MulticastPort=8"
    ),
    Row(
        "network_interface",
        "n",
        "network-interface",
        "lo",
        "lo",
        "Network",
        "NetworkInterface",
        "lo",
        "[Network]/NetworkInterface='lo'",
    ),
    Row(
        "discovery_attempts",
        "D",
        "discovery-attempts",
        "-3",
        3,
        "Network",
        "DiscoveryAttempts",
        "3",
        "[Network]/DiscoveryAttempts=3",
    ),
    Row(
        "discovery_timeout_ms",
        "I",
        "discovery-timeout",
        "0x10",
        16,
        "Network",
        "DiscoveryTimeout",
        "16",
        "[Network]/DiscoveryTimeout=16",
    ),
    Row(
        "discovery_ttl",
        "",
        "discovery-ttl",
        "255",
        255,
        "Network",
        "DiscoveryTTL",
        "-255",
        "[Network]/DiscoveryTTL=255",
    ),
    Row(
        "keepalive_time",
        "",
        "tcp-keepalive-time",
        "-61",
        61,
        "Network",
        "TcpKeepaliveTime",
        "61",
        "[Network]/TcpKeepaliveTime=61",
    ),
    Row(
        "keepalive_interval",
        "",
        "tcp-keepalive-intvl",
        "11",
        11,
        "Network",
        "TcpKeepaliveIntvl",
        "-11",
        "[Network]/TcpKeepaliveIntvl=11",
    ),
    Row(
        "keepalive_probes",
        "",
        "tcp-keepalive-probes",
        "7",
        7,
        "Network",
        "TcpKeepaliveProbes",
        "7",
        "[Network]/TcpKeepaliveProbes=7",
    ),
    Row("close", "", "close", "", True, "Command", "Close", "yes", "[Command]/Close=1"),
]

INTEGERS = [row for row in ROWS if type(row.value) is int]

each_setting = pytest.mark.parametrize("row", ROWS, ids=[row.long for row in ROWS])


def setting_of(row: Row) -> Setting:
    (found,) = [setting for setting in SETTINGS if setting.long == row.long]
    return found


def configure(words: Sequence[str], **defaults: Any) -> Config:
    """Read a command line without looking at files."""
    return override(Config(**defaults), parse(words).options)


def test_this_table_knows_every_setting() -> None:
    assert [row.field for row in ROWS] == [setting.field for setting in SETTINGS]


@each_setting
def test_an_option_is_read_in_every_form(row: Row) -> None:
    value = [row.text] if row.text else []
    forms = [[f"--{row.long}", *value], [f"--{row.long}={row.text}"]]
    if row.short:
        forms += [[f"-{row.short}", *value], [f"-{row.short}{row.text}"]]
    for form in forms:
        line = parse([*form, "--", "ls"])
        assert line.command == ["ls"]
        assert override(Config(), line.options) == Config(**{row.field: row.value})


@each_setting
def test_a_key_of_a_file_sets_the_same(row: Row) -> None:
    assert merge(Config(), "f", f"[{row.group}]\n{row.key}={row.in_file}\n") == Config(**{row.field: row.value})


@each_setting
def test_the_verbose_line_shows_it_under_its_key(row: Row) -> None:
    assert setting_of(row).show(Config(**{row.field: row.value})) == row.shown


def test_the_verbose_lines_of_the_defaults_are_those_of_the_manual_in_its_order() -> None:
    assert [setting.show(Config()) for setting in SETTINGS] == [
        "[Trace]/Verbose=0",
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
        "[Network]/NetworkInterface=''",
        "[Network]/DiscoveryAttempts=2",
        "[Network]/DiscoveryTimeout=500",
        "[Network]/DiscoveryTTL=1",
        "[Network]/TcpKeepaliveTime=60",
        "[Network]/TcpKeepaliveIntvl=10",
        "[Network]/TcpKeepaliveProbes=6",
        "[Command]/Close=0",
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
    ],
)
def test_an_option_with_the_default_value_overrides_a_file_too(words: list[str], from_a_file: dict[str, Any]) -> None:
    assert configure(words, **from_a_file) == Config()


@each_setting
def test_the_help_text_tells_of_it(row: Row) -> None:
    assert f"--{row.long}" in usage()


@pytest.mark.parametrize("text", ["", "x", "5x", "5 ", "0x", "08", "1.5", "2147483648", "-2147483649", "٣"])
def test_an_integer_option_that_is_none_is_refused_by_name(text: str) -> None:
    for row in INTEGERS:
        with pytest.raises(ConfigError, match=f"{row.long}: '{text}' is an invalid value"):
            configure([f"--{row.long}={text}"])


@pytest.mark.parametrize("text", ["", "x", "5x", "0x10", "1.5", "2147483648", "-2147483649"])
def test_an_integer_of_a_file_that_is_none_is_refused_by_file_and_key(text: str) -> None:
    for row in INTEGERS:
        with pytest.raises(ConfigError, match=rf"'/etc/f'.*\[{row.group}\] {row.key}='{text}'"):
            merge(Config(), "/etc/f", f"[{row.group}]\n{row.key}={text}\n")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("12", 12),
        ("+12", 12),
        ("-12", -12),
        ("  12", 12),
        ("010", 8),
        ("-010", -8),
        ("0x1f", 31),
        ("0XFF", 255),
        ("-0x10", -16),
        ("2147483647", 2**31 - 1),
        ("-2147483648", -(2**31)),
    ],
)
def test_an_integer_on_the_command_line_is_read_with_base_0(text: str, value: int) -> None:
    assert read_c_int(text) == value
    assert configure(["-o", text]).timeout_ms == value


@pytest.mark.parametrize(("text", "value"), [("12", 12), ("010", 10), ("-12", -12), ("+3", 3), (" 12 ", 12)])
def test_an_integer_in_a_file_is_decimal(text: str, value: int) -> None:
    assert read_decimal(text) == value
    assert merge(Config(), "f", f"[Resource]\nTimeout={text}\n").timeout_ms == value


YES_OR_NO = [
    ("yes", True),
    ("no", False),
    ("y", True),
    ("n", False),
    ("YES", True),
    ("No", False),
    ("never", False),
    ("any", False),
    ("maybe", True),
    ("yes or no", False),
]


@pytest.mark.parametrize(("text", "value"), YES_OR_NO)
def test_yes_or_no_is_searched_for(text: str, value: bool) -> None:
    assert read_bool(text) is value
    assert configure(["-e", text]).create is value
    assert merge(Config(), "f", f"[Resource]\nCreate={text}\n").create is value


@pytest.mark.parametrize("text", ["", "1", "0", "true"])
def test_what_holds_neither_yes_nor_no_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"resource-create: '{text}' is an invalid value"):
        configure(["-e", text])
    with pytest.raises(ConfigError, match=rf"\[Resource\] Create='{text}'"):
        merge(Config(), "f", f"[Resource]\nCreate={text}\n")


MODES = [
    ("NL", LockMode.NL),
    ("nulllock", LockMode.NL),
    ("cr", LockMode.CR),
    ("ConcurrentRead", LockMode.CR),
    ("CW", LockMode.CW),
    ("concurrentWRITE", LockMode.CW),
    ("PR", LockMode.PR),
    ("ProtectedRead", LockMode.PR),
    ("PW", LockMode.PW),
    ("ProtectedWrite", LockMode.PW),
    ("EX", LockMode.EX),
    ("Exclusive", LockMode.EX),
    ("prot", LockMode.PR),
    ("next", LockMode.EX),
    ("EXPR", LockMode.PR),
    ("PRPW", LockMode.PW),
    ("EXNL", LockMode.NL),
    ("CWCR", LockMode.CR),
]


@pytest.mark.parametrize(("text", "mode"), MODES)
def test_a_lock_mode_is_searched_for_in_flom_s_order(text: str, mode: LockMode) -> None:
    assert read_mode(text) is mode
    assert configure(["-l", text]).lock_mode is mode
    assert merge(Config(), "f", f"[Resource]\nLockMode={text}\n").lock_mode is mode


@pytest.mark.parametrize("text", ["", "5", "read"])
def test_what_holds_no_lock_mode_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"lock-mode: '{text}' is an invalid value"):
        configure(["-l", text])


@pytest.mark.parametrize("text", ["", "1a", "a b", "a_b", "/", "a..b", "N[x]", "_RESOURCE"])
def test_a_bad_name_is_refused_whoever_gives_it(text: str) -> None:
    with pytest.raises(ConfigError, match=f"'{text}'".replace("[", r"\[")):
        configure(["-r", text])
    with pytest.raises(ConfigError, match=r"\[Resource\] Name="):
        merge(Config(), "f", f"[Resource]\nName={text}\n")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("unicast-port", "0"),
        ("unicast-port", "65536"),
        ("unicast-port", "-65536"),
        ("multicast-port", "0"),
        ("multicast-port", "70000"),
        ("discovery-timeout", "0"),
        ("discovery-timeout", "3600001"),
        ("discovery-ttl", "256"),
        ("resource-quantity", "-1"),
        ("tcp-keepalive-time", "0"),
        ("tcp-keepalive-time", "32768"),
        ("tcp-keepalive-intvl", "0"),
        ("tcp-keepalive-probes", "0"),
        ("tcp-keepalive-probes", "128"),
        ("socket-name", "/" + "x" * 107),
        ("socket-name", "é" * 54),
    ],
)
def test_a_value_out_of_range_is_refused(option: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}: '{text}' is an invalid value"):
        configure([f"--{option}={text}"])


def test_a_socket_name_may_have_107_bytes() -> None:
    assert configure(["-s", "x" * 107]).socket_name == "x" * 107


def test_a_quantity_of_0_is_1() -> None:
    assert configure(["-q", "0"]).quantity == 1
    assert merge(Config(), "f", "[Resource]\nQuantity=0\n").quantity == 1


def test_no_attempt_and_no_router_are_one_of_each() -> None:
    assert configure(["-D", "0", "--discovery-ttl", "0"]) == Config(discovery_attempts=1, discovery_ttl=1)


# the command line as a whole


def test_everything_after_two_dashes_is_the_command_s() -> None:
    assert parse(["-r", "R1", "--", "ls", "-r", "--", "--help"]).command == ["ls", "-r", "--", "--help"]


def test_options_are_taken_wherever_they_stand_before_two_dashes() -> None:
    line = parse(["echo", "-n", "hello", "x"])
    assert line.command == ["echo", "x"]
    assert [text for _, text in line.options] == ["hello"]
    assert parse(["sh", "--", "-c", "echo hi"]).command == ["sh", "-c", "echo hi"]


def test_a_single_dash_is_an_ordinary_word() -> None:
    assert parse(["cat", "-"]).command == ["cat", "-"]


def test_an_option_takes_the_next_word_whatever_it_is() -> None:
    assert configure(["-o", "-100"]).timeout_ms == -100
    line = parse(["--socket-name", "--", "ls"])
    assert override(Config(), line.options).socket_name == "--"
    assert line.command == ["ls"]


def test_letters_may_be_clustered_and_the_last_takes_a_value() -> None:
    assert configure(["-Vo", "5"]) == Config(verbose=True, timeout_ms=5)
    assert configure(["-Vo5"]) == Config(verbose=True, timeout_ms=5)
    assert configure(["-Vr", "R1", "-q5"]) == Config(verbose=True, resource_name="R1", quantity=5)


def test_the_last_of_repeated_options_wins() -> None:
    assert configure(["-r", "A", "--resource-name=B", "-rC"]).resource_name == "C"


def test_a_flag_ignores_a_value_after_an_equals_sign() -> None:
    assert configure(["--verbose=no", "--close=no"]) == Config(verbose=True, close=True)


def test_an_empty_text_may_be_given() -> None:
    assert configure(["--unicast-address="], unicast_address="here").unicast_address == ""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--bad"], "Unknown option --bad"),
        (["--bad=1"], "Unknown option --bad"),
        (["--resource-t=5"], "Unknown option --resource-t"),
        (["-z"], "Unknown option -z"),
        (["-Vz"], "Unknown option -z"),
        (["--resource-name"], "Missing argument for --resource-name"),
        (["-r"], "Missing argument for -r"),
        (["-Vr"], "Missing argument for -r"),
        (["-c"], "Missing argument for -c"),
    ],
)
def test_a_bad_option_is_named(words: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=f"option parsing failed: {named}"):
        parse(words)


@pytest.mark.parametrize("word", ["-h", "-?", "--help"])
def test_help_acts_as_soon_as_it_is_met(word: str) -> None:
    assert parse([word, "--bad"]).help
    with pytest.raises(ConfigError, match="Unknown option --bad"):
        parse(["--bad", word])
    assert not parse(["--", word]).help


@pytest.mark.parametrize("word", ["-v", "--version", "-Vv"])
def test_version_waits_for_the_end_of_the_command_line(word: str) -> None:
    assert parse([word, "-r", "R1"]).version
    with pytest.raises(ConfigError):
        parse([word, "--bad"])


@pytest.mark.parametrize("words", [["-c", "f"], ["-cf"], ["--config-file", "f"], ["--config-file=f"]])
def test_a_configuration_file_is_named_in_every_form(words: list[str]) -> None:
    assert parse(words).config_file == "f"


# files


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_later_sources_override_earlier_ones_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the number of sources that set it: the system's file sets all, the options only the last
    system = "[Resource]\nName=System\nTimeout=1\nQuantity=1\nIdleLifespan=1\n"
    monkeypatch.setattr(flom.config, "SYSTEM_FILE", write(tmp_path / "flom.conf", system))
    write(tmp_path / ".flom", "[Resource]\nTimeout=2\nQuantity=2\nIdleLifespan=2\n")
    named = write(tmp_path / "named", "[Resource]\nQuantity=3\nIdleLifespan=3\n")
    config = override(load(named, {"HOME": str(tmp_path)}), parse(["-i", "4"]).options)
    assert config == Config(resource_name="System", timeout_ms=2, quantity=3, idle_lifespan_ms=4)


def test_missing_standard_files_are_no_error(tmp_path: Path) -> None:
    assert load(None, {"HOME": str(tmp_path)}) == Config()


def test_without_home_the_file_is_in_the_home_directory_of_the_passwd_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    mine = pwd.getpwuid(os.getuid())
    moved = pwd.struct_passwd((*mine[:5], str(tmp_path), mine[6]))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: moved)
    write(tmp_path / ".flom", "[Resource]\nName=Mine\n")
    assert load(None, {}).resource_name == "Mine"


def test_a_file_can_switch_off_what_an_earlier_one_has_switched_on() -> None:
    assert merge(Config(verbose=True), "f", "[Trace]\nVerbose=no\n") == Config()


def test_no_group_has_to_be_there_and_unknown_ones_are_ignored() -> None:
    assert merge(Config(), "f", "") == Config()
    assert merge(Config(), "f", "[Other]\nName=X\n[Resource]\nColour=red\n") == Config()


def test_names_of_groups_and_keys_are_case_sensitive() -> None:
    assert merge(Config(), "f", "[resource]\nName=A\n[Resource]\nname=B\n") == Config()


def test_groups_and_keys_may_be_repeated_and_the_last_value_wins() -> None:
    text = "[Resource]\nName=A\nName=B\n[Daemon]\nLifespan=1\n[Resource]\nTimeout=3\nName=C\n"
    assert merge(Config(), "f", text) == Config(resource_name="C", lifespan_ms=1, timeout_ms=3)


def test_comments_blank_lines_and_blanks_around_the_equals_sign_do_not_matter() -> None:
    text = "# Name=A\n\n[Resource]\n  # more\n\nName = B\n  Timeout =\t4\n"
    assert merge(Config(), "f", text) == Config(resource_name="B", timeout_ms=4)


def test_only_a_line_of_its_own_is_a_comment() -> None:
    assert merge(Config(), "f", "[Daemon]\nSocketName=/tmp/a #1;2\n").socket_name == "/tmp/a #1;2"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"/a\sb", "/a b"),
        (r"/a\\b", "/a\\b"),
        (r"/a\tb", "/a\tb"),
        (r"/a\\sb", r"/a\sb"),
        (r"/a\qb", r"/a\qb"),
        ("/a%b", "/a%b"),
        ('"a"', '"a"'),
        ("/é", "/é"),
    ],
)
def test_a_text_is_unescaped(written: str, read: str) -> None:
    assert merge(Config(), "f", f"[Daemon]\nSocketName={written}\n").socket_name == read


@pytest.mark.parametrize("text", ["Name=R1\n", "[Resource\nName=R1\n", "[Resource]\nName\n", "just words\n"])
def test_a_file_that_is_no_key_file_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match="invalid configuration found in file '/some/file'") as refused:
        merge(Config(), "/some/file", text)
    assert "\n" not in str(refused.value)


def test_a_bad_file_of_the_user_is_reported_too(tmp_path: Path) -> None:
    write(tmp_path / ".flom", "no key file\n")
    with pytest.raises(ConfigError, match=str(tmp_path / ".flom")):
        load(None, {"HOME": str(tmp_path)})


@pytest.mark.parametrize("name", ["missing", ""])
def test_a_named_file_must_be_there(tmp_path: Path, name: str) -> None:
    named = str(tmp_path / name)  # without a name, a directory
    with pytest.raises(ConfigError, match=f"error while loading file '{named}'"):
        load(named, {"HOME": str(tmp_path)})


def test_a_file_that_means_another_way_to_the_daemon_is_refused() -> None:
    with pytest.raises(ConfigError, match="not supported"):
        merge(Config(), "f", "[TLS]\nTlsCertificate=/x\n")


@pytest.mark.parametrize("words", [["-a", "here"], ["-A", "here"]], ids=["host", "group"])
def test_a_socket_and_a_network_at_the_same_time_are_refused_wherever_they_come_from(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"'/s'.*'here'"):
        configure(words, socket_name="/s").check()
    configure(words).check()
    Config(socket_name="/s").check()


def test_a_host_and_a_group_are_no_contradiction() -> None:
    configure(["-a", "here", "-A", "ff02::1"]).check()


def test_the_default_socket_bears_the_name_of_the_passwd_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Config().socket_path == default_socket() == f"/tmp/flom-{pwd.getpwuid(os.getuid()).pw_name}"

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert Config().socket_path == "/tmp/flom-nobody"
