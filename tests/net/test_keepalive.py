"""How TCP connections are set up (docs/compatibility.md, "Keepalive"); scenarios have a test of both ends."""

from __future__ import annotations

import socket

import pytest

from flom.net.keepalive import DEFAULT_KEEPALIVE, Keepalive


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        (10.0, Keepalive(5, 1, 5)),
        (60.0, Keepalive(30, 6, 5)),
        (1.5, Keepalive(1, 1, 1)),
        (1000.0, Keepalive(60, 10, 6)),
    ],
)
def test_a_peer_may_have_to_be_noticed_within_a_time(seconds: float, kept: Keepalive) -> None:
    assert Keepalive().within(seconds) == kept
    assert kept.patience <= max(seconds, 2)


def test_a_connection_says_what_it_is_set_to() -> None:
    with socket.socket() as connection:
        Keepalive(7, 3, 2).tune(connection)
        assert Keepalive.of(connection) == Keepalive(7, 3, 2)


def test_a_peer_that_is_noticed_earlier_is_noticed_no_later_then() -> None:
    assert Keepalive(1, 1, 2).within(10.0) == Keepalive(1, 1, 2)


def test_a_dead_peer_is_noticed_after_the_silence_and_all_probes() -> None:
    assert Keepalive(time=7, interval=3, probes=2).patience == 13
    assert DEFAULT_KEEPALIVE.patience == 120


def test_a_holder_knows_before_its_daemon() -> None:
    assert Keepalive(time=7, interval=3, probes=2).of_daemon.patience == 16
    assert Keepalive(probes=127).of_daemon == Keepalive(probes=127)


def test_a_connection_is_tuned() -> None:
    with socket.socket() as connection:
        Keepalive(time=7, interval=3, probes=2).tune(connection)
        options = {
            name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }
        assert options == {"TCP_KEEPIDLE": 7, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 13_000}
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_longest_patience_is_one_that_the_kernel_takes() -> None:
    with socket.socket() as connection:
        Keepalive(32767, 32767, 127).tune(connection)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2**31 - 1
