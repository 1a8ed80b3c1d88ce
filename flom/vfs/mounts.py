"""What the kernel has mounted where, and taking away what a killed daemon has left."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import stat
import subprocess
from select import POLLPRI, poll
from time import monotonic
from typing import Final

from flom.text import reason

SUBTYPE: Final = "flom"

_TYPE: Final = f"fuse.{SUBTYPE}"
"""The kernel's word for the type of our mounts."""

_TIMEOUT: Final = 2.0
"""Seconds that C{fusermount3} has, and a process that is about to unmount by itself."""


def unmount(directory: str) -> int:
    """
    Unmount C{directory}, even while processes are in there, and return the status of the command.

    @raise OSError: the command cannot be run.
    @raise subprocess.SubprocessError: it takes too long.
    """
    words = ["fusermount3", "-u", "-z", "-q", "--", directory]
    return subprocess.run(words, stdin=subprocess.DEVNULL, timeout=_TIMEOUT).returncode


def make_room(directory: str) -> None:
    """
    Unmount what a killed daemon has mounted at C{directory}, so that the next one can mount there.

    If the process that serves the mount was killed too, the mount is taken away; if not, that process is about to
    unmount by itself and has 2 seconds. Mounts of other programs and of a daemon that lives are left alone.
    """
    give_up = monotonic() + _TIMEOUT
    with open("/proc/self/mountinfo", "rb") as mounts:
        changes = poll()
        changes.register(mounts, POLLPRI)
        while type_of_mount(directory) == _TYPE:
            if _is_dead(directory):
                unmount(directory)
                return
            left = give_up - monotonic()
            if left <= 0:
                return
            changes.poll(left * 1000)


def why_not(directory: str) -> str | None:
    """Return why nothing can be mounted at C{directory}, as far as that can be seen without trying."""
    try:
        if not stat.S_ISDIR(os.stat(directory).st_mode):
            return "it is no directory"
        if type_of_mount(directory) is not None:
            return "something is mounted there already"
        if os.listdir(directory):
            return "it is not empty"
    except OSError as e:
        if e.errno == errno.ENOTCONN:
            return f"a mount is left there whose process is gone; 'fusermount3 -u {shlex.quote(directory)}' removes it"
        return reason(e)
    if not os.path.exists("/dev/fuse"):
        return "this machine has no /dev/fuse"
    if shutil.which("fusermount3") is None:
        return "the program fusermount3 is missing (Debian package fuse3)"
    return None


def type_of_mount(directory: str) -> str | None:
    """Return the type of what is mounted at C{directory}, a path without links, even if it is dead."""
    found = None
    with open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            place, _, source = line.partition(b" - ")
            if _unescape(place.split()[4]) == os.fsencode(directory):
                found = source.split()[0].decode()  # the last one covers the others
    return found


def _is_dead(directory: str) -> bool:
    """Return whether the process is gone that has mounted at C{directory}."""
    try:
        os.stat(directory)
    except OSError as e:
        return e.errno == errno.ENOTCONN
    return False


def _unescape(path: bytes) -> bytes:
    """Return the path that the kernel's list of mounts writes as C{path}, with octal numbers for blanks."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), path)
