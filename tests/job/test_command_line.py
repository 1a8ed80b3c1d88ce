"""
The command line: which words are options, which are theirs, which are COMMAND's
(docs/compatibility.md, "Parsing of options").
"""

from __future__ import annotations

import os
import pwd

import pytest

from flom.config import Config, default_socket
from flom.errors import ConfigError
from flom.job.command_line import parse
from tests.fakes.reading import config_of


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
    assert config_of("-o", "-100").timeout_ms == -100
    assert config_of("--socket-name", "--", "ls").socket_name == "--"
    assert parse(["--socket-name", "--", "ls"]).command == ["ls"]


def test_words_need_not_be_ascii() -> None:
    line = parse(["-r", "/é", "grüße", "--", "\udcff"])
    assert [text for _, text in line.options] == ["/é"]
    assert line.command == ["grüße", "\udcff"]


def test_letters_may_be_clustered_and_the_last_takes_a_value() -> None:
    assert config_of("-Vo", "5") == Config(verbose=True, timeout_ms=5)
    assert config_of("-Vo5") == Config(verbose=True, timeout_ms=5)
    assert config_of("-Vr", "R1", "-q5") == Config(verbose=True, resource_name="R1", quantity=5)


def test_the_last_of_repeated_options_wins() -> None:
    assert config_of("-r", "A", "--resource-name=B", "-rC").resource_name == "C"


def test_a_flag_ignores_a_value_after_an_equals_sign() -> None:
    assert config_of("--verbose=no", "--close=no") == Config(verbose=True, close=True)


def test_an_empty_text_may_be_given() -> None:
    assert config_of("--unicast-address=", unicast_address="here").unicast_address == ""


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


# what is asked for as a whole


@pytest.mark.parametrize("words", [["-a", "here"], ["-A", "here"]], ids=["host", "group"])
def test_a_socket_and_a_network_exclude_each_other(words: list[str]) -> None:
    """Whether options or files set them."""
    with pytest.raises(ConfigError, match=r"'/s'.*'here'"):
        config_of(*words, socket_name="/s").check_transport()
    config_of(*words).check_transport()
    Config(socket_name="/s").check_transport()


def test_a_host_and_a_group_are_no_contradiction() -> None:
    config_of("-a", "here", "-A", "ff02::1").check_transport()


TLS = ["--tls-certificate=/", "--tls-private-key=/", "--tls-ca-certificate=/"]


def test_tls_takes_all_three_files_and_comparing_ids_takes_tls() -> None:
    config_of(*TLS, "--tls-check-peer-id=yes").check_tls()
    assert config_of(*TLS).is_tls
    for missing in TLS:
        config = config_of(*[word for word in TLS if word != missing])
        assert (config.is_tls, config.is_tls_halved) == (False, True)
        config.check_tls()
        with pytest.raises(ConfigError, match=f"tls-check-peer-id needs {missing[2:-2]} too"):
            config.replace(tls_check_peer_id=True).check_tls()


def test_a_leader_may_miss_one_heartbeat() -> None:
    config_of("--heartbeat=1000", "--leader-timeout=2000").check_election()
    with pytest.raises(ConfigError, match="leader-timeout: '1999'"):
        config_of("--heartbeat=1000", "--leader-timeout=1999").check_election()


def test_the_default_socket_bears_the_name_of_the_passwd_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Config().socket_path == default_socket() == f"/tmp/flom-{pwd.getpwuid(os.getuid()).pw_name}"

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert Config().socket_path == "/tmp/flom-nobody"
