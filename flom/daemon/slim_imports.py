"""
Stand-ins for modules that Twisted imports and a daemon does not use: so Twisted is imported in half of the time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from zope.interface import Interface

_DEFERRED: Final = (
    "ipaddress",
    "pickle",
    "pty",
    "random",
    "textwrap",
    "tokenize",
    "twisted.persisted.sob",
)
"""What Twisted, or what it imports, uses within functions only."""

_MISSING: Final = (
    "OpenSSL",  # Twisted can do without, and then has no TLS
    "ctypes",  # asked for the errors of Windows alone
)
"""What is as if it were not installed."""


@contextmanager
def lean_imports() -> Iterator[None]:
    """
    Put stand-ins in the place of modules while Twisted is imported by a program that needs no TLS.

    Afterwards, all of them can be imported as ever.
    """
    placed = {module.__name__: module for module in _stand_ins()} | dict.fromkeys(_MISSING)
    for name in placed.keys() & sys.modules.keys():
        del placed[name]  # it is there already
    sys.modules.update(placed)  # type: ignore[arg-type]  # a None is allowed, and means that there is no such module
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


class _StandIn(ModuleType):
    """
    Stands for a module that is imported as soon as anything of it is used, besides the names that are given here.

    So what has imported the stand-in works as with the module, whenever it uses that.
    """

    def __init__(self, module: str, **names: object) -> None:
        super().__init__(module)
        vars(self).update(names)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # asked for by Python's import itself
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


class _IPlugin(Interface):
    """Marks what C{twistd} may find and start; no plugin is looked for in a daemon that has been started."""


def _stand_ins() -> list[ModuleType]:
    cookiejar = _StandIn("http.cookiejar")  # imported for a name that Twisted once had for Python 2
    return [
        *map(_StandIn, _DEFERRED),
        cookiejar,
        _StandIn("http", cookiejar=cookiejar),
        _StandIn("html", escape=_later("html", "escape")),
        _StandIn("asyncio", AbstractEventLoop=Any, Future=Any, iscoroutine=_later("inspect", "iscoroutine")),
        _StandIn("twisted.plugin", IPlugin=_IPlugin),
    ]


def _later(module: str, name: str) -> Callable[..., Any]:
    """Return a function that does what C{name} of C{module} does, which is imported when it is called."""

    def call(*arguments: Any, **named: Any) -> Any:
        return getattr(import_module(module), name)(*arguments, **named)

    return call
