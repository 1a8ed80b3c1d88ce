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


@pytest.mark.parametrize(
    "command",
    [
        ["cp", "-v", "a", "b"],
        ["grep", "-r", "x", "."],
        ["rsync", "-a", "x", "y"],
        ["pg_dump", "-d", "shop"],
        ["tool", "--version", "--help", "--bad"],
        ["sh", "--", "-c", "echo hi"],
        ["-", "-x"],
    ],
    ids=" ".join,
)
def test_options_end_at_the_first_word_that_is_none(command: list[str]) -> None:
    line = parse(["-r", "backup", *command])
    assert line.command == command
    assert [text for _, text in line.options] == ["backup"]
    assert not line.version
    assert not line.help


def test_flom_takes_options_wherever_they_stand_before_two_dashes() -> None:
    line = parse(["echo", "-n", "hello", "x"], as_flom=True)
    assert line.command == ["echo", "x"]
    assert [text for _, text in line.options] == ["hello"]
    assert parse(["sh", "--", "-c", "echo hi"], as_flom=True).command == ["sh", "-c", "echo hi"]
    assert parse(["cat", "-"], as_flom=True).command == ["cat", "-"]


def test_an_option_of_flom_s_takes_the_next_word_whatever_it_is() -> None:
    line = parse(["-o", "-100", "--socket-name", "--", "-r", "-V", "ls"], as_flom=True)
    assert [text for _, text in line.options] == ["-100", "--", "-V"]
    assert line.command == ["ls"]


def test_a_value_may_be_a_negative_number_and_no_option() -> None:
    assert config_of("-o", "-100").timeout_ms == -100
    assert config_of("-s", "-").socket_name == "-"
    for follows in ("--", "-V", "--verbose", "-x"):
        with pytest.raises(ConfigError, match=f"^missing argument for -s, before '{follows}'"):
            parse(["-s", follows, "ls"])
        assert config_of(f"--socket-name={follows}").socket_name == follows  # attached, it is one


INSTEAD = [
    "-v",
    "--version",
    "-x",
    "--quiesce-exit",
    "-X",
    "--signal-list",
    "--unique-id",
    "--debug-feature=none",
    "--show-config",
]


@pytest.mark.parametrize("option", INSTEAD)
@pytest.mark.parametrize("command", [["cp", "a"], ["--", "cp", "a"]], ids=" ".join)
def test_what_runs_no_command_excludes_one(option: str, command: list[str]) -> None:
    name = option.partition("=")[0]
    with pytest.raises(ConfigError, match=f"^{name} is to [a-z].*: leave out {name} or 'cp'"):
        parse(["-r", "backup", option, *command])
    assert parse([option]).instead
    assert parse(["--help", option, *command]).help
    assert parse([option, *command], as_flom=True).command == ["cp", "a"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["-w", "5", "lock"], "flock's -w is --timeout here"),
        (["--nonblock", "lock"], "flock's --nonblock is -o 0 here"),
        (["-u", "9"], "flock's -u is not needed here"),
        (["--shared", "lock"], "flock's --shared is -l PR here"),
        (["-n", "--", "cmd"], "flock's -n is -o 0 here"),
        (["-s", "-n", "cmd"], "flock's -s is -l PR here"),
        (["-x", "lock", "cmd"], "flock's -x is the default here"),
        (["-c"], "flock's -c is --shell here"),
        (["-F", "lock", "cmd"], "flock's -F is not possible here"),
    ],
    ids=" ".join,
)
def test_a_letter_of_flock_s_that_goes_wrong_gets_a_hint(words: list[str], hint: str) -> None:
    with pytest.raises(ConfigError, match=f"; {hint}$"):
        parse(words)


@pytest.mark.parametrize(
    ("option", "end"),
    [
        ("--resource-timeot", "did you mean --resource-timeout[?]"),
        ("--resource-t=5", "did you mean --resource-timeout[?]"),
        ("--resource", "did you mean --resource-name or --resource-timeout[?]"),
        ("--tls-cert", "did you mean --tls-certificate[?]"),
        ("--exlusive", "--help lists all options"),
        ("-z", "--help lists all options"),
    ],
)
def test_an_unknown_option_is_told_what_is_like_it(option: str, end: str) -> None:
    with pytest.raises(ConfigError, match=f"^unknown option {option.partition('=')[0]}; {end}$"):
        parse([option, "R1"])
    with pytest.raises(ConfigError, match=f"^unknown option {option.partition('=')[0]}$"):
        parse([option, "R1"], as_flom=True)


def test_words_need_not_be_ascii() -> None:
    line = parse(["-r", "/é", "grüße", "\udcff"])
    assert [text for _, text in line.options] == ["/é"]
    assert line.command == ["grüße", "\udcff"]


def test_letters_may_be_clustered_and_the_last_takes_a_value() -> None:
    assert config_of("-Vo", "5") == Config(verbose=True, timeout_ms=5)
    assert config_of("-Vo5") == Config(verbose=True, timeout_ms=5)
    assert config_of("-Vr", "R1", "-q5") == Config(verbose=True, resource_name="R1", quantity=5)


def test_the_last_of_repeated_options_wins() -> None:
    assert config_of("-r", "A", "--resource-name=B", "-rC").resource_name == "C"


@pytest.mark.parametrize("word", ["--verbose=no", "--close=no", "--quiet=yes", "--version="])
def test_a_flag_takes_no_value(word: str) -> None:
    """For FLoM, C{--verbose=no} is C{--verbose} (docs/compatibility.md, "Parsing of options")."""
    option, _, value = word.partition("=")
    with pytest.raises(ConfigError, match=f"^{option} takes no value, '{value}'$"):
        parse([word])
    assert parse(["--verbose=no"], as_flom=True).options[0][0].long == "verbose"


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
    with pytest.raises(ConfigError, match=f"^{named[0].lower()}{named[1:]}") as refused:
        parse(words)
    assert refused.value.flom_line == f"option parsing failed: {named}"


@pytest.mark.parametrize("word", ["-h", "-?", "--help"])
def test_help_acts_as_soon_as_it_is_met(word: str) -> None:
    assert parse([word, "--bad"]).help
    with pytest.raises(ConfigError, match="unknown option --bad"):
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


def test_a_command_line_of_the_shell_takes_the_place_of_a_command() -> None:
    """The element of a resource becomes C{$1}."""
    assert parse(["-r", "backup", "--shell", "cmd | cmd"]).command == ["/bin/sh", "-c", "cmd | cmd", "sh"]
    assert parse(["--shell=exit 3"]).command == ["/bin/sh", "-c", "exit 3", "sh"]
    with pytest.raises(ConfigError, match=r"^--shell is instead of a command: leave out --shell or 'cmd'"):
        parse(["--shell", "true", "cmd"])
    with pytest.raises(ConfigError, match=r"^-v is to show the version, and runs no command"):
        parse(["--shell", "true", "-v"])


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
