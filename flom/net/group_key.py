"""
The file with the key of a group (docs/explanation/groups.md, "A key for the group"), and files with other secrets.
"""

from __future__ import annotations

import os
import stat

from flom.core.group.key import MIN_SECRET, GroupKey
from flom.errors import ConfigError
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_SECRET: Final = 4096
"""Bytes of the longest secret."""


def read_key(path: str, *, is_required: bool = False) -> GroupKey:
    """
    Return the key in the file C{path}; a line feed at its end is no part of it.

    @param is_required: see L{GroupKey.is_required}.
    @raise ConfigError: it cannot be read, other users can read or change it, or it is too short or too long.
    """
    secret = read_secret("group-key", path, MIN_SECRET)
    return GroupKey(secret, lambda: os.urandom(16).hex(), is_required=is_required)


def read_secret(option: str, path: str, shortest: int = 1) -> bytes:
    """
    Return what is in the file C{path} that C{option} names; a line feed at its end is no part of it.

    @param shortest: bytes that it has to have.
    @raise ConfigError: it cannot be read, other users can read or change it, or it is too short or too long.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            why = _why_unsafe(os.fstat(descriptor))
            secret = b"" if why else os.read(descriptor, MAX_SECRET + 2).rstrip(b"\r\n")
        finally:
            os.close(descriptor)
    except OSError as e:
        why = reason(e)
    else:
        if not why and not shortest <= len(secret) <= MAX_SECRET:
            why = f"its {len(secret)} bytes are not {shortest} to {MAX_SECRET}"
    if why:
        raise ConfigError(f"{option}: '{path}' cannot be used: {why}")
    return secret


def _why_unsafe(found: os.stat_result) -> str:
    """Return why the secret in a file is none, or no one of ours; nothing if that is fine."""
    if not stat.S_ISREG(found.st_mode):
        return "it is no file"
    if found.st_uid not in (0, os.geteuid()):
        return f"it belongs to uid {found.st_uid}"
    # as for the keys of TLS elsewhere: a file of root's may be for a group of users that run daemons
    mode, allowed = stat.S_IMODE(found.st_mode), 0o740 if found.st_uid == 0 else 0o700
    if mode & ~allowed:
        return f"others may read or change it (mode {mode:03o}); chmod 600 makes it yours"
    return ""
