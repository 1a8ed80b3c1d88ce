"""The unique id under which this machine speaks (docs/compatibility.md, "Unique id")."""

from __future__ import annotations

from flom.core.cache import Cache

_SOURCES = ("/var/lib/dbus/machine-id", "/etc/machine-id", "/proc/sys/kernel/random/boot_id")


def unique_id(sources: tuple[str, ...] = _SOURCES) -> str:
    """
    Return the 32 lower case hex digits that name this machine: the first such in one of the files C{sources}.

    FLoM aborts without a machine id (docs/compatibility.md, "Without a machine id, FLoM aborts"); there, as in a
    minimal container, it is the boot id of the kernel, and without that a digest of the host name.
    """
    return _found[sources]


def _find(sources: tuple[str, ...]) -> str:
    for source in sources:
        try:
            with open(source, encoding="utf-8", errors="replace") as file:
                text = file.read().strip().replace("-", "").lower()
        except OSError:
            continue
        if len(text) == 32 and not text.strip("0123456789abcdef"):
            return text

    from hashlib import sha256  # nearly every host can do without its import
    from socket import gethostname

    return sha256(gethostname().encode()).hexdigest()[:32]


_found = Cache(_find, 1)
