"""Ending as a command has ended; tests/contract/test_jobs.py sees whole programs die of the signals."""

import errno
import os
import signal

import pytest

from flom.job.status import leave, status_after


@pytest.mark.parametrize(("code", "status"), [(0, 0), (99, 99), (255, 255), (-signal.SIGKILL, 137)])
def test_the_status_is_what_a_shell_would_show(code: int, status: int) -> None:
    assert status_after(code) == status


def status_of_child(status: int) -> int:
    """Return how a child ends that leaves with C{status} and ignores SIGTERM: its status, -N for signal N."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        leave(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_process_that_can_open_nothing_still_dies_by_the_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptor_left() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("flom.job.status._forbid_core", no_descriptor_left)
    assert status_of_child(-signal.SIGTERM) == -signal.SIGTERM


@pytest.mark.parametrize("status", [0, 99, 255, -signal.SIGTERM, -signal.SIGKILL, -signal.SIGRTMIN])
def test_a_process_leaves_with_a_status_or_by_a_signal(status: int) -> None:
    assert status_of_child(status) == status
