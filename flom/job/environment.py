"""The environment of a command under a lock (docs/compatibility.md, "Running the command")."""

from __future__ import annotations

import os
from binascii import a2b_base64

from flom.core.modes import LockMode
from flom.core.names import parse_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ENVIRON: Final = "FLOM_RUN_ENVIRON"
"""The variable in which the script C{flom-run} has the environment that it was called with, in base64."""

DEADLINE: Final = b"FLOM_DEADLINE_FD"
"""The variable that has the number of the descriptor by which a command learns that its lock was lost."""

VALUE: Final = b"FLOM_VALUE"
"""The variable that has the value of the resource."""

_OF_SCRIPT: Final = b"FLOM_RUN_"  # begins the names of all of that script's variables


def inherited_environment() -> dict[bytes, bytes]:
    """
    Return the environment as this program got it.

    It is what L{ENVIRON} says; else the kernel's, because in the C locale, Python adds a variable to C{os.environ}.
    Only if there is no C{/proc}, it is that.
    """
    given = os.environ.get(ENVIRON)  # empty, if the environment was
    if given is not None:
        variables = a2b_base64(given).split(b"\0")
    else:
        try:
            with open("/proc/self/environ", "rb") as environment:
                variables = environment.read().split(b"\0")
        except OSError:
            variables = [b"=".join(pair) for pair in os.environb.items()]
        variables = [variable for variable in variables if not variable.startswith(_OF_SCRIPT)]
    return dict(variable.split(b"=", 1) for variable in variables if variable.find(b"=") > 0)


def add_lock(
    environment: dict[bytes, bytes], name: str, mode: LockMode, element: str | None, token: int | None
) -> None:
    """
    Add the variables about the command's lock to C{environment}; those about another lock are replaced.

    FLOM_LOCK_MODE is EX if the resource has no modes; FLOM_ELEMENT is there only if the lock has an element, and
    FLOM_TOKEN only if the daemon is not FLoM's. The caller, who has the descriptor, adds L{DEADLINE}, and L{VALUE}, if
    the value of the resource is wanted and there is one.

    @raise flom.errors.InvalidName: C{name} is no resource's.
    """
    variables = {
        "FLOM_RESOURCE": name,
        "FLOM_LOCK_MODE": mode.name if parse_name(name).has_mode else "EX",
        "FLOM_ELEMENT": element,
        "FLOM_TOKEN": None if token is None else str(token),
    }
    environment.pop(DEADLINE, None)
    environment.pop(VALUE, None)
    for key, value in variables.items():
        environment.pop(os.fsencode(key), None)  # of a flom-run around this one
        if value is not None:
            environment[os.fsencode(key)] = os.fsencode(value)
