"""Makes of this Python one on a kernel without descriptors for processes: C{flom-run} then waits with a reactor."""

import os

if hasattr(os, "pidfd_open"):
    del os.pidfd_open
