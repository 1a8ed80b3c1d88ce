"""The unique id under which this machine speaks (docs/compatibility.md, "Unique id")."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_SOURCES = ("/var/lib/dbus/machine-id", "/etc/machine-id", "/proc/sys/kernel/random/boot_id")


@lru_cache(maxsize=1)
def unique_id() -> str:
    """
    Return the 32 lower case hex digits that name this machine.

    They are the machine id. FLoM aborts where there is none, as in a minimal container
    (docs/compatibility.md, "Without a machine id, FLoM aborts"); there we take the boot id of the kernel, and without
    that a digest of the host name.
    """
    return find_unique_id(_SOURCES)


def find_unique_id(sources: Iterable[str]) -> str:
    """Return the first id that stands in one of the files C{sources}."""
    for source in sources:
        try:
            with open(source, encoding="ascii", errors="replace") as file:
                text = file.read().strip().replace("-", "").lower()
        except OSError:
            continue
        if re.fullmatch("[0-9a-f]{32}", text):
            return text

    from hashlib import sha256  # which nearly every host can do without
    from socket import gethostname

    return sha256(gethostname().encode()).hexdigest()[:32]
