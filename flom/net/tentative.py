"""IPv6 addresses that cannot be used yet: for a second or two, the kernel asks whether another host has them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.core.group.addresses import Group

LOOK_AGAIN: Final = 0.05  # seconds after which to look whether an address is usable now

_LONGEST: Final = 3.0  # seconds that this takes with the usual settings of the kernel, and some more

_UNTIL_THERE: Final = 1.5  # seconds within which an interface that has just come up has an address, and some more

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


def lacks_address(interface: str = "", table: str = "/proc/net/if_inet6", devices: str = "/proc/sys/net") -> bool:
    """
    Return whether IPv6 is used on an interface that has no address for it, as one that came up a moment ago.

    @param interface: as for L{has_tentative_address}; so is C{table}.
    @param devices: the folder of the kernel's settings.
    """
    settings = f"{devices}/ipv6/conf"
    try:
        with open(table) as file:
            named = {line.split()[5] for line in file}
        names = [interface] if interface else os.listdir(settings)
        return any(
            name not in named and _read(f"{settings}/{name}/disable_ipv6") == "0"
            for name in names
            if name not in ("all", "default", "lo")
        )
    except OSError:
        return False


def _read(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


class AddressWait:
    """How long a client waits that can send nothing to a group, because an address of its host is not usable yet."""

    def __init__(self, group: Group, now: float) -> None:
        """@param now: the time in seconds, by a monotonic clock; also for the methods."""
        self._group = group
        self._begun = now
        self._is_once_more = False

    def may_try_again(self, now: float) -> bool:
        """Return whether what has just failed is to be tried again, when L{goes_on} is false."""
        if self.goes_on(now):
            return True
        was_once_more, self._is_once_more = self._is_once_more, True  # the address may be usable since
        return self._group.is_ipv6 and not was_once_more

    def goes_on(self, now: float) -> bool:
        """Return whether to wait, and to look again in L{LOOK_AGAIN} seconds."""
        interface, waited = self._group.interface, now - self._begun
        if not self._group.is_ipv6 or waited >= _LONGEST:
            return False
        return has_tentative_address(interface) or (waited < _UNTIL_THERE and lacks_address(interface))


def describe_wait(problem: object) -> str:
    """Return a line for a user about why a client waits, after C{problem}."""
    return f"{problem}; waiting until the kernel knows that no other host has its address"
