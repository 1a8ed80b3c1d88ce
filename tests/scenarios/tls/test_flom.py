"""
FLoM's clients at our daemon, and our clients at FLoM's daemon, over TLS
(docs/compatibility.md, "Protocol: client", "TLS").
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_twisted
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent

from flom.client.deferred.arbiter import RemoteArbiter
from flom.codes import ReturnCode
from flom.errors import DaemonLost, TlsError
from flom.net.claim import claim_tcp
from flom.reactor.ports import ClaimedEndpoint
from flom.server.arbiter import DeferredArbiter
from flom.server.options import ServerOptions
from flom.server.service import build_daemon
from flom.tls.context import Tls
from tests.fakes.authority import Files
from tests.fakes.logs import warnings
from tests.scenarios.tls.flom_peers import FlomClient, FlomDaemon, Refusal

loop: Any = reactor

says_so = pytest.mark.parametrize("says_so", [True, False], ids=["with close_notify", "without"])
"""Whether FLoM tells our TLS before it closes; the specification does not tell."""


@asynccontextmanager
async def our_daemon(tls: Tls) -> AsyncIterator[int]:
    """Run a daemon of ours; give its port."""
    claim = claim_tcp("127.0.0.1", 0)
    port = claim.socket.getsockname()[1]
    daemon = build_daemon(loop, DeferredArbiter(loop), [ClaimedEndpoint(loop, claim)], options=ServerOptions(tls=tls))
    daemon.privilegedStartService()
    daemon.startService()
    yield port
    await daemon.stopService()


def our_client(port: int, tls: Tls) -> RemoteArbiter:
    return RemoteArbiter(TCP4ClientEndpoint(loop, "127.0.0.1", port), "the daemon", loop, tls=tls)


# FLoM's clients


def take_and_leave(port: int, files: Files, says_so: bool) -> None:
    with FlomClient(port, files) as client:
        assert client.lock("R1") == "0"
        client.unlock("R1")
        client.leave(says_so=says_so)


@says_so
@pytest_twisted.ensureDeferred
async def test_flom_s_client_takes_a_lock_and_gives_it_back(good: Files, version: int, says_so: bool) -> None:
    async with our_daemon(good.tls(checks_peer_id=True)) as port:
        for _ in range(2):
            await deferToThread(take_and_leave, port, good, says_so)


def queue_up(port: int, files: Files, says_so: bool) -> None:
    with FlomClient(port, files) as holder, FlomClient(port, files) as waiter:
        assert [holder.lock("R1"), waiter.lock("R1")] == ["0", "1"]
        holder.leave(says_so=says_so)
        assert waiter.wait() == "0"


@says_so
@pytest_twisted.ensureDeferred
async def test_flom_s_client_that_leaves_makes_way_for_the_next(good: Files, says_so: bool) -> None:
    async with our_daemon(good.tls()) as port:
        await deferToThread(queue_up, port, good, says_so)


def learn(port: int, files: Files) -> str:
    """Return what a client of FLoM's with a bad certificate comes to know."""
    with pytest.raises(SSL.Error) as caught, FlomClient(port, files) as client:
        client.lock("R1")
    return str(caught.value)


@pytest.mark.parametrize("kind", ["from another authority", "expired", "not yet valid"])
@pytest_twisted.ensureDeferred
async def test_flom_s_client_with_a_bad_certificate_is_turned_away(
    files: Mapping[str, Files], log: list[LogEvent], version: int, kind: str
) -> None:
    async with our_daemon(files["good"].tls()) as port:
        assert "alert" in await deferToThread(learn, port, files[kind])
        assert len([text for text in warnings(log) if "wall clock" not in text]) == 1
        await deferToThread(take_and_leave, port, files["good"], True)


def ask_in_vain(port: int, files: Files) -> None:
    with FlomClient(port, files) as client:
        assert client.lock("R1") == ""


@pytest_twisted.ensureDeferred
async def test_flom_s_client_with_another_id_is_turned_away(
    files: Mapping[str, Files], log: list[LogEvent], version: int
) -> None:
    async with our_daemon(files["good"].tls(checks_peer_id=True)) as port:
        await deferToThread(ask_in_vain, port, files["somebody's"])
        assert len([text for text in warnings(log) if "wall clock" not in text]) == 1
        await deferToThread(take_and_leave, port, files["good"], True)


def refuse(port: int, files: Files) -> None:
    with pytest.raises(Refusal):
        FlomClient(port, files)


@pytest_twisted.ensureDeferred
async def test_flom_s_client_that_turns_our_daemon_away_harms_no_other(
    files: Mapping[str, Files], version: int
) -> None:
    async with our_daemon(files["expired"].tls()) as port:
        await deferToThread(refuse, port, files["good"])
        await deferToThread(refuse, port, files["good"])


# FLoM's daemon


@says_so
@pytest_twisted.ensureDeferred
async def test_our_client_takes_a_lock_of_flom_s_daemon_and_gives_it_back(
    good: Files, version: int, says_so: bool
) -> None:
    with FlomDaemon(good, checks_peer_id=True, says_so=says_so) as daemon:
        serving = deferToThread(daemon.serve, 1)
        held = await our_client(daemon.port, good.tls(checks_peer_id=True)).acquire("R1")
        await held.release()
        await serving
    assert daemon.log == ["lock R1", "unlock R1"]


@pytest_twisted.ensureDeferred
async def test_a_reset_by_flom_s_daemon_is_no_unlock(good: Files, version: int) -> None:
    with FlomDaemon(good, resets=True) as daemon:
        serving = deferToThread(daemon.serve, 1)
        held = await our_client(daemon.port, good.tls()).acquire("R1")
        with pytest.raises(DaemonLost, match="has not confirmed the unlock before the connection ended"):
            await held.release()
        await serving
    assert daemon.log == ["lock R1", "unlock R1"]


@says_so
@pytest_twisted.ensureDeferred
async def test_flom_s_daemon_closes_after_the_handshake_on_bad_certificates(
    files: Mapping[str, Files], version: int, says_so: bool
) -> None:
    with FlomDaemon(files["good"], says_so=says_so) as daemon:
        serving = deferToThread(daemon.serve, 2)
        with pytest.raises(DaemonLost) as caught:
            await our_client(daemon.port, files["expired"].tls()).acquire("R1")
        await serving
    assert caught.value.code is ReturnCode.SSL_READ_ERROR
    why = "R1: the daemon closed the connection without an answer; it may not accept our certificate"
    assert str(caught.value) == why
    assert daemon.log == ["certificate problem 10"] * 2


@says_so
@pytest_twisted.ensureDeferred
async def test_flom_s_daemon_leaves_a_client_with_another_id(
    files: Mapping[str, Files], version: int, says_so: bool
) -> None:
    with FlomDaemon(files["good"], checks_peer_id=True, says_so=says_so) as daemon:
        serving = deferToThread(daemon.serve, 2)
        with pytest.raises(DaemonLost) as caught:
            await our_client(daemon.port, files["somebody's"].tls()).acquire("R1")
        await serving
    assert caught.value.code is ReturnCode.SSL_READ_ERROR
    assert "may check peer ids" in str(caught.value)
    assert daemon.log == ["peer id mismatch"] * 2


@pytest_twisted.ensureDeferred
async def test_our_client_turns_flom_s_daemon_away_if_its_certificate_is_bad(
    files: Mapping[str, Files], version: int
) -> None:
    with FlomDaemon(files["expired"]) as daemon:
        serving = deferToThread(daemon.serve, 1)
        with pytest.raises(TlsError) as caught:
            await our_client(daemon.port, files["good"].tls()).acquire("R1")
        await serving
    assert caught.value.code is ReturnCode.SSL_GET_VERIFY_RESULT_ERROR
    [why] = daemon.log
    assert "certificate expired" in why


@pytest_twisted.ensureDeferred
async def test_our_client_turns_flom_s_daemon_away_if_its_id_is_another(
    files: Mapping[str, Files], version: int
) -> None:
    with FlomDaemon(files["somebody's"]) as daemon:
        serving = deferToThread(daemon.serve, 1)
        with pytest.raises(TlsError) as caught:
            await our_client(daemon.port, files["good"].tls(checks_peer_id=True)).acquire("R1")
        await serving
    assert caught.value.code is ReturnCode.UNIQUE_ID_DOES_NOT_MATCH
    assert daemon.log[0] == "lock R1"
