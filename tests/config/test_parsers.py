"""What the texts of options and files mean, and which are no value (docs/compatibility.md, "Values of options")."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from flom.codes import ReturnCode
from flom.config import SIGNAL_NAMES, Config, override
from flom.config.files import merge
from flom.config.parsers import read_bool, read_c_int, read_decimal, read_mode, read_number
from flom.core.modes import LockMode
from flom.errors import ConfigError
from flom.job.command_line import parse
from tests.config.rows import INTEGERS, ROWS, Row
from tests.fakes.reading import config_in, config_of, config_of_flom

# integers


@pytest.mark.parametrize("text", ["", "x", "5x", "5 ", "0x", "+5", " 5", "1.5", "2147483648", "-2147483649", "٣"])
def test_an_integer_option_that_is_none_is_refused_by_name(text: str) -> None:
    for row in INTEGERS:
        with pytest.raises(ConfigError, match=f"^{row.long}: '{re.escape(text)}' is an invalid value"):
            config_of(f"--{row.long}={text}")


@pytest.mark.parametrize("text", ["", "x", "5x", "0x10", "1.5", "2147483648", "-2147483649"])
def test_an_integer_of_a_file_that_is_none_is_refused_by_file_and_key(text: str) -> None:
    for row in INTEGERS:
        with pytest.raises(ConfigError, match=rf"^/etc/f: \[{row.group}\] {row.key}: '{text}'"):
            config_in(f"[{row.group}]\n{row.key}={text}\n", "/etc/f")


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
def test_an_integer_on_flom_s_command_line_is_read_with_base_0(text: str, value: int) -> None:
    assert read_c_int(text) == value
    assert config_of_flom("-o", text).timeout_ms == value


@pytest.mark.parametrize("text", ["08", "5s", "5 "])
def test_an_integer_on_flom_s_command_line_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config_of_flom("-o", text)
    assert refused.value.flom_line == f"option parsing failed: resource-timeout: '{text}' is an invalid value"


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("12", 12), ("-12", -12), ("010", 10), ("08", 8), ("0x1f", 31), ("-0x10", -16)]
)
def test_an_integer_on_the_command_line_is_decimal_or_hexadecimal(text: str, value: int) -> None:
    assert read_number(text) == value
    assert config_of("-o", text).timeout_ms == value


DURATIONS = [
    ("500ms", 500),
    ("5s", 5000),
    ("2m", 120_000),
    ("1h", 3_600_000),
    ("1d", 86_400_000),
    ("0.5s", 500),
    ("1.5m", 90_000),
    (".1s", 100),
    ("0.0001s", 1),
    ("010s", 10_000),
]


@pytest.mark.parametrize(("text", "value"), DURATIONS)
def test_a_duration_may_have_a_unit(text: str, value: int) -> None:
    assert config_of("-o", text) == config_of("--timeout", text) == Config(timeout_ms=value)
    assert config_of("-i", text, "-d", text) == Config(idle_lifespan_ms=value, lifespan_ms=value)


def test_a_number_without_a_unit_is_of_milliseconds_or_of_seconds() -> None:
    assert config_of("-o", "5").timeout_ms == 5
    assert config_of("--timeout", "5").timeout_ms == 5000
    assert config_of("--timeout", "0.5").timeout_ms == 500
    assert config_of("--timeout", "010").timeout_ms == 10_000
    assert config_of("--timeout", "0").timeout_ms == 0
    assert config_of("--tcp-keepalive-time", "2m", "--tcp-keepalive-intvl", "5") == Config(
        keepalive_time=120, keepalive_interval=5
    )


def test_the_longest_duration_is_that_of_31_bits_of_milliseconds() -> None:
    config = config_of("--max-hold", "2147483647ms", "--lock-delay", "2147483.647")
    assert config.max_hold_ms == config.lock_delay_ms == 2**31 - 1
    assert config_of("--max-hold", f"{0:099}1ms").max_hold_ms == 1


def test_the_last_of_both_timeouts_counts() -> None:
    assert config_of("--timeout", "5", "-o", "7").timeout_ms == 7
    assert config_of("-o", "7", "--timeout", "5").timeout_ms == 5000


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ["-o", "soon"],
            "it is no duration; write 500ms, 5s, 2m, 1h or a number of milliseconds; flock's -o is --close",
        ),
        (["-o", "1.5"], "it is no duration"),
        (["-o", "1.5ms"], "it is no duration"),
        (["-o", "5 s"], "it is no duration"),
        (["-o", "s"], "it is no duration"),
        (["-o", "1_0s"], "it is no duration"),
        (["-o", "-5s"], "it is no whole number"),
        (["-o", "30d"], "it is more than 24 days"),
        (["--max-hold", "2147483648ms"], "it is more than 24 days"),
        (["--lock-delay", "25d"], "it is more than 24 days"),
        (["--lock-delay", "9" * 100], "it is more than 24 days"),
        (["--lock-delay", "9" * 5000], "it has more than 100 digits"),
        (["--max-hold", "0." + "9" * 5000], "it has more than 100 digits"),
        (["-q", "9" * 5000], "it has more than 100 digits"),
        (["--timeout", "soon"], "it is no duration; write 500ms, 5s, 2m, 1h or a number of seconds$"),
        (["--timeout", "-1"], "it is negative"),
        (["--tcp-keepalive-time", "1500ms"], "it is no whole number of seconds"),
        (["-q", "0"], "it is too small"),
        (["-q", "-3"], "it is too small"),
        (["-q", "two"], "it is no whole number"),
        (["-i", "-700"], "it is too small"),
        (["-D", "0"], "it is too small"),
        (["-p", "-80"], "it is too small"),
        (["-p", "70000"], "it is not from 1 to 65535"),
        (["-E", "256"], "it is not from 0 to 255"),
        (["-e", "maybe"], "it is neither yes nor no; flock's -e is the default here"),
        (["-e", "any"], "it is neither yes nor no"),
        (["--append-trace-file", "never"], "it is neither yes nor no"),
        (["--tls-check-peer-id", ""], "it is neither yes nor no"),
        (["-l", "next"], "it is none of NL, CR, CW, PR, PW and EX"),
        (["-l", "EXPR"], "it is none of NL"),
    ],
    ids=lambda value: (value if isinstance(value, str) else " ".join(value))[:40],
)
def test_what_is_unclear_is_refused_and_told_what_is_clear(words: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=f"'{words[-1]}' is an invalid value: {why}"):
        config_of(*words)


@pytest.mark.parametrize(("text", "value"), [("12", 12), ("010", 10), ("-12", -12), ("+3", 3), (" 12 ", 12)])
def test_an_integer_in_a_file_is_decimal(text: str, value: int) -> None:
    assert read_decimal(text) == value
    assert config_in(f"[Resource]\nTimeout={text}\n").timeout_ms == value


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
        ("heartbeat", "9"),
        ("leader-timeout", "19"),
        ("election-time", "99"),
        ("max-connections", "-1"),
        ("max-connections-per-peer", "-1"),
        ("max-waiters", "-1"),
        ("max-resources", "-1"),
        ("max-message-size", "510"),
        ("max-message-size", "65537"),
        ("message-timeout", "9"),
        ("unread-timeout", "9"),
        ("unread-timeout", "3600001"),
    ],
)
def test_a_number_out_of_range_is_refused(option: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}: '{text}' is an invalid value"):
        config_of(f"--{option}={text}")


def test_a_quantity_of_0_is_1_to_flom() -> None:
    assert config_of_flom("-q", "0").quantity == 1
    assert config_in("[Resource]\nQuantity=0\n").quantity == 1


def test_a_negative_quantity_is_ignored_or_loses_its_sign() -> None:
    """As an option of C{flom} it has no effect; in a file the sign has none."""
    warnings: list[str] = []
    options = parse(["-q", "-3"], as_flom=True).options
    assert override(Config(quantity=5), options, warnings.append, as_flom=True).quantity == 5
    assert warnings == ["Resource quantity ignored because negative values (-3) are meaningless"]
    assert config_in("[Resource]\nQuantity=-3\n").quantity == 3


def test_no_attempt_and_no_router_are_one_of_each_to_flom() -> None:
    assert config_of_flom("-D", "0", "--discovery-ttl", "0") == Config(discovery_attempts=1, discovery_ttl=1)


def test_a_sign_means_nothing_to_flom() -> None:
    words = ["-i", "-700", "-p", "-8", "-P", "-010", "-D", "-3", "--tcp-keepalive-time", "-61"]
    assert config_of_flom(*words) == Config(
        idle_lifespan_ms=700, unicast_port=8, multicast_port=8, discovery_attempts=3, keepalive_time=61
    )


# yes or no, and lock modes


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
def test_yes_or_no_is_searched_for_by_flom(text: str, value: bool) -> None:
    assert read_bool(text) is value
    assert config_of_flom("-e", text, "--tls-check-peer-id", text, "--append-trace-file", text) == Config(
        create=value, tls_check_peer_id=value, append_trace_file=value
    )
    assert config_in(f"[Resource]\nCreate={text}\n").create is value


@pytest.mark.parametrize("text", ["", "1", "0", "true"])
@pytest.mark.parametrize("option", ["resource-create", "tls-check-peer-id", "append-trace-file"])
def test_what_holds_neither_yes_nor_no_is_refused(option: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}: '{text}' is an invalid value"):
        config_of(f"--{option}", text)
    (row,) = [row for row in ROWS if row.long == option]
    with pytest.raises(ConfigError, match=rf"\[{row.group}\] {row.key}: '{text}'"):
        config_in(f"[{row.group}]\n{row.key}={text}\n")


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
    assert config_of_flom("-l", text).lock_mode is mode
    assert config_in(f"[Resource]\nLockMode={text}\n").lock_mode is mode


@pytest.mark.parametrize(("text", "mode"), MODES[:12])
def test_a_lock_mode_is_called_by_its_letters_or_in_full(text: str, mode: LockMode) -> None:
    assert config_of("-l", text).lock_mode is mode


@pytest.mark.parametrize("text", ["y", "yes", "YES", "n", "no", "No"])
def test_yes_or_no_is_one_word(text: str) -> None:
    value = text.lower().startswith("y")
    assert config_of("-e", text, "--append-trace-file", text) == Config(create=value, append_trace_file=value)


@pytest.mark.parametrize("text", ["", "5", "read"])
def test_what_holds_no_lock_mode_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"lock-mode: '{text}' is an invalid value"):
        config_of("-l", text)


# names and paths


@pytest.mark.parametrize("text", ["", "1a", "a b", "a_b", "/", "a..b", "N[x]", "_RESOURCE"])
def test_a_bad_name_is_refused_whoever_gives_it(text: str) -> None:
    with pytest.raises(ConfigError, match=f"'{text}'".replace("[", r"\[")):
        config_of("-r", text)
    with pytest.raises(ConfigError, match=r"\[Resource\] Name: "):
        config_in(f"[Resource]\nName={text}\n")


def test_a_name_and_a_path_need_not_be_ascii() -> None:
    expected = Config(resource_name="/Ωμέγα/é", socket_name="/tmp/böse")
    assert config_of("-r", "/Ωμέγα/é", "--socket-name=/tmp/böse") == expected
    assert config_in("[Resource]\nName=/Ωμέγα/é\n[Daemon]\nSocketName=/tmp/böse\n") == expected


def test_a_socket_name_may_have_107_bytes() -> None:
    assert config_of("-s", "x" * 107).socket_name == "x" * 107
    for too_long in ("x" * 108, "é" * 54):
        with pytest.raises(ConfigError, match=f"socket-name: '{too_long}' is an invalid value"):
            config_of("-s", too_long)
        with pytest.raises(ConfigError, match=rf"\[Daemon\] SocketName: '{too_long}'"):
            config_in(f"[Daemon]\nSocketName={too_long}\n")


TLS_FILES = [row for row in ROWS if row.long.startswith("tls-") and row.value == "/"]


@pytest.mark.parametrize("row", TLS_FILES, ids=[row.long for row in TLS_FILES])
def test_a_file_for_tls_becomes_an_absolute_path_without_links(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file.pem").touch()
    (tmp_path / "link.pem").symlink_to("file.pem")
    monkeypatch.chdir(tmp_path)
    resolved: Any = os.path.realpath(tmp_path / "file.pem")
    expected = Config(**{row.field: resolved})
    assert config_of(f"--{row.long}", "link.pem") == expected
    assert config_in(f"[{row.group}]\n{row.key}=link.pem\n") == expected


@pytest.mark.parametrize("row", TLS_FILES, ids=[row.long for row in TLS_FILES])
def test_a_file_for_tls_must_be_there(row: Row) -> None:
    with pytest.raises(ConfigError, match=f"^{row.long}: '' is not a valid value"):
        config_of(f"--{row.long}=")
    with pytest.raises(ConfigError, match=f"^{row.long}: '/no/such/file' is not a valid value"):
        config_of(f"--{row.long}=/no/such/file")
    with pytest.raises(ConfigError, match=rf"\[{row.group}\] {row.key}: '/no/such/file'") as refused:
        config_in(f"[{row.group}]\n{row.key}=/no/such/file\n")
    assert (refused.value.code, refused.value.on_stdout) == (ReturnCode.REALPATH_ERROR, [])


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_mount_point_must_be_a_directory_that_can_be_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mount"
    if kind == "a file":
        path.touch()
    with pytest.raises(ConfigError, match=f"mount-point-vfs: '{path}' is an invalid value"):
        config_of("-m", str(path))
    with pytest.raises(ConfigError, match=rf"\[Daemon\] MountPointVFS: '{path}'"):
        config_in(f"[Daemon]\nMountPointVFS={path}\n")


def test_a_file_names_endpoints_which_are_for_daemons_only() -> None:
    text = "[Daemon]\nListen=tcp:28015:interface=127.0.0.1;systemd:domain=UNIX:index=0\n"
    assert config_in(text).listen == ("tcp:28015:interface=127.0.0.1", "systemd:domain=UNIX:index=0")
    with pytest.raises(ConfigError, match="unknown option --listen"):
        parse(["--listen", "tcp:28015"])


# signals


@pytest.mark.parametrize(
    ("text", "number"),
    [("SIGHUP", 1), ("SIGSYS", 31), ("1", 1), ("31", 31), ("2x", 2), ("015", 15)],
)
def test_a_signal_goes_by_its_name_or_by_a_number_for_flom(text: str, number: int) -> None:
    assert config_of_flom("--ignore-signal", text).ignored_signals == (number,)
    assert config_in(f"[Monitor]\nIgnoredSignals={text}\n").ignored_signals == (number,)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("SIGHUP", (1,)), ("HUP", (1,)), ("sigterm", (15,)), ("015", (15,)), ("TERM;2;", (15, 2)), ("SIGSYS", (31,))],
)
def test_a_signal_goes_by_its_name_with_or_without_sig(text: str, numbers: tuple[int, ...]) -> None:
    assert config_of("--ignore-signal", text).ignored_signals == numbers


@pytest.mark.parametrize("text", ["SIGTERMINATE", "0", "32", "-1", "2x", "SIGRTMIN", "TERM;no"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"'{text}' is an invalid value: it is no signal; --signal-list lists them"):
        config_of(f"--ignore-signal={text}")


def test_signals_are_numbered_as_on_this_machine() -> None:
    for name in SIGNAL_NAMES:
        if hasattr(signal, name):
            assert SIGNAL_NAMES.index(name) + 1 == signal.Signals[name], name


@pytest.mark.parametrize("text", ["TERM", "sigterm", "SIGTERMINATE", "0", "32", "-1", "SIGRTMIN"])
def test_what_is_no_signal_is_passed_over_with_a_warning_by_flom(text: str) -> None:
    warnings: list[str] = []
    words = ["--ignore-signal=SIGHUP", f"--ignore-signal={text}", "--ignore-signal=SIGINT"]
    assert override(Config(), parse(words).options, warnings.append, as_flom=True).ignored_signals == (1, 2)
    in_file = f"[Monitor]\nIgnoredSignals=SIGHUP;{text};SIGINT\n"
    assert merge(Config(), "/etc/f", in_file, warnings.append).ignored_signals == (1, 2)
    by_option, by_file = warnings
    assert by_option.startswith(f"ignore-signal: '{text}' is no signal")
    assert by_file.startswith(f"/etc/f: [Monitor] IgnoredSignals: ignore-signal: '{text}' is no signal")


def test_one_bad_word_in_an_option_of_flom_s_leaves_the_others() -> None:
    warnings: list[str] = []
    config = override(Config(), parse(["--ignore-signal=SIGTERM;BAD"]).options, warnings.append, as_flom=True)
    assert config.ignored_signals == (15,)
    assert len(warnings) == 1


def test_options_add_up_signals_and_replace_those_of_the_files() -> None:
    assert config_of(ignored_signals=(1, 2)).ignored_signals == (1, 2)
    words = ["--ignore-signal=SIGTERM", "-r", "R1", "--ignore-signal", "10"]
    assert config_of(*words, ignored_signals=(1, 2)).ignored_signals == (15, 10)
    later = config_in("[Monitor]\nIgnoredSignals=SIGTERM;10;\n", ignored_signals=(1, 2))
    assert later.ignored_signals == (15, 10)
