"""
FLoM's constants, as plain integers under its own names (docs/compatibility.md, "Library: constants", "Return codes").
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from flom.codes import ExitStatus, ReturnCode
from flom.core.modes import LockMode


class HandleState(IntEnum):
    """
    What a handle can be; memory that no function has seen yet is in state 0 (docs/compatibility.md, "Library: states").
    """

    INIT = 22
    CONNECTED = 23
    LOCKED = 24
    DISCONNECTED = 25
    CLEANED = 26


# not the members themselves: some versions of Python would print those by their names
CONSTANTS: Final[dict[str, int]] = {
    **{f"FLOM_LOCK_MODE_{mode.name}": int(mode) for mode in LockMode},
    "FLOM_LOCK_MODE_N": len(LockMode),
    "FLOM_LOCK_MODE_INVALID": len(LockMode) + 1,
    "FLOM_ES_OK": int(ExitStatus.OK),
    "FLOM_ES_REQUESTER_CANT_WAIT": int(ExitStatus.CANNOT_WAIT),
    "FLOM_ES_UNABLE_TO_EXECUTE_COMMAND": int(ExitStatus.CANNOT_EXECUTE),
    "FLOM_ES_RESOURCE_BUSY": int(ExitStatus.BUSY),
    "FLOM_ES_GENERIC_ERROR": int(ExitStatus.ERROR),
    "TRUE": 1,
    "FALSE": 0,
    **{f"FLOM_HANDLE_STATE_{state.name}": int(state) for state in HandleState},
    **{f"FLOM_RC_{code.name}": int(code) for code in ReturnCode},
}
