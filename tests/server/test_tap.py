"""C{twistd flom}: options become a daemon, or one line that says what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.testing import MemoryReactorClock

from flom.tap import Options, makeDaemon


def parse(*words: str) -> Options:
    options = Options()
    options.parseOptions(list(words))
    return options


def test_a_relative_path_is_meant_from_where_we_are() -> None:
    assert parse("--socket-name", "flom.sock")["socket-name"] == [str(Path("flom.sock").absolute())]


def test_every_negative_lifespan_is_for_ever() -> None:
    assert parse("-d", "-7")["daemon-lifespan"] == -7


def test_every_listener_is_kept() -> None:
    options = parse("--listen", "tcp:1", "-s", "/a", "--listen", "tcp:2", "-a", "::1", "--socket-name", "/b")
    assert options["listen"] == ["tcp:1", "tcp:2"]
    assert options["socket-name"] == ["/a", "/b"]
    assert options["unicast-address"] == ["::1"]


def test_defaults_are_those_of_flom() -> None:
    options = parse()
    assert (options["unicast-port"], options["port"], options["daemon-lifespan"]) == (28015, 28015, -1)
    assert [options[f"tcp-keepalive-{what}"] for what in ("time", "intvl", "probes")] == [60, 10, 6]


@pytest.mark.parametrize(
    "words",
    [
        ["--daemon-lifespan", "0"],
        ["--daemon-lifespan", "soon"],
        ["--unicast-port", "70000"],
        ["--tcp-keepalive-time", "0"],
        ["--tcp-keepalive-probes", "128"],
        ["--socket-name", "/" + "x" * 107],
        ["--socket-name", ""],
        ["--socket-name", "\udcff" * 108],
        ["--colour", "red"],
    ],
    ids=" ".join,
)
def test_a_bad_option_ends_the_program_with_one_line_that_names_it(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(*words)
    assert "\n" not in str(raised.value)
    assert words[0][2:] in str(raised.value) or words[1] in str(raised.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--listen", "nonsense"],
        ["--listen", "tcp:x"],
        ["--unicast-address", "192.0.2.99"],
        ["--socket-name", "/nowhere/flom.sock"],
        ["--inherit", "99"],
        ["--inherit", "x"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_listened_on_ends_the_program_with_one_line_that_names_it(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        makeDaemon(parse(*words), MemoryReactorClock())
    assert "\n" not in str(raised.value)
    assert words[1] in str(raised.value)


def test_a_second_daemon_on_one_path_is_told_so(tmp_path: Path) -> None:
    options = parse("--socket-name", str(tmp_path / "flom.sock"))
    first = makeDaemon(options, MemoryReactorClock())
    with pytest.raises(SystemExit, match="another daemon is listening there"):
        makeDaemon(options, MemoryReactorClock())
    del first
