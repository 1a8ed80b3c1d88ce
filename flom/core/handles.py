"""
Handles of holds without a process (L{flom.core.holds}): what a client keeps, to renew, adopt or release one.

A handle is C{hold-ID-SECRET}: the id, which the status shows, and a secret that the daemon does not keep. No program
need know more of it than its form, by which it is told apart from the name of a resource.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NO_SUCH_HOLD: Final = "there is no hold of this handle here: it was released, or its time is over"
"""What a daemon answers about a handle that it does not know (L{flom.server.holds}); clients know the case by it."""

PREFIX: Final = "hold-"

ID_DIGITS: Final = 8
SECRET_DIGITS: Final = 32

SIZE: Final = len(PREFIX) + ID_DIGITS + 1 + SECRET_DIGITS
"""Characters of a handle."""


def make_handle(random: bytes) -> str:
    """Return the handle that 20 C{random} bytes make."""
    digits = random.hex()
    assert len(digits) == ID_DIGITS + SECRET_DIGITS
    return f"{PREFIX}{digits[:ID_DIGITS]}-{digits[ID_DIGITS:]}"


def is_handle(text: str) -> bool:
    """Return whether C{text} has the form of a handle."""
    if len(text) != SIZE or not text.startswith(PREFIX):
        return False
    id, dash, secret = text[len(PREFIX) :].partition("-")
    return len(id) == ID_DIGITS and bool(dash) and not (id + secret).strip("0123456789abcdef")


def id_of(handle: str) -> str:
    """Return the part of C{handle} that is no secret: C{hold-ID}."""
    return handle[: len(PREFIX) + ID_DIGITS]
