"""Sockets that systemd has passed on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from flom.net.passed import passed_sockets


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A TCP socket that listens, a UNIX one that does not, and no socket, passed under numbers in a row."""
    numbers = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    while numbers[-1] - numbers[-3] != 2:
        numbers.append(os.open(os.devnull, os.O_RDONLY))
    first = numbers[-3]
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket(socket.AF_UNIX) as silent:
        os.dup2(listening.fileno(), first)
        os.dup2(silent.fileno(), first + 1)
    monkeypatch.setattr("flom.net.passed._FIRST", first)
    yield first
    for number in numbers:
        try:
            os.close(number)
        except OSError:
            pass  # the test has


def environ(names: str | None = None) -> dict[bytes, bytes]:
    named = {} if names is None else {b"LISTEN_FDNAMES": names.encode()}
    return {b"LISTEN_FDS": b"3", b"LISTEN_PID": str(os.getpid()).encode()} | named


@pytest.mark.parametrize(
    ("description", "names"),
    [
        ("systemd:index=0", None),
        ("systemd:domain=INET:index=0", None),
        ("systemd:domain=UNIX:index=0", None),
        ("systemd:index=0:domain=no", "a:b:c"),
        ("systemd:name=a", "a:b:c"),
        ("systemd:domain=INET6:name=b", "b:c:a"),
    ],
)
def test_its_family_is_that_of_the_descriptor(first: int, description: str, names: str | None) -> None:
    [found] = passed_sockets(description, environ(names))
    with found:
        assert (found.fileno(), found.family, found.get_inheritable()) == (first, socket.AF_INET, False)


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ("systemd:", "it needs index=N, from 0 on, or name=NAME"),
        ("systemd:domain=UNIX", "it needs index=N, from 0 on, or name=NAME"),
        ("systemd:index=-1", "it needs index=N, from 0 on, or name=NAME"),
        ("systemd:index=0:name=a", "it needs index=N, from 0 on, or name=NAME"),
        ("systemd:index=0:mode=600", "it needs index=N, from 0 on, or name=NAME"),
        ("systemd:index=3", "the last socket that was passed has index 2"),
        ("systemd:name=d", "the names of the sockets that were passed are: a, b, c"),
    ],
)
def test_what_names_none_is_told_why(first: int, description: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        passed_sockets(description, environ("a:b:c"))


def test_all_sockets_of_one_name_are_meant(first: int) -> None:
    """A unit with several ListenStream= gives all of them its FileDescriptorName=, be they UNIX sockets or TCP."""
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind("")  # the kernel chooses an abstract name
        unix.listen()
        os.dup2(unix.fileno(), first + 1)
    found = passed_sockets("systemd:name=flom", environ("flom:flom:http"))
    assert [each.family for each in found] == [socket.AF_INET, socket.AF_UNIX]
    for each in found:
        each.close()


def test_without_names_none_has_one(first: int) -> None:
    with pytest.raises(ValueError, match=r"are: none \(LISTEN_FDNAMES\)$"):
        passed_sockets("systemd:name=a", environ())


def test_what_clients_cannot_connect_to_is_refused(first: int) -> None:
    with pytest.raises(ValueError, match=f"descriptor {first + 1} is no socket that listens for connections"):
        passed_sockets("systemd:index=1", environ())
    with pytest.raises(ValueError, match=f"descriptor {first + 2} is no socket"):
        passed_sockets("systemd:index=2", environ())


@pytest.mark.parametrize("change", [{b"LISTEN_PID": b"1"}, {b"LISTEN_FDS": b"x"}, {b"LISTEN_FDS": b"0"}])
def test_what_is_another_process_s_is_not_used(change: dict[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="this process was passed no sockets"):
        passed_sockets("systemd:index=0", environ() | change)
