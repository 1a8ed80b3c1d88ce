"""
What a daemon says to the program that supervises it, such as systemd: one datagram at a time (sd_notify(3)).

No library is used for that: sdnotify has had no release since 2017, sd-notify none since 2020, and cysystemd is 2 MB of
compiled code. What there is to do is less than their interfaces.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """
    The way to the supervisor.

    @ivar watchdog: seconds within which it wants to hear of this process again and again; C{None} if it does not.
    """

    def __init__(self, address: str, watchdog: float | None = None) -> None:
        """
        @param address: path of a UNIX socket for datagrams, or C{@} and the name of an abstract one.
        """
        self.watchdog = watchdog
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def send(self, *lines: str) -> bool:
        """Send C{lines} at once, such as C{"READY=1"}; return whether that was possible."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.setblocking(False)  # a supervisor that does not read must not stop us
            try:
                way.sendto("\n".join(lines).encode(), self._address)
            except (OSError, ValueError):
                return False
        return True


def take_notifier(environ: MutableMapping[str, str], pid: int | None = None) -> Notifier | None:
    """
    Return the way to the supervisor that C{environ} names; C{None} if there is none.

    What names it is removed, so that no child of this process speaks for it.

    @param pid: of this process; a watchdog may be meant for another one.
    """
    address, microseconds, watched = (environ.pop(name, "") for name in _VARIABLES)
    if not address.startswith(("/", "@")):  # also that of a supervisor outside of a virtual machine, "vsock:2:1234"
        return None
    is_meant = watched in ("", str(os.getpid() if pid is None else pid))
    watchdog = int(microseconds) / 1e6 if is_meant and microseconds.isdecimal() and int(microseconds) else None
    return Notifier(address, watchdog)
