"""
Configuration files: their syntax, and which of them wins (docs/compatibility.md, "Search order of files",
"Syntax of files").
"""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

import pytest

import flom.config.files
from flom.codes import ReturnCode
from flom.config import Config, forget_place, load, override
from flom.config.files import merge
from flom.errors import ConfigError
from flom.job.command_line import parse
from tests.fakes.reading import config_in, no_warning


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_later_sources_override_earlier_ones_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the number of sources that set it: the system's file sets all, the options only the last
    system = "[Resource]\nName=System\nTimeout=1\nQuantity=1\nIdleLifespan=1\n"
    monkeypatch.setattr(flom.config.files, "SYSTEM_FILE", write(tmp_path / "flom.conf", system))
    write(tmp_path / ".flom", "[Resource]\nTimeout=2\nQuantity=2\nIdleLifespan=2\n")
    named = write(tmp_path / "named", "[Resource]\nQuantity=3\nIdleLifespan=3\n")
    config = override(load(named, {"HOME": str(tmp_path)}, no_warning), parse(["-i", "4"]).options, no_warning)
    assert config == Config(resource_name="System", timeout_ms=2, quantity=3, idle_lifespan_ms=4)


def test_missing_standard_files_are_no_error(tmp_path: Path) -> None:
    assert load(None, {"HOME": str(tmp_path)}, no_warning) == Config()


def test_without_home_the_file_is_where_the_passwd_entry_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    mine = pwd.getpwuid(os.getuid())
    moved = pwd.struct_passwd((*mine[:5], str(tmp_path), mine[6]))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: moved)
    write(tmp_path / ".flom", "[Resource]\nName=Mine\n")
    assert load(None, {}, no_warning).resource_name == "Mine"


def test_a_file_can_switch_off_what_an_earlier_one_has_switched_on() -> None:
    assert config_in("[Trace]\nVerbose=no\n", verbose=True) == Config()


def test_no_group_has_to_be_there_and_unknown_ones_are_ignored() -> None:
    assert config_in("") == Config()
    assert config_in("[Other]\nName=X\n[Resource]\nColour=red\n") == Config()


def test_names_of_groups_and_keys_are_case_sensitive() -> None:
    assert merge(Config(), "file", "[resource]\nName=A\n[Resource]\nname=B\n", no_warning, as_flom=True) == Config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[Daemon]\nSocketNme=/run/s\n", "file: [Daemon] SocketNme: it is ignored; did you mean [Daemon] SocketName?"),
        (
            "[Deamon]\nSocketName=/run/s\n",
            "file: [Deamon] SocketName: it is ignored; did you mean [Daemon] SocketName?",
        ),
        ("[Resource]\nname=B\n", "file: [Resource] name: it is ignored; did you mean [Resource] Name?"),
        ("[Daemon]\nTimeout=3\n", "file: [Daemon] Timeout: it is ignored; did you mean [Resource] Timeout?"),
    ],
)
def test_a_key_that_is_nearly_one_causes_a_warning(text: str, said: str) -> None:
    """A lock whose place is misspelled excludes nobody."""
    warnings: list[str] = []
    assert merge(Config(), "file", text, warnings.append) == Config()
    assert warnings == [said]


def test_groups_and_keys_may_be_repeated_and_the_last_value_wins() -> None:
    text = "[Resource]\nName=A\nName=B\n[Daemon]\nLifespan=1\n[Resource]\nTimeout=3\nName=C\n"
    assert config_in(text) == Config(resource_name="C", lifespan_ms=1, timeout_ms=3)


def test_comments_blank_lines_and_blanks_do_not_matter() -> None:
    text = "# Name=A\n\n[Resource]\n  # more\n\nName = B\n  Timeout =\t4\n"
    assert config_in(text) == Config(resource_name="B", timeout_ms=4)


def test_only_a_line_of_its_own_is_a_comment() -> None:
    assert config_in("[Daemon]\nSocketName=/tmp/a #1;2\n").socket_name == "/tmp/a #1;2"


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
    assert config_in(f"[Daemon]\nSocketName={written}\n").socket_name == read


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Name=R1\n", "Name=R1"),
        ("[Resource\nName=R1\n", "[Resource"),
        ("[Resource]\n  Name\n", "Name"),
        ("# comment\njust words\n", "just words"),
    ],
)
def test_a_file_that_is_no_key_file_cannot_be_loaded(text: str, line: str) -> None:
    with pytest.raises(ConfigError, match=f"'{re.escape(line)}'") as refused:
        config_in(text, "/some/file")
    assert "\n" not in str(refused.value)
    assert refused.value.code is ReturnCode.G_KEY_FILE_LOAD_FROM_FILE_ERROR
    assert refused.value.on_stdout == ["ERROR: error while loading file '/some/file'"]


def test_a_user_s_file_that_is_no_key_file_only_causes_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / ".flom", "[Resource]\nTimeout=5\nno key file\n")
    warnings: list[str] = []
    assert load(None, {"HOME": str(tmp_path)}, warnings.append) == Config()
    [warning] = warnings
    assert f"{path}: cannot be loaded: line 3, 'no key file', is neither" in warning


def test_a_bad_value_in_the_file_of_the_user_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / ".flom", "[Resource]\nTimeout=soon\n")
    with pytest.raises(ConfigError, match=rf"^{path}: \[Resource\] Timeout: 'soon'"):
        load(None, {"HOME": str(tmp_path)}, no_warning)


def test_a_value_of_nothing_but_blanks_is_empty() -> None:
    assert config_in("[Daemon]\nUnicastAddress= \nUnicastPort=5\n") == Config(unicast_port=5)


def test_no_value_has_a_nul() -> None:
    with pytest.raises(ConfigError, match=r"\[Daemon\] SocketName: "):
        config_in("[Daemon]\nSocketName=/tmp/a\0b\n")


def test_blanks_at_the_end_belong_to_a_text_and_not_to_a_number() -> None:
    config = config_in("[Daemon]\nSocketName=/tmp/a \t\n[Resource] \nTimeout=5 \n# x = y \n")
    assert config == Config(socket_name="/tmp/a \t", timeout_ms=5)
    with pytest.raises(ConfigError, match=r"Name: 'R1 '"):
        config_in("[Resource]\nName=R1 \n")


def test_lines_may_end_as_on_windows() -> None:
    assert config_in("[Daemon]\r\nSocketName=/tmp/a\r\n").socket_name == "/tmp/a"


@pytest.mark.parametrize("name", ["missing", ""])
def test_a_named_file_must_be_there(tmp_path: Path, name: str) -> None:
    named = str(tmp_path / name)  # without a name, a directory
    with pytest.raises(ConfigError, match=f"^{named}: cannot be loaded") as refused:
        load(named, {"HOME": str(tmp_path)}, no_warning)
    assert refused.value.code is ReturnCode.G_KEY_FILE_LOAD_FROM_FILE_ERROR


def test_a_value_that_is_not_utf_8_has_no_effect_and_the_others_have(tmp_path: Path) -> None:
    path = tmp_path / ".flom"
    path.write_bytes(b"# b\xf6se\n[Resource]\nTimeout=5\nName=b\xf6se\n[Daemon]\nSocketName=/tmp/b\xc3\xb6se\n")
    warnings: list[str] = []
    config = load(None, {"HOME": str(tmp_path)}, warnings.append)
    assert config == Config(timeout_ms=5, socket_name="/tmp/böse")
    assert warnings == [f"{path}: [Resource] Name: a value that is not UTF-8 has no effect"]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """The configuration file in a home directory, which belongs to another user."""
    path = tmp_path / ".flom"
    path.write_text(
        "[Trace]\nCommandTraceFile=/c\nDaemonTraceFile=/d\n[Daemon]\nMountPointVFS=/no/such\n[Resource]\nName=N\n"
    )
    os.chown(path, 65534, 65534)
    return path


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a file of another user")
def test_a_file_of_another_user_is_refused(foreign: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(None, {"HOME": str(foreign.parent)}, no_warning)
    assert str(refused.value) == f"{foreign}: it belongs to uid 65534; give it to uid {os.geteuid()} or set HOME"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a file of another user")
def test_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "mine", "[Resource]\nName=N\n")
    link = tmp_path / ".flom"
    link.symlink_to("mine")
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(ConfigError, match="belongs to uid 65534"):
        load(None, {"HOME": str(tmp_path)}, no_warning)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a file of another user")
def test_a_pipe_of_another_user_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".flom")
    os.chown(tmp_path / ".flom", 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to uid 65534"):
        load(None, {"HOME": str(tmp_path)}, no_warning)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a file of another user")
def test_flom_reads_a_foreign_file_but_what_names_files_to_write(foreign: Path) -> None:
    warnings: list[str] = []
    config = load(None, {"HOME": str(foreign.parent)}, warnings.append, as_flom=True)
    assert config == Config(resource_name="N")
    why = "it is ignored, because the file belongs to uid 65534"
    keys = ["[Trace] DaemonTraceFile", "[Trace] CommandTraceFile", "[Daemon] MountPointVFS"]
    assert warnings == [f"{foreign}: {key}: {why}" for key in keys]


# the place of the daemon, which each source replaces as a whole


PLACES = ["SocketName=/s", "UnicastAddress=host", "MulticastAddress=ff02::1"]


@pytest.mark.parametrize("in_file", PLACES)
@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["-s", "/other"], Config(socket_name="/other")),
        (["-a", "other"], Config(unicast_address="other")),
        (["-A", "ff02::2"], Config(multicast_address="ff02::2")),
        (["-a", "other", "-A", "ff02::2"], Config(unicast_address="other", multicast_address="ff02::2")),
        (["-s", ""], Config()),
    ],
    ids=str,
)
def test_a_place_among_the_options_replaces_that_of_a_file(
    tmp_path: Path, in_file: str, words: list[str], place: Config
) -> None:
    write(tmp_path / ".flom", f"[Daemon]\n{in_file}\n")
    options = parse(words).options
    config = load(None, {"HOME": str(tmp_path)}, no_warning)
    config = override(forget_place(config, [setting.field for setting, _ in options]), options, no_warning)
    assert config == place
    config.check_transport()


@pytest.mark.parametrize("in_file", PLACES)
@pytest.mark.parametrize("named", PLACES)
def test_a_place_in_a_later_file_replaces_that_of_an_earlier_one(tmp_path: Path, in_file: str, named: str) -> None:
    write(tmp_path / ".flom", f"[Daemon]\n{in_file}\nUnicastPort=7\n")
    path = write(tmp_path / "named", f"[Daemon]\n{named}\n")
    expected = config_in(f"[Daemon]\n{named}\n", unicast_port=7)
    assert load(path, {"HOME": str(tmp_path)}, no_warning) == expected
    assert load(None, {"HOME": str(tmp_path), "FLOM_CONFIG": path}, no_warning) == expected
    without = write(tmp_path / "without", "[Daemon]\nSocketName=\n[Resource]\nName=N\n")
    kept = config_in(f"[Daemon]\n{in_file}\n", unicast_port=7, resource_name="N")
    assert load(without, {"HOME": str(tmp_path)}, no_warning) == kept.replace(socket_name="")


VARIABLES = [
    ({"FLOM_SOCKET": "/v"}, Config(socket_name="/v")),
    ({"FLOM_ADDRESS": "v"}, Config(unicast_address="v")),
    ({"FLOM_ADDRESS": "v:7"}, Config(unicast_address="v", unicast_port=7)),
    ({"FLOM_ADDRESS": "fe80::1%eth0"}, Config(unicast_address="fe80::1%eth0")),
    ({"FLOM_ADDRESS": "[::1]:7"}, Config(unicast_address="::1", unicast_port=7)),
    ({"FLOM_GROUP": "ff02::1"}, Config(multicast_address="ff02::1")),
    ({"FLOM_GROUP": "[ff02::1]:7"}, Config(multicast_address="ff02::1", multicast_port=7)),
    ({"FLOM_GROUP": "224.0.0.1:7"}, Config(multicast_address="224.0.0.1", multicast_port=7)),
    ({"FLOM_ADDRESS": "v", "FLOM_GROUP": "ff02::1"}, Config(unicast_address="v", multicast_address="ff02::1")),
]


@pytest.mark.parametrize("in_file", PLACES)
@pytest.mark.parametrize(("variables", "place"), VARIABLES, ids=str)
def test_a_place_in_the_environment_replaces_that_of_a_file(
    tmp_path: Path, in_file: str, variables: dict[str, str], place: Config
) -> None:
    write(tmp_path / ".flom", f"[Daemon]\n{in_file}\n")
    environ = {"HOME": str(tmp_path), **variables}
    assert load(None, environ, no_warning) == place
    named = write(tmp_path / "named", "[Daemon]\nSocketName=/named\n")
    assert load(None, environ | {"FLOM_CONFIG": named}, no_warning) == place
    by_option = load(named, environ | {"FLOM_CONFIG": "/no/such"}, no_warning)
    assert (by_option.socket_name, by_option.unicast_address, by_option.multicast_address) == ("/named", "", "")
    assert load(None, environ, no_warning, as_flom=True) == config_in(f"[Daemon]\n{in_file}\n")


def test_an_empty_variable_is_none_and_a_bad_one_is_named(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    empty = dict.fromkeys(("FLOM_CONFIG", "FLOM_SOCKET", "FLOM_ADDRESS", "FLOM_GROUP"), "")
    assert load(None, home | empty, no_warning) == Config()
    for variable, text in {"FLOM_SOCKET": "x" * 108, "FLOM_ADDRESS": "v:http", "FLOM_GROUP": "[ff02::1]:0"}.items():
        with pytest.raises(ConfigError, match=f"^{variable}: '") as refused:
            load(None, home | {variable: text}, no_warning)
        assert text in str(refused.value)
    with pytest.raises(ConfigError, match=r"^/no/such: cannot be loaded"):
        load(None, home | {"FLOM_CONFIG": "/no/such"}, no_warning)
