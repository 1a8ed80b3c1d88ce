"""The environment of a command under a lock (docs/compatibility.md, "Running the command")."""

from __future__ import annotations

import os

from flom.core.modes import LockMode
from flom.core.names import parse_name


def inherited_environment() -> dict[bytes, bytes]:
    """Return the environment as this process got it; in the C locale, Python adds a variable to C{os.environ}."""
    with open("/proc/self/environ", "rb") as environment:
        variables = environment.read().split(b"\0")
    return dict(variable.split(b"=", 1) for variable in variables if variable.find(b"=") > 0)


def add_lock(environment: dict[bytes, bytes], name: str, mode: LockMode, element: str | None) -> None:
    """
    Add the variables about the command's lock to C{environment}; those about another lock are replaced.

    FLOM_LOCK_MODE is EX if the resource has no modes; FLOM_ELEMENT is there only if the lock has an element.

    @raise flom.errors.InvalidName: C{name} is no resource's.
    """
    variables = {
        "FLOM_RESOURCE": name,
        "FLOM_LOCK_MODE": mode.name if parse_name(name).has_mode else "EX",
        "FLOM_ELEMENT": element,
    }
    for key, value in variables.items():
        environment.pop(os.fsencode(key), None)  # of a flom-run around this one
        if value is not None:
            environment[os.fsencode(key)] = os.fsencode(value)
