"""IPv6 addresses that cannot be used yet: for a second or two, the kernel asks whether another host has them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.core.group.addresses import Group

LOOK_AGAIN: Final = 0.05  # seconds after which to look whether an address is usable now

_LONGEST: Final = 3.0  # seconds that this takes with the usual settings of the kernel, and some more

_TENTATIVE: Final = 0x40  # IFA_F_TENTATIVE
_IS_DUPLICATE: Final = 0x08  # IFA_F_DADFAILED: it stays tentative


def has_tentative_address(interface: str = "", table: str = "/proc/net/if_inet6") -> bool:
    """
    Return whether an address of this host will be usable soon.

    @param interface: the name of the only interface that matters; the empty string for all.
    @param table: the kernel's, with address, index, prefix, scope, flags and name in each line; it need not be there.
    """
    try:
        with open(table) as file:
            rows = [line.split() for line in file]
    except OSError:
        return False
    return any(
        int(row[4], 16) & (_TENTATIVE | _IS_DUPLICATE) == _TENTATIVE for row in rows if interface in ("", row[5])
    )


class AddressWait:
    """How long a client waits that can send nothing to a group, because an address of its host is not usable yet."""

    def __init__(self, group: Group, now: float) -> None:
        """@param now: the time in seconds, by a monotonic clock; also for L{goes_on}."""
        self._group = group
        self._give_up = now + _LONGEST

    def goes_on(self, now: float) -> bool:
        """Return whether to wait, and to look again in L{LOOK_AGAIN} seconds."""
        return self._group.is_ipv6 and now < self._give_up and has_tentative_address(self._group.interface)


def describe_wait(problem: object) -> str:
    """Return a line for a user about why a client waits, after C{problem}."""
    return f"{problem}; waiting until the kernel knows that no other host has its address"
