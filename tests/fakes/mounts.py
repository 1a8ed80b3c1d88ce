"""Mounts and those who look at them."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest

from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Lock, Unlock
from tests.fakes.peers import SocketClient
from tests.fakes.programs import command_line_of, eventually

PATIENCE: Final = 20.0  # seconds until a program that reads the file system fails the test


def _why_not() -> str | None:
    """Return why nothing can be mounted here; the empty string if something can."""
    if not os.path.exists("/dev/fuse"):
        return "needs /dev/fuse"
    if shutil.which("fusermount3") is None:
        return "needs the fusermount3 program (Debian package fuse3)"
    if importlib.util.find_spec("mfusepy") is None:
        return "needs the Python package mfusepy"
    if os.geteuid() != 0:
        return None  # fusermount3 is for that
    directory = tempfile.mkdtemp()
    try:
        with open("/dev/fuse", "r+b", buffering=0) as fuse:
            options = f"fd={fuse.fileno()},rootmode=40000,user_id=0,group_id=0"
            words = ["mount", "-i", "-t", "fuse", "-o", options, "flomprobe", directory]
            tried = subprocess.run(words, pass_fds=[fuse.fileno()], capture_output=True, text=True)
        if tried.returncode == 0:
            subprocess.run(["umount", "-l", directory], check=True)
            return None
        return f"nothing can be mounted here: {tried.stderr.strip()}"
    except OSError as e:
        return f"nothing can be mounted here: {e}"
    finally:
        os.rmdir(directory)


_WHY_NOT: Final = _why_not()

needs_fuse: Final = pytest.mark.skipif(_WHY_NOT is not None, reason=str(_WHY_NOT))
needs_root: Final = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


def mount_at(directory: Path) -> str | None:
    """Return the line of the kernel's list of mounts that is about C{directory}; the path must need no escapes."""
    with open("/proc/self/mountinfo") as mounts:
        lines = [line for line in mounts if line.split()[4] == str(directory)]
    return lines[-1] if lines else None


def wait_for_no_mount(directory: Path) -> None:
    eventually(lambda: mount_at(directory) is None, f"an end of the mount at {directory}")


def processes_at(directory: Path) -> list[int]:
    """Return the processes that show something at C{directory}, or are about to."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if command_line_of(pid).endswith(f"-m flom.vfs {directory} ")]


def process_at(directory: Path) -> int:
    [pid] = processes_at(directory)
    return pid


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a program that looks at files; it must not hang."""
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, env=os.environ | {"LC_ALL": "C"})


def read(path: Path) -> str:
    done = run("cat", str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(directory: Path) -> list[str]:
    """
    Return all files below C{directory} and the empty directories, by paths from there.

    What vanishes in the meantime makes C{find} complain: then it looks again.
    """
    words = ["find", str(directory), "-mindepth", "1", "(", "-type", "f", "-o", "-empty", ")", "-printf", "%P\n"]
    while (done := run(*words)).returncode:
        assert directory.is_dir(), done.stderr
    return sorted(done.stdout.splitlines())


def shape(directory: Path) -> list[str]:
    """Return what L{listed} does, with C{N} for every number."""
    return [_without_numbers(path) for path in listed(directory)]


def contents(directory: Path) -> dict[str, str]:
    """Return what is in all files below C{directory}, with C{N} for every number in their paths."""
    return {
        _without_numbers(path): read(directory / path) for path in listed(directory) if (directory / path).is_file()
    }


def _without_numbers(path: str) -> str:
    return re.sub(r"(^|(?<=/))[0-9]+(?=/|$)", "N", path)


class Person(SocketClient):
    """Asks a daemon for one lock; as a context manager, it has given up everything outside."""

    def __init__(self, path: str, lock: Lock) -> None:
        super().__init__(path)
        self.name = lock.name
        self._conversation.send(encode(lock))
        self.answer = self.next()

    def unlock(self) -> None:
        self._conversation.send(encode(Unlock(self.name)))

    def __enter__(self) -> Person:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
