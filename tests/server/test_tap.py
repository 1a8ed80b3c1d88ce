"""C{twistd flom}: options become a daemon, or one line that says what is wrong with them."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from flom.core.election import DEFAULT_TIMING, Timing
from flom.multicast import Group, NetworkInterface
from flom.server.membership import Membership
from flom.server.seat import take_seat
from flom.server.service import make_daemon
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
    assert (options["group"], options["interface"], options["discovery-ttl"]) == (None, "", 1)


@pytest.mark.parametrize(
    "words",
    [
        ["--daemon-lifespan", "0"],
        ["--daemon-lifespan", "soon"],
        ["--unicast-port", "70000"],
        ["--port", "0"],
        ["--port", "70000"],
        ["--discovery-ttl", "0"],
        ["--discovery-ttl", "256"],
        ["--heartbeat", "9"],
        ["--leader-timeout", "soon"],
        ["--leader-timeout", "500"],  # less than two heartbeats
        ["--election-time", "99"],
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
        ["--group", "192.0.2.1"],
        ["--group", "no.such.invalid"],
        ["--interface", "nosuch0", "--group", "ff02::1"],
        ["--candidate", "99", "--seat", "99", "--group", "ff02::1"],
        ["--candidate", "99", "--group", "ff02::1"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_listened_on_ends_the_program_with_one_line_that_names_it(words: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        makeDaemon(parse(*words), MemoryReactorClock())
    assert "\n" not in str(raised.value)
    assert words[1] in str(raised.value) or words[0][2:] in str(raised.value)


def test_a_second_daemon_on_one_path_is_told_so(tmp_path: Path) -> None:
    options = parse("--socket-name", str(tmp_path / "flom.sock"))
    first = makeDaemon(options, MemoryReactorClock())
    with pytest.raises(SystemExit, match="another daemon is listening there"):
        makeDaemon(options, MemoryReactorClock())
    del first


# in a group


def membership_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> Membership | None:
    """Give in which group, and as what, the daemon is that C{words} describe."""
    memberships: list[Membership | None] = []

    def watch(*arguments: Any, membership: Membership | None, **options: Any) -> Any:
        memberships.append(membership)
        return make_daemon(*arguments, membership=membership, **options)

    monkeypatch.setattr("flom.tap.make_daemon", watch)
    makeDaemon(parse(*words), MemoryReactorClock())
    return memberships[0]


def test_without_a_group_it_is_in_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert membership_of(monkeypatch, "--socket-name", str(tmp_path / "flom.sock")) is None


def test_in_a_group_it_stands_by_and_finds_its_seat_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    membership = membership_of(monkeypatch, "--group", "ff02::1%lo", "--port", "28016", "--discovery-ttl", "3")
    assert membership is not None
    assert membership.group == Group("ff02::1", 28016, "lo", 3)
    assert membership.stands_by
    assert (membership.seat, membership.candidate) == (None, None)
    assert membership.timing == DEFAULT_TIMING


def test_its_timing_is_told_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--heartbeat", "100", "--leader-timeout", "1000", "--election-time", "250"]
    membership = membership_of(monkeypatch, "--group", "ff02::1", *words)
    assert membership is not None
    assert membership.timing == Timing(heartbeat=0.1, patience=1.0, campaign=0.25)


@pytest.mark.parametrize("group", ["ff02::1", "239.1.1.1"])
def test_without_an_address_it_takes_any_port_and_tells_that(monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    membership = membership_of(monkeypatch, "--group", group)
    assert membership is not None
    host, port = membership.told
    assert host == ""
    assert port not in (0, 28015)


def test_an_address_is_told_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--group", "239.1.1.1", "-a", "localhost", "-p", str(free_port())]
    membership = membership_of(monkeypatch, *words)
    assert membership is not None
    assert membership.told == ("localhost", int(words[-1]))


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_an_address_that_means_all_of_them_is_told_by_the_answer_itself(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    words = ["--group", "239.1.1.1", "-a", address, "-p", str(free_port())]
    membership = membership_of(monkeypatch, *words)
    assert membership is not None
    assert membership.told == ("", int(words[-1]))


def test_what_a_runner_has_started_takes_over_its_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.server.seat.usable_interfaces", lambda group: [NetworkInterface(1, "lo", 0)])
    seat = take_seat(Group("ff02::1", os.getpid()))
    ours, theirs = socket.socketpair()
    with closing(seat), ours, theirs:
        membership = membership_of(
            monkeypatch,
            *("--group", "ff02::1"),
            *("--seat", str(os.dup(seat.descriptors()[0]))),
            *("--candidate", str(os.dup(theirs.fileno()))),
        )
        assert membership is not None
        assert membership.seat is not None
        assert membership.candidate is not None
        assert not membership.stands_by
        membership.seat.close()
        membership.candidate.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
