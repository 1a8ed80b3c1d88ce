"""
FLoM, the Free Lock Manager, on Twisted: runs commands under locks, on one host or many.

C{from flom import lock} is for scripts. C{__all__} has the names of FLoM's own library, for programs that were written
for that and import C{*}. Both are imported when they are first asked for. Other programs use L{flom.client} and
L{flom.server}.
"""

from flom._version import __version__ as __version__


def __getattr__(name: str) -> object:
    if name == "lock":
        from flom.client.blocking.lock import lock

        return lock
    if name in ("__all__", "TRUE", "FALSE") or name.startswith(("flom_", "FLOM_")):
        from flom import libflom

        if hasattr(libflom, name):
            return getattr(libflom, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
