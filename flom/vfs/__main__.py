"""
What a daemon holds, as a file system: C{python -m flom.vfs DIRECTORY}, which the daemon starts.

It is a process of its own, so that no program that reads its files or sits in one of its directories can hold up the
daemon. Its standard input is a connection to the daemon, where it asks for the status as any client does. When the
daemon ends, so does the connection: the process unmounts, and ends too. Once it has mounted, it writes C{mounted} to
its standard output; if it cannot, it says why in one line on stderr.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from select import POLLRDHUP, poll
from threading import Thread
from typing import NoReturn

from flom.client.blocking.status import StatusReader
from flom.client.blocking.stream import Stream
from flom.text import missing_extra, one_line
from flom.vfs.fuse import FileSystem, Snapshots, load_mfusepy, serve
from flom.vfs.mounts import make_room, unmount, why_not


def main() -> None:
    """Mount at the directory that is the only argument, an absolute path without links, until the daemon ends."""
    if len(sys.argv) != 2 or not stat.S_ISSOCK(os.fstat(0).st_mode):
        _refuse("flom.vfs is started by a daemon: see the option -m of flom, flom-run and twistd flom")
    directory = sys.argv[1]
    with suppress(OSError):
        os.setsid()  # what a terminal sends to the daemon's group is for the daemon, and we end after it
    with suppress(OSError, subprocess.SubprocessError):
        make_room(directory)  # if that fails, why_not() says what is there
    if why := why_not(directory):
        _refuse(why)
    try:
        fuse = load_mfusepy()
    except ImportError as e:
        _refuse(f"it {missing_extra(e)}")
    except OSError as e:
        _refuse(f"libfuse3 cannot be used (Debian package fuse3): {e}")
    daemon = socket.socket(fileno=0)
    daemon.setblocking(False)
    has_mounted = False

    def note_mount() -> None:
        nonlocal has_mounted
        has_mounted = True
        os.write(1, b"mounted\n")
        Thread(target=_unmount_at_the_end, args=(daemon, directory), daemon=True).start()

    snapshots = Snapshots(StatusReader(Stream(daemon), "the daemon"))
    try:
        serve(fuse, FileSystem(snapshots.latest, note_mount), directory)
    except RuntimeError:
        if not has_mounted:
            raise SystemExit(1) from None  # libfuse has said why


def _unmount_at_the_end(daemon: socket.socket, directory: str) -> None:
    """Wait until the daemon has gone; then unmount, and end this process even if it is busy."""
    poller = poll()
    poller.register(daemon, POLLRDHUP)  # nothing else: the main thread reads what the daemon says
    poller.poll()
    status = 1
    with suppress(OSError, subprocess.SubprocessError):
        status = unmount(directory)
    os._exit(status)


def _refuse(why: str) -> NoReturn:
    raise SystemExit(one_line(why))


if __name__ == "__main__":
    main()
