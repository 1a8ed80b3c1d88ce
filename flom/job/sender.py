"""What a client tells the daemon of itself, so that others can read who holds what they wait for."""

from __future__ import annotations

import os
import pwd
import sys

from flom.job.lineage import wishes_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.core.protocol.messages import Lock


def signed(request: Lock, command: str | None = None, *, has_lineage: bool = True) -> Lock:
    """
    Return C{request} with the names of our user and of the program that the lock is for, by themselves, and with the
    lineage of this process.

    @param command: that program, perhaps with its path; this program by default.
    @param has_lineage: false for a program that is to tell none.
    """
    program = os.path.basename(sys.argv[0] if command is None else command)
    wishes = wishes_here(request.wishes) if has_lineage else request.wishes
    return request.replace(user=user_name(), command=_text(program), wishes=wishes)


def user_name() -> str:
    """Return the name of our user; the empty string if it has none, as in a container."""
    try:
        return _text(pwd.getpwuid(os.geteuid()).pw_name)
    except KeyError:
        return ""


def _text(name: str) -> str:
    """Return C{name} without what a message cannot carry, and no longer than it is shown."""
    return "".join(character for character in name if character.isprintable())[:40]
