"""
Lock a resource if it is free, for reading or for writing; otherwise say why not and exit as flom does.

usage: python libflom_try.py RESOURCE [SECONDS]      SECONDS: wait so long for it; the default is not to wait
"""

import sys

from flom import *

handle = flom_handle_new()
if handle is None:
    sys.exit("the configuration of FLoM makes no sense")
try:
    flom_handle_set_resource_name(handle, sys.argv[1])
    flom_handle_set_lock_mode(handle, FLOM_LOCK_MODE_PR)
    flom_handle_set_resource_timeout(handle, int(float(sys.argv[2]) * 1000) if len(sys.argv) > 2 else 0)
    ret_cod = flom_handle_lock(handle)
    if ret_cod == FLOM_RC_OK:
        print("shared")
        sys.exit(FLOM_ES_OK)
    print(flom_strerror(ret_cod))
    sys.exit(
        FLOM_ES_RESOURCE_BUSY if ret_cod in (FLOM_RC_LOCK_BUSY, FLOM_RC_NETWORK_TIMEOUT) else FLOM_ES_GENERIC_ERROR
    )
finally:
    flom_handle_delete(handle)
