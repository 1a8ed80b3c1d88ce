"""Which descriptors are for the command; tests/run/test_runner_descriptors.py looks at what a command really gets."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from flom.job.descriptors import EndWatch, inherited_descriptors
from tests.fakes.pipes import read_soon


def test_what_outlives_an_exec_is_for_the_command() -> None:
    inheritable, own = os.pipe()
    os.set_inheritable(inheritable, True)
    try:
        found = inherited_descriptors()
    finally:
        os.close(inheritable)
        os.close(own)
    assert inheritable in found
    assert own not in found
    assert not {0, 1, 2} & set(found)


def no_pidfds(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, "pidfd_open", fail)


def test_where_there_are_pidfds_a_command_inherits_nothing() -> None:
    watch = EndWatch()
    assert watch.inherited == -1
    with subprocess.Popen(["true"]) as command:
        watch.note_start()
        os.close(watch.open(command.pid))
    watch.close()


def test_without_pidfds_it_inherits_a_pipe_that_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    no_pidfds(monkeypatch)
    watch = EndWatch()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[watch.inherited]) as command:
        watch.note_start()
        awaited = watch.open(command.pid)
        watch.close()
        os.set_blocking(awaited, False)
        with pytest.raises(BlockingIOError):
            os.read(awaited, 1)
        command.kill()
    assert read_soon(awaited) == b""
    os.close(awaited)
