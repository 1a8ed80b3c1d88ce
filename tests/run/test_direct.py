"""When C{flom-run} takes the short way to a lock, and how it waits for its command there."""

from __future__ import annotations

import errno
import os
import select
import signal
from typing import Any

import pytest

from flom.config import Config
from flom.run import direct
from flom.run.direct import is_direct
from tests.fakes.programs import BY_REACTOR, PATIENCE, Programs

TLS = {"tls_certificate": "c", "tls_private_key": "k", "tls_ca_certificate": "a"}


@pytest.mark.parametrize(
    ("settings", "short"),
    [
        ({}, True),
        ({"socket_name": "/s"}, True),
        ({"unicast_address": "127.0.0.1"}, True),
        ({"tls_certificate": "c"}, True),  # half of TLS is none
        ({"multicast_address": "239.1.1.1"}, False),
        ({"unicast_address": "127.0.0.1", **TLS}, False),
        ({"verbose": True}, False),
    ],
    ids=str,
)
def test_it_leads_over_a_plain_socket_without_much_ado(settings: dict[str, Any], short: bool) -> None:
    assert is_direct(Config(**settings)) is short


def test_it_needs_a_python_with_descriptors_for_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    assert not is_direct(Config())


def test_it_needs_a_kernel_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_call(pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", no_such_call)
    assert not is_direct(Config())


# the command


def start(script: str) -> direct._Child:
    return direct._Child(direct._spawn(["sh", "-c", script], dict(os.environb)))


def test_a_command_that_has_ended_takes_no_signal() -> None:
    child = start("exit 7")
    assert select.select([child], [], [], PATIENCE)[0]
    child.signal(signal.SIGTERM)
    assert child.status() == 7
    child.signal(signal.SIGTERM)  # even now, when its number may be somebody else's


def test_a_signal_reaches_it() -> None:
    child = start("exec sleep 60")
    child.signal(signal.SIGTERM)
    assert child.status() == 128 + signal.SIGTERM


def test_a_signal_reaches_it_without_a_descriptor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", none_left)
    child = start("exec sleep 60")
    assert child.fileno() < 0
    child.signal(signal.SIGTERM)
    assert child.status() == 128 + signal.SIGTERM


# what must be the same by both ways


@pytest.mark.parametrize(
    "words",
    [
        ["-s", "/no/such/directory/s"],
        ["-a", "127.0.0.1", "-p", "1", "-d", "0"],
        ["-a", "no.such.host.invalid", "-d", "0"],
        ["-r", "%Y[%d]", "-d", "0"],
        ["-a", "127.0.0.1", "-p", "1", "--", "no-such-command"],
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_the_same_words(words: list[str]) -> None:
    said = []
    for environment in ({}, BY_REACTOR):
        with Programs(environment) as programs:
            done = programs.run(*words, "--", "echo", "ran")
        said.append((done.returncode, done.stdout, done.stderr))
    assert said[0] == said[1]
