"""
What a daemon does not keep of the program that has started it: limits, priority, ignored signals, cgroup.

It serves others for long after that program has gone, and must not be slowed down or ended in its place.
"""

from __future__ import annotations

import os
import resource

from flom.lean import signal, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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


def become_ordinary() -> None:
    """Set limits, priority and processors of this process to what they are without its parent, as far as is allowed."""
    for limit in _LIMITS:
        _, hard = resource.getrlimit(limit)
        if not _can(resource.setrlimit, limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)):
            _can(resource.setrlimit, limit, (hard, hard))
    _can(os.sched_setscheduler, 0, os.SCHED_OTHER, os.sched_param(0))
    _can(os.setpriority, os.PRIO_PROCESS, 0, 0)
    _can(_use_all_processors)
    _can(_reset_oom_score)


def _can(change: Callable[..., object], *arguments: object) -> bool:
    try:
        change(*arguments)
    except (OSError, ValueError):  # the latter from setrlimit
        return False
    return True


def _use_all_processors() -> None:
    os.sched_setaffinity(0, os.sched_getaffinity(1))


def _reset_oom_score() -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")


def heed_signals() -> None:
    """Undo that the parent ignores signals, as a shell does SIGINT for what it starts in the background."""
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # which Python itself ignores
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def move_to_scope(pid: int) -> None:
    """
    Become a program that asks systemd for a scope of its own for the process C{pid}, or return if there is no systemd.

    Otherwise, systemd would end the daemon together with the unit of the program that has started it.
    """
    user = os.geteuid()
    places = ["/run"] if user == 0 else [os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"]
    for runtime in places:
        if _is_managed(f"{runtime}/systemd/private", user):
            break
    else:
        return
    properties = ["PIDs", "au", "1", str(pid), "Description", "s", "FLoM lock daemon"]
    properties += ["CollectMode", "s", "inactive-or-failed"]
    words = ["busctl", "--system" if user == 0 else "--user", "--quiet", "--timeout=10", "call", *_SCOPE.split()]
    words += ["ssa(sv)a(sa(sv))", f"flom-{pid}.scope", "fail", "3", *properties, "0"]
    for descriptor in os.listdir("/proc/self/fd"):  # one of them is that of the directory, and gone
        _can(os.set_inheritable, int(descriptor), False)  # neither starter nor later daemons are to wait for busctl
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    _can(os.execvpe, words[0], words, os.environ | {"XDG_RUNTIME_DIR": runtime})


def _is_managed(path: str, user: int) -> bool:
    """Return whether a manager of C{user} listens at C{path}, and is one that knows our process ids as we do."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.setblocking(False)
    try:
        probe.connect(path)
        pid, uid, _ = memoryview(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)).cast("I")
    except (OSError, ValueError):
        return False
    finally:
        probe.close()
    return pid != 0 and uid == user  # the pid is 0 if the manager is outside of our namespace of processes
