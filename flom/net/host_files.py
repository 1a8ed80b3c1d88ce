"""
Where files of this host are that belong to an address which is no file: a TCP address, or an abstract socket.

Such an address is another one in each network namespace, and so is the file.
"""

from __future__ import annotations

import os

from flom.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PLACE: Final = "/dev/shm"  # on every Linux; /tmp may be another one for each service

_SO_NETNS_COOKIE: Final = 71  # which no other network namespace had since the boot; Linux 5.14 has it


def abstract_file(name: str) -> str:
    """Return how the path of a file of an abstract socket begins; C{name} begins with a null character."""
    return os.path.join(PLACE, f"{prefix()}@{name[1:].replace('/', '.')}")


def tcp_file(host: str, port: int) -> str:
    """Return how the path of a file of a TCP address begins."""
    return os.path.join(PLACE, f"{prefix()}{host}-{port}")


def prefix() -> str:
    """Return how the names of all such files of this network namespace begin."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        cookie = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8).hex()
    except OSError:
        try:
            cookie = f"{os.stat('/proc/self/ns/net').st_ino}"
        except OSError:
            cookie = "0"
    finally:
        probe.close()
    return f"flom-{cookie}-"
