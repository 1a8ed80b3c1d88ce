"""
The private names of Twisted that we use: each is where we expect it, and none is used outside flom/reactor.

If a test with a name of Twisted's fails, Twisted has moved that name: compare the file in flom/reactor that uses it
with the code of Twisted that it stands in for.
"""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from twisted.internet import tcp, udp
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import DatagramProtocol, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

import flom

PACKAGE: Final = Path(flom.__file__).parent

REACTOR: Final = ("_poller", "_selectables", "_doReadOrWrite", "_disconnectSelectable", "doIteration", "doPoll")
TIMERS: Final = ("_pendingTimedCalls", "_newTimedCalls")
CONNECTION: Final = (
    *("_aborting", "_tempDataBuffer", "dataBuffer", "offset", "socket", "connected", "disconnecting"),
    *("_writeDisconnecting", "_writeDisconnected", "_closeWriteConnection"),
)
PORT: Final = ("doRead", "connected", "fileno", "startReading", "stopReading", "_shouldShutdown")
UDP_PORT: Final = ("_preexistingSocket",)
MODULE: Final = ("_reservedFD",)
ENDPOINT: Final = ("_path",)
TCP_ENDPOINT: Final = ("_port",)

NOT_OF_TWISTED: Final = {"_exit", "_make", "_replace", "_fields", "_asdict", "_Environ", "_sslobj", "_msg_callback"}
"""Of the standard library; all but the last two are documented."""


@pytest.fixture
def reactor() -> Iterator[Any]:
    reactor: Any = EPollReactor()
    yield reactor
    reactor.waker.connectionLost(Failure(CONNECTION_DONE))


@pytest.mark.parametrize("name", [*REACTOR, *TIMERS])
def test_a_reactor_has(reactor: Any, name: str) -> None:
    assert hasattr(reactor, name)


@pytest.mark.parametrize("name", CONNECTION)
def test_a_connection_has(name: str) -> None:
    ours, theirs = socket.socketpair()
    port: Any = None
    with ours, theirs:
        assert hasattr(tcp.Server(ours, Protocol(), ("", 0), port, 0, MemoryReactorClock()), name)


@pytest.mark.parametrize("name", PORT)
def test_a_port_has(name: str) -> None:
    assert hasattr(tcp.Port, name)


@pytest.mark.parametrize("name", UDP_PORT)
def test_a_udp_port_has(name: str) -> None:
    assert hasattr(udp.Port(0, DatagramProtocol(), reactor=MemoryReactorClock()), name)


@pytest.mark.parametrize("name", MODULE)
def test_the_module_of_tcp_has(name: str) -> None:
    assert hasattr(tcp, name)


@pytest.mark.parametrize("name", ENDPOINT)
def test_an_endpoint_for_a_unix_socket_has(name: str) -> None:
    assert hasattr(UNIXClientEndpoint(MemoryReactorClock(), "/sock"), name)


@pytest.mark.parametrize("kind", [HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint])
@pytest.mark.parametrize("name", TCP_ENDPOINT)
@pytest.mark.filterwarnings("ignore:Passing HostnameEndpoint")
def test_an_endpoint_for_tcp_has(kind: Any, name: str) -> None:
    assert hasattr(kind(MemoryReactorClock(), "h", 1), name)


@cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def private_names(path: Path) -> set[str]:
    """
    Return the private attributes that the file at C{path} uses and no file in its folder defines, or in the one above,
    as for subclasses of what is there.
    """
    used, defined = set(), set()
    for module in [*path.parent.glob("*.py"), *path.parent.parent.glob("*.py")]:
        for node in _nodes(module):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    defined.add(name)
                case ast.Attribute(attr=name, ctx=ast.Store()) | ast.Name(id=name, ctx=ast.Store()):
                    defined.add(name)
                case ast.Attribute(attr=name) if module == path and name[0] == "_" != name[1]:
                    used.add(name)
                case ast.Constant(value=(str() as name)):
                    defined.add(name)  # one of __slots__
    return used - defined - NOT_OF_TWISTED


MODULES: Final = sorted(path for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_names_are_used_in_one_folder(path: Path) -> None:
    allowed = (
        {*REACTOR, *TIMERS, *CONNECTION, *PORT, *UDP_PORT, *MODULE, *ENDPOINT}
        if path.parent.name == "reactor"
        else set()
    )
    assert private_names(path) <= allowed
