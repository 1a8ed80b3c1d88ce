"""
FLoM's library for Python, name for name, for programs that were written for it
(docs/compatibility.md, "Client library", docs/libflom.md).

Most names are made from tables; what type checkers read is C{__init__.pyi}, beside this.
"""

from flom.libflom.calls import (
    flom_handle_clean,
    flom_handle_delete,
    flom_handle_get_locked_element,
    flom_handle_init,
    flom_handle_lock,
    flom_handle_new,
    flom_handle_unlock,
    flom_handle_unlock_rollback,
    flom_strerror,
)
from flom.libflom.constants import CONSTANTS
from flom.libflom.handle import flom_handle_t
from flom.libflom.properties import ACCESSORS

globals().update(CONSTANTS)
globals().update(ACCESSORS)

__all__ = [
    "flom_handle_clean",
    "flom_handle_delete",
    "flom_handle_get_locked_element",
    "flom_handle_init",
    "flom_handle_lock",
    "flom_handle_new",
    "flom_handle_t",
    "flom_handle_unlock",
    "flom_handle_unlock_rollback",
    "flom_strerror",
]
__all__ += [*CONSTANTS, *ACCESSORS]
