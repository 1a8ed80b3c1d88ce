"""Listening sockets that systemd, or a program like it, has opened and passed on (sd_listen_fds(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Final

_FIRST: Final = 3  # the number of the first descriptor that is passed on


def passed_sockets(description: str, environ: Mapping[bytes, bytes]) -> list[socket.socket]:
    """
    Return the sockets that C{description} means, such as C{"systemd:index=0"} or C{"systemd:name=flom"}.

    Several may have one name (C{FileDescriptorName=}), of whatever families: all that one unit has opened do. Twisted
    takes the last of them, takes the family from C{domain=}, which need not be right, and wants the sockets to have
    names.

    @param environ: what the program was started with.
    @return: at least one.
    @raise ValueError: there is no such socket, or clients cannot connect to one of them.
    """
    wanted = dict(part.partition("=")[::2] for part in description.removeprefix("systemd:").split(":"))
    which = {key: value for key, value in wanted.items() if key != "domain"}
    if not (set(which) == {"index"} and which["index"].isdecimal()) and set(which) != {"name"}:
        raise ValueError("it needs index=N, from 0 on, or name=NAME")
    passed = _passed(environ)
    if not passed:
        raise ValueError("this process was passed no sockets (LISTEN_FDS and LISTEN_PID say which)")
    if "index" in which:
        index = int(which["index"])
        if index >= len(passed):
            raise ValueError(f"the last socket that was passed has index {len(passed) - 1}")
        return [_listening(passed[index])]
    names = os.fsdecode(environ.get(b"LISTEN_FDNAMES", b"")).split(":")
    found = [descriptor for descriptor, name in zip(passed, names, strict=False) if name == which["name"]]
    if not found:
        known = ", ".join(filter(None, names)) or "none (LISTEN_FDNAMES)"
        raise ValueError(f"the names of the sockets that were passed are: {known}")
    return [_listening(descriptor) for descriptor in found]


def _passed(environ: Mapping[bytes, bytes]) -> range:
    """Return the descriptors that were passed to this process."""
    count = environ.get(b"LISTEN_FDS", b"")
    is_ours = environ.get(b"LISTEN_PID") == str(os.getpid()).encode()
    return range(_FIRST, _FIRST + int(count)) if is_ours and count.isdigit() else range(0)


def _listening(descriptor: int) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
        is_listening = bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        raise ValueError(f"descriptor {descriptor} is no socket") from None
    if found.type != socket.SOCK_STREAM or not is_listening:
        found.detach()
        raise ValueError(f"descriptor {descriptor} is no socket that listens for connections (ListenStream=)")
    found.set_inheritable(False)
    return found
