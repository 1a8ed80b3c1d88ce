"""
FLoM, the Free Lock Manager, on Twisted: runs commands under locks, on one host or many.

C{from flom import lock} is for scripts, and L{flom.aio} for programs on asyncio; the errors are here too. C{__all__}
has the names of FLoM's own library, for programs that were written for that and import C{*}. Everything is imported
when it is first asked for. Programs on Twisted use L{flom.client} and L{flom.server}.
"""

from flom._version import __version__ as __version__

_ERRORS = (
    *("AlreadyDone", "CannotWait", "Closed", "ConfigError", "DaemonLost", "DaemonUnreachable", "FlomError"),
    *("InvalidName", "ValueNotKept"),
    *("InvalidRequest", "LocalProtocolError", "LockBusy", "LockContested", "LockDeadlock", "LockImpossible"),
    *(
        "LockOverdue",
        "LockRefused",
        "LockRevoked",
        "LockTimeout",
        "Misuse",
        "NoProcess",
        "ProtocolError",
        "RemoteProtocolError",
    ),
    *("StandingBy", "TlsError", "Unsupported"),
)


def __getattr__(name: str) -> object:
    if name == "lock":
        from flom.client.blocking.lock import lock

        return lock
    if name in ("lock_all", "part"):
        from flom.client.blocking.several import lock_all
        from flom.core.several import part

        return lock_all if name == "lock_all" else part
    if name == "aio":
        from importlib import import_module

        return import_module("flom.aio")
    if name in _ERRORS:
        from flom import errors

        return getattr(errors, name)
    if name in ("__all__", "TRUE", "FALSE") or name.startswith(("flom_", "FLOM_")):
        from flom import libflom

        if hasattr(libflom, name):
            return getattr(libflom, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    from flom import libflom

    return sorted({*globals(), "aio", "lock", "lock_all", "part", *_ERRORS, *libflom.__all__})
