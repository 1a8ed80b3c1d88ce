"""
Lock a resource, do something, release it: a program for FLoM's own Python library.

usage: python libflom_basic.py [RESOURCE]      (a daemon must be running: flom-run -d -1 -- true starts one)
"""

import sys

from flom import *

handle = flom_handle_t()
ret_cod = flom_handle_init(handle)
if ret_cod != FLOM_RC_OK:
    sys.exit(f"flom_handle_init: {ret_cod} ({flom_strerror(ret_cod)})")

if len(sys.argv) > 1:
    ret_cod = flom_handle_set_resource_name(handle, sys.argv[1])
    if ret_cod != FLOM_RC_OK:
        sys.exit(f"flom_handle_set_resource_name: {ret_cod} ({flom_strerror(ret_cod)})")

ret_cod = flom_handle_lock(handle)
if ret_cod != FLOM_RC_OK:
    sys.exit(f"flom_handle_lock: {ret_cod} ({flom_strerror(ret_cod)})")
print(f"{flom_handle_get_resource_name(handle)} is locked")

ret_cod = flom_handle_unlock(handle)
if ret_cod != FLOM_RC_OK:
    sys.exit(f"flom_handle_unlock: {ret_cod} ({flom_strerror(ret_cod)})")
print(f"{flom_handle_get_resource_name(handle)} is free again")

ret_cod = flom_handle_clean(handle)
if ret_cod != FLOM_RC_OK:
    sys.exit(f"flom_handle_clean: {ret_cod} ({flom_strerror(ret_cod)})")
