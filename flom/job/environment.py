"""The environment of a command under a lock (docs/compatibility.md, "Running the command")."""

from __future__ import annotations

import os
from binascii import a2b_base64

from flom.core.names import parse_name
from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from flom.core.modes import LockMode

ENVIRON: Final = "FLOM_RUN_ENVIRON"
"""The variable in which the script C{flom-run} has the environment that it was called with, in base64."""

WANTED: Final = b"FLOM_WANTED_FD"
"""The variable that has the number of the descriptor by which a command learns that its lock is wanted."""

DEADLINE: Final = b"FLOM_DEADLINE_FD"
"""The variable that has the number of the descriptor by which a command learns that its lock was lost."""

VALUE: Final = b"FLOM_VALUE"
"""The variable that has the value of the resource."""

CONTROL: Final = b"FLOM_CONTROL_FD"
"""The variable that has the number of the descriptor by which a command asks its C{flom-run} to convert its lock."""

_OF_SCRIPT: Final = b"FLOM_RUN_"  # begins the names of all of that script's variables

_OF_ONE: Final = ("FLOM_RESOURCE", "FLOM_LOCK_MODE", "FLOM_ELEMENT", "FLOM_TOKEN")


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


class TakenLock(Value):
    """
    What a command is told of a lock that it runs under.

    @ivar quantity: units, of a numeric resource; it means nothing for others.
    @ivar element: which one was granted, for sets, sequences and timestamps.
    @ivar token: the fencing token; C{None} from a daemon of FLoM's.
    """

    name: str
    mode: LockMode
    quantity: int = 1
    element: str | None = None
    token: int | None = None

    @property
    def mode_name(self) -> str:
        """The name of the mode; C{EX} if the resource has no modes."""
        return self.mode.name if parse_name(self.name).has_mode else "EX"

    def spell(self) -> str:
        """
        Return the line about this lock in FLOM_RESOURCES (docs/howto/several-locks.md): name, mode, units, token and
        element, with tabs between them. No value is empty but the last, because a shell takes two tabs for one.
        """
        units = self.quantity if parse_name(self.name).has_quantity else 1
        return "\t".join((self.name, self.mode_name, str(units), str(self.token or 0), self.element or ""))


def add_locks(environment: dict[bytes, bytes], locks: Sequence[TakenLock]) -> None:
    """
    Add the variables about the command's locks to C{environment}; those about other locks are replaced.

    FLOM_RESOURCES has a line for each. The others are there only if there is one lock: FLOM_LOCK_MODE is EX if the
    resource has no modes; FLOM_ELEMENT is there only if the lock has an element, and FLOM_TOKEN only if the daemon is
    not FLoM's. The caller, who has the descriptor, adds L{DEADLINE}, and L{VALUE}, if the value of the only resource is
    wanted and there is one.

    @raise flom.errors.InvalidName: a name is no resource's.
    """
    variables: dict[str, str | None] = dict.fromkeys(_OF_ONE)
    variables["FLOM_RESOURCES"] = "\n".join(lock.spell() for lock in locks)
    if len(locks) == 1:
        only = locks[0]
        token = None if only.token is None else str(only.token)
        variables.update(zip(_OF_ONE, (only.name, only.mode_name, only.element, token)))  # noqa: B905 (as many)
    environment.pop(DEADLINE, None)
    environment.pop(CONTROL, None)
    environment.pop(WANTED, None)
    environment.pop(VALUE, None)
    for key, value in variables.items():
        environment.pop(os.fsencode(key), None)  # of a flom-run around this one
        if value is not None:
            environment[os.fsencode(key)] = os.fsencode(value)
