"""
Take the next number of a transactional sequence, and put it back if the work fails.

usage: python libflom_sequence.py WORD...      each WORD is some work; the work "fail" fails
"""

import sys

from flom import *


def check(function: str, ret_cod: int) -> None:
    if ret_cod != FLOM_RC_OK:
        sys.exit(f"{function}: {ret_cod} ({flom_strerror(ret_cod)})")


handle = flom_handle_t()
check("flom_handle_init", flom_handle_init(handle))
check("flom_handle_set_resource_name", flom_handle_set_resource_name(handle, "_S_invoice[1]"))
check("flom_handle_set_resource_idle_lifespan", flom_handle_set_resource_idle_lifespan(handle, 60000))
for work in sys.argv[1:]:
    check("flom_handle_lock", flom_handle_lock(handle))
    number = flom_handle_get_locked_element(handle)
    if work == "fail":
        check("flom_handle_unlock_rollback", flom_handle_unlock_rollback(handle))
        print(f"{number} is put back")
    else:
        check("flom_handle_unlock", flom_handle_unlock(handle))
        print(f"{number} is {work}")
check("flom_handle_clean", flom_handle_clean(handle))
