"""What SIGHUP has a daemon read again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from twisted.logger import LogEvent

from flom.codes import ReturnCode
from flom.errors import TlsError
from flom.server.reload import ReloadService
from tests.fakes.logs import errors, informed
from tests.server.conftest import log as log


class Reactor:
    """Keeps what a signal's handler leaves to it."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def callFromThread(self, call: Callable[[], None]) -> None:
        self.calls.append(call)


class Tls:
    """Files that were read so many times, or cannot be."""

    def __init__(self, problem: str = "") -> None:
        self.times = 0
        self.problem = problem

    def reload(self) -> None:
        if self.problem:
            raise TlsError(ReturnCode.SSL_CTX_USE_CERTIFICATE_FILE_ERROR, self.problem)
        self.times += 1


@pytest.fixture
def hangup() -> Iterator[None]:
    """SIGHUP as a program finds it; what it was is put back."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def make(tls: Tls | None) -> tuple[ReloadService, Reactor]:
    reactor = Reactor()
    return ReloadService(reactor, tls), reactor  # type: ignore[arg-type]


def test_a_hangup_is_left_to_the_reactor(hangup: None, log: list[LogEvent]) -> None:
    tls = Tls()
    service, reactor = make(tls)
    service.privilegedStartService()
    os.kill(os.getpid(), signal.SIGHUP)
    assert tls.times == 0
    for call in reactor.calls:
        call()
    assert tls.times == 1
    assert informed(log) == ["reloaded: new connections use the TLS files as they are now"]


def test_one_that_is_ignored_stays_ignored(hangup: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup has it
    make(None)[0].privilegedStartService()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_files_that_cannot_be_used_change_nothing(log: list[LogEvent]) -> None:
    problem = "tls-certificate: 'x.pem' cannot be used: no such file or directory"
    make(Tls(problem))[0].reload()
    assert errors(log) == [f"not reloaded, the files of before stay in use: {problem}"]


def test_without_tls_it_is_said_that_there_is_nothing_to_read(log: list[LogEvent]) -> None:
    make(None)[0].reload()
    assert informed(log) == ["reloaded: this daemon has no TLS files; other settings need a new start"]
