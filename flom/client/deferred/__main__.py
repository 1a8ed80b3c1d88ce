"""
C{flom-run} on a reactor: C{python -m flom.client.deferred [OPTION...] -- COMMAND [ARG...]}, with the same options.

It imports little before signals are blocked and what we have inherited is noted, as L{flom.run.main} does.
"""

from __future__ import annotations

import sys

from flom.job.descriptors import inherited_descriptors, open_standard_streams
from flom.job.signals import SignalWatch


def main() -> None:
    """Run the command of this process's command line under its lock, and exit with its status."""
    watch = SignalWatch()
    descriptors = inherited_descriptors()
    open_standard_streams()

    from flom.client.deferred.command import run

    run(sys.argv[1:], watch, descriptors)


if __name__ == "__main__":
    main()
