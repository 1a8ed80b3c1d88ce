"""Which UNIX sockets listen, as the kernel lists them: by which a daemon is told from the next one at its address."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LISTENS: Final = b"00010000"  # in the column of flags: __SO_ACCEPTCON


def find_listeners(address: str | bytes, table: str = "/proc/net/unix") -> frozenset[bytes]:
    """
    Return the inodes of the sockets of this network namespace that listen at a path or an abstract address.

    They are those of the kernel, not of files; two sockets that listen one after another have different ones.

    @param address: as C{socket.getpeername} returns it.
    @return: nothing if that cannot be found out.
    """
    name = address.encode(errors="surrogateescape") if isinstance(address, str) else address
    if name.startswith(b"\0"):
        name = b"@" + name[1:]
    try:
        with open(table, "rb") as file:
            rows = [line.rstrip(b"\n").split(None, 7) for line in file]
    except OSError:
        return frozenset()
    return frozenset(row[6] for row in rows if len(row) == 8 and row[7] == name and row[3] == _LISTENS)
