"""Datagrams to the program that supervises a daemon."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from flom.net.notify import Notifier, take_notifier
from tests.fakes.supervisor import Supervisor


def test_lines_travel_in_one_datagram_to_a_path_or_an_abstract_socket(tmp_path: Path) -> None:
    for address in (str(tmp_path / "notify"), f"@flom-test-{uuid.uuid4()}"):
        with Supervisor(address) as supervisor:
            assert Notifier(address).send("READY=1", "STATUS=größer")
            assert supervisor.hear() == ["READY=1", "STATUS=größer"]


def test_a_supervisor_that_cannot_be_told_harms_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    assert not Notifier(path).send("READY=1")  # it has gone
    assert not Notifier("/" + 200 * "x").send("READY=1")  # no such path can be
    with Supervisor(path):
        told = [Notifier(path).send("READY=1") for _ in range(2000)]
        assert told[0]
        assert not told[-1]  # it does not read


def test_it_is_taken_out_of_the_environment() -> None:
    environ = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
    notifier = take_notifier(environ, pid=7)
    assert notifier is not None
    assert notifier.watchdog == 30.0
    assert environ == {"PATH": "/bin"}
    assert take_notifier(environ) is None


@pytest.mark.parametrize(
    ("variables", "watchdog"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "1500000"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "8"}, None),  # another process is watched
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_heeded_if_it_means_this_process(variables: dict[str, str], watchdog: float | None) -> None:
    notifier = take_notifier({"NOTIFY_SOCKET": "@x", **variables}, pid=7)
    assert notifier is not None
    assert notifier.watchdog == watchdog


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/path"])
def test_what_is_no_such_address_is_no_supervisor(address: str) -> None:
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"}
    assert take_notifier(environ) is None
    assert environ == {}
