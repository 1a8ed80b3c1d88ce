"""
What a daemon does not keep of the program that has started it: limits, priority, ignored signals, cgroup.

It serves others for long after that program has gone, and must not be slowed down or ended in its place.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
from contextlib import suppress
from typing import Final

_LIMITS: Final = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_MEMLOCK,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_RTTIME,
    resource.RLIMIT_SIGPENDING,
)
"""All but those of stacks, by which threads are sized, of core files, and of descriptors (L{flom.tap})."""

_SCOPE: Final = "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StartTransientUnit"
_PEER: Final = struct.Struct("iII")  # pid, uid, gid


def become_ordinary() -> None:
    """Set limits, priority and processors of this process to what they are without its parent, as far as is allowed."""
    for limit in _LIMITS:
        _, hard = resource.getrlimit(limit)
        try:
            resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                resource.setrlimit(limit, (hard, hard))
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    with suppress(OSError):
        os.sched_setaffinity(0, os.sched_getaffinity(1))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")


def heed_signals() -> None:
    """Undo that the parent ignores signals, as a shell does SIGINT for what it starts in the background."""
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # which Python itself ignores
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def move_to_scope(pid: int) -> None:
    """
    Become a program that asks systemd for a scope of its own for the process C{pid}, or return if there is no systemd.

    Otherwise, systemd would end the daemon together with the unit of the program that has started it.
    """
    user = os.geteuid()
    runtime = "/run" if user == 0 else os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    if not _is_managed(f"{runtime}/systemd/private", user):
        return
    properties = ["PIDs", "au", "1", str(pid), "Description", "s", "FLoM lock daemon"]
    properties += ["CollectMode", "s", "inactive-or-failed"]
    words = ["busctl", "--system" if user == 0 else "--user", "--quiet", "--timeout=10", "call", *_SCOPE.split()]
    words += ["ssa(sv)a(sa(sv))", f"flom-{pid}.scope", "fail", "3", *properties, "0"]
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # one of them was that of the directory
            os.set_inheritable(descriptor, False)  # neither the starter nor a later daemon is to wait for it
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    with suppress(OSError):
        os.execvpe(words[0], words, os.environ | {"XDG_RUNTIME_DIR": runtime})


def _is_managed(path: str, user: int) -> bool:
    """Return whether a manager of C{user} listens at C{path}, and is one that knows our process ids as we do."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(path)
            pid, uid, _ = _PEER.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    except (OSError, ValueError):
        return False
    is_in_our_namespace: bool = pid != 0
    return is_in_our_namespace and uid == user
