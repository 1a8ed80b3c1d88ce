"""
Which peers are refused before any message, what both ends say of it, and that no other client is harmed
(docs/compatibility.md, "TLS failures").
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.logger import LogEvent

from flom.client.retry import HANDSHAKE_TIMEOUT
from flom.codes import ReturnCode
from flom.errors import DaemonLost, FlomError, TlsError
from flom.interfaces import IHeld
from flom.net.machine_id import unique_id
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory
from flom.server.limits import DEFAULT_LIMITS
from flom.server.options import ServerOptions
from tests.fakes.authority import MALFORMED, Authority, Files, replace_in_certificate
from tests.fakes.connections import lock, xml
from tests.fakes.logs import warnings
from tests.fakes.tls_network import (
    Bare,
    MemoryNetwork,
    NetworkDaemon,
    ask,
    bare_client,
    bare_context,
    bare_daemon,
    is_served,
)
from tests.scenarios.tls.conftest import SOMEBODY

NOT_TRUSTED = "does not trust the authority that our certificate comes from"
STRANGE = "does not come from the authority in tls-ca-certificate"

BAD = {  # what a certificate is: what its owner learns, what the other end says of it
    "from another authority": (NOT_TRUSTED, STRANGE),
    "from another authority of the same name": (NOT_TRUSTED, STRANGE),
    "from a branch that is not sent": (NOT_TRUSTED, STRANGE),
    "expired": ("our certificate has expired", "has expired"),
    "not yet valid": ("does not accept our certificate", "is not valid yet"),
}
BAD_CLIENTS = BAD | {"for servers only": ("is not made for this purpose", "is not made for this purpose")}
BAD_DAEMONS = BAD | {"for clients only": ("is not made for this purpose", "is not made for this purpose")}

LATE = {SSL.TLS1_2_VERSION: ReturnCode.SSL_CONNECT_ERROR, SSL.TLS1_3_VERSION: ReturnCode.SSL_READ_ERROR}
"""How a client comes to know that the daemon refuses its certificate: in TLS 1.3, when its own handshake is over."""


@pytest.mark.parametrize("kind", ["good", "from a branch", "for an RSA key", "somebody's", "nameless"])
def test_two_good_certificates_will_do(
    network: MemoryNetwork, files: Mapping[str, Files], version: int, kind: str
) -> None:
    daemon = NetworkDaemon(network, files["good"].tls())
    assert is_served(network, daemon, files[kind].tls())
    daemon = NetworkDaemon(network, files[kind].tls())
    assert is_served(network, daemon, files["good"].tls())


def test_a_certificate_need_not_be_for_more_than_its_end_of_the_connection(
    network: MemoryNetwork, files: Mapping[str, Files]
) -> None:
    daemon = NetworkDaemon(network, files["for servers only"].tls())
    assert is_served(network, daemon, files["for clients only"].tls())


@pytest.mark.parametrize("kind", BAD_CLIENTS)
def test_a_client_with_a_bad_certificate_is_turned_away(
    network: MemoryNetwork, files: Mapping[str, Files], version: int, log: list[LogEvent], kind: str
) -> None:
    daemon = NetworkDaemon(network, files["good"].tls())
    client_learns, daemon_says = BAD_CLIENTS[kind]
    [error] = ask(network, daemon.endpoint, files[kind].tls())
    assert isinstance(error, TlsError)
    assert error.code is LATE[version]
    assert client_learns in str(error)
    [breach] = warnings(log)
    assert breach.startswith("FLM017E closing 192.0.2.2:40000: its certificate (")
    assert daemon_says in breach
    assert is_served(network, daemon, files["good"].tls())


@pytest.mark.parametrize("kind", BAD_DAEMONS)
def test_a_daemon_with_a_bad_certificate_is_not_talked_to(
    network: MemoryNetwork, files: Mapping[str, Files], version: int, log: list[LogEvent], kind: str
) -> None:
    daemon = NetworkDaemon(network, files[kind].tls())
    daemon_learns, client_says = BAD_DAEMONS[kind]
    [error] = ask(network, daemon.endpoint, files["good"].tls())
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_GET_VERIFY_RESULT_ERROR
    assert str(error).startswith("R1: the daemon: its certificate (")
    assert client_says in str(error)
    [breach] = warnings(log)
    assert breach.startswith("closing 192.0.2.2:40000: ")
    assert daemon_learns in breach


MAX_NAMES = 300  # characters of what a certificate says about itself that are told

NAMES = {
    "a name of two lines": ["first\nsecond"],
    "control characters": ["\x1b[31m\x07"],
    "many names": ["n" * 64] * 20,
    "no name": [],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
def test_whatever_a_stranger_calls_himself_the_log_has_one_line(
    network: MemoryNetwork, good: Files, tmp_path: Path, log: list[LogEvent], names: list[str]
) -> None:
    stranger = Authority(tmp_path / "stranger", "Another authority").issue("odd", names)
    daemon = NetworkDaemon(network, good.tls())
    bare_client(network, daemon.endpoint, bare_context(stranger), Bare(lock()))
    [breach] = warnings(log)
    assert breach.isprintable()
    assert breach.endswith(f") {STRANGE}")
    assert len(breach) < MAX_NAMES + 150


def test_of_many_names_only_the_first_are_told(
    network: MemoryNetwork, good: Files, tmp_path: Path, log: list[LogEvent]
) -> None:
    names = [f"name {number}" for number in range(100)]
    stranger = Authority(tmp_path / "stranger", "Another authority").issue("odd", names)
    bare_client(network, NetworkDaemon(network, good.tls()).endpoint, bare_context(stranger), Bare(lock()))
    [breach] = warnings(log)
    told = breach.removeprefix("FLM017E closing 192.0.2.2:40000: its certificate (").removesuffix(f") {STRANGE}")
    assert len(told) == MAX_NAMES
    assert "CN=name 99,CN=name 98," in told


@pytest.mark.parametrize(("right", "wrong"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_client_with_a_certificate_that_cannot_be_read_is_turned_away(
    network: MemoryNetwork, good: Files, tmp_path: Path, version: int, log: list[LogEvent], right: bytes, wrong: bytes
) -> None:
    stranger = Authority(tmp_path / "stranger", "Another authority").issue("odd", ["Texts"])
    replace_in_certificate(stranger.certificate, right, wrong)
    daemon = NetworkDaemon(network, good.tls())
    end = bare_client(network, daemon.endpoint, bare_context(stranger), Bare(lock()))
    assert "alert" in str(end.lost)
    [breach] = warnings(log)
    assert breach.startswith("FLM017E closing 192.0.2.2:40000: its certificate (malformed) ")
    assert is_served(network, daemon, good.tls())


@pytest.mark.parametrize(("right", "wrong"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_daemon_with_a_certificate_that_cannot_be_read_is_not_talked_to(
    network: MemoryNetwork, good: Files, tmp_path: Path, version: int, right: bytes, wrong: bytes
) -> None:
    stranger = Authority(tmp_path / "stranger", "Another authority").issue("odd", ["Texts"])
    replace_in_certificate(stranger.certificate, right, wrong)
    [error] = ask(network, bare_daemon(network, bare_context(stranger), Bare), good.tls())
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_GET_VERIFY_RESULT_ERROR
    assert str(error).startswith("R1: the daemon: its certificate (malformed) ")


@pytest.mark.parametrize("branches", [4, 5])
def test_four_certificates_may_lie_between_a_peer_s_and_the_authority_s(
    network: MemoryNetwork, good: Files, authority: Authority, tmp_path: Path, log: list[LogEvent], branches: int
) -> None:
    branch = authority
    for number in range(branches):
        branch = Authority(tmp_path / str(number), f"Branch {number}", issuer=branch)
    daemon = NetworkDaemon(network, good.tls())
    assert is_served(network, daemon, branch.issue("far", trusts=authority).tls()) == (branches == 4)
    assert ["more than 4 certificates away" in warning for warning in warnings(log)] == [True] * (branches - 4)


def test_a_client_without_a_certificate_is_turned_away(
    network: MemoryNetwork, good: Files, version: int, log: list[LogEvent]
) -> None:
    daemon = NetworkDaemon(network, good.tls())
    end = bare_client(network, daemon.endpoint, bare_context(None, newest=version), Bare(lock()))
    assert end.received == b""
    assert "alert" in str(end.lost)
    assert warnings(log) == ["closing 192.0.2.2:40000: TLS failed: it has no certificate"]
    assert is_served(network, daemon, good.tls())


OLD = {"TLS 1.0": SSL.TLS1_VERSION, "TLS 1.1": SSL.TLS1_1_VERSION}


@pytest.mark.parametrize("newest", OLD.values(), ids=OLD.keys())
def test_a_client_that_speaks_only_old_tls_is_turned_away(
    network: MemoryNetwork, good: Files, log: list[LogEvent], newest: int
) -> None:
    daemon = NetworkDaemon(network, good.tls())
    end = bare_client(network, daemon.endpoint, bare_context(good, newest=newest), Bare(lock()))
    assert "alert protocol version" in str(end.lost)
    assert warnings(log) == [
        "closing 192.0.2.2:40000: TLS failed: it wants another version of TLS than 1.2 or 1.3",
    ]
    assert is_served(network, daemon, good.tls())


@pytest.mark.parametrize("newest", OLD.values(), ids=OLD.keys())
def test_a_daemon_that_speaks_only_old_tls_is_not_talked_to(network: MemoryNetwork, good: Files, newest: int) -> None:
    [error] = ask(network, bare_daemon(network, bare_context(good, newest=newest), Bare), good.tls())
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_CONNECT_ERROR
    assert "another version of TLS than 1.2 or 1.3" in str(error)


SILENT = "R1: the daemon closed the connection without an answer"

NOT_OURS = f"our unique id is '{unique_id()}', and our certificate has the common name '{SOMEBODY}'"

HINTS = {
    "good": "it may not accept our certificate",
    "somebody's": f"it may check peer ids: {NOT_OURS}",
}


@pytest.mark.parametrize("checks_peer_id", [True, False])
@pytest.mark.parametrize("kind", ["somebody's", "nameless"])
def test_a_client_with_the_certificate_of_another_is_refused_if_checked(
    network: MemoryNetwork,
    files: Mapping[str, Files],
    version: int,
    log: list[LogEvent],
    kind: str,
    checks_peer_id: bool,
) -> None:
    daemon = NetworkDaemon(network, files["good"].tls(checks_peer_id=checks_peer_id))
    [outcome] = ask(network, daemon.endpoint, files[kind].tls())
    if not checks_peer_id:
        assert IHeld.providedBy(outcome)
        return
    assert isinstance(outcome, DaemonLost)
    assert outcome.code is ReturnCode.SSL_READ_ERROR
    assert str(outcome).startswith(f"{SILENT}; it may check peer ids: our ")
    named = "has no common name" if kind == "nameless" else f"has the common name '{SOMEBODY}'"
    why = f"FLM013E closing 192.0.2.2:40000: its unique id is '{unique_id()}', and its certificate {named}"
    assert warnings(log) == [why] * 2
    assert is_served(network, daemon, files["good"].tls())


def test_a_client_that_sends_no_id_is_turned_away_if_that_is_checked(
    network: MemoryNetwork, good: Files, log: list[LogEvent]
) -> None:
    daemon = NetworkDaemon(network, good.tls(checks_peer_id=True))
    asked = lock().replace(b'<session peerid="0123"/>', b"")
    end = bare_client(network, daemon.endpoint, bare_context(good), Bare(asked))
    assert end.received == b""
    assert end.lost is not None
    why = f"it has sent no unique id, and its certificate has the common name '{unique_id()}'"
    assert warnings(log) == [f"FLM013E closing 192.0.2.2:40000: {why}"]


@pytest.mark.parametrize("checks_peer_id", [True, False])
def test_a_daemon_with_the_certificate_of_another_is_refused_if_checked(
    network: MemoryNetwork, files: Mapping[str, Files], version: int, checks_peer_id: bool
) -> None:
    daemon = NetworkDaemon(network, files["somebody's"].tls())
    [outcome] = ask(network, daemon.endpoint, files["good"].tls(checks_peer_id=checks_peer_id))
    if not checks_peer_id:
        assert IHeld.providedBy(outcome)
        return
    assert isinstance(outcome, TlsError)
    assert outcome.code is ReturnCode.UNIQUE_ID_DOES_NOT_MATCH
    named = f"its unique id is '{unique_id()}', and its certificate has the common name '{SOMEBODY}'"
    assert str(outcome) == f"R1: the daemon: {named}"
    assert is_served(network, daemon, files["good"].tls())  # it has granted nothing to a client that has gone


NO_TLS = {
    "a lock": lock(),
    "the beginning of a lock": lock()[:5],
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "NUL bytes": b"\0" * 20,
    "TLS of a kind": b"\x16\x03\x01\x40\x01" + b"a" * 20,
}


@pytest.mark.parametrize("said", NO_TLS.values(), ids=NO_TLS.keys())
def test_a_client_that_does_not_speak_tls_is_turned_away(
    network: MemoryNetwork, good: Files, log: list[LogEvent], said: bytes
) -> None:
    daemon = NetworkDaemon(network, good.tls())
    end = bare_client(network, daemon.endpoint, None, Bare(said))
    assert end.lost is not None
    assert warnings(log) == ["closing 192.0.2.2:40000: TLS failed: it does not speak TLS"]
    assert is_served(network, daemon, good.tls())


def test_a_client_of_ours_without_tls_learns_what_may_be_missing(network: MemoryNetwork, good: Files) -> None:
    [error] = ask(network, NetworkDaemon(network, good.tls()).endpoint, None)
    assert isinstance(error, DaemonLost)
    assert (
        str(error) == "R1: the daemon closed the connection without an answer; it may want TLS, or have reached a limit"
    )


def test_a_daemon_that_does_not_speak_tls_sends_whoever_does_away(
    network: MemoryNetwork, good: Files, log: list[LogEvent]
) -> None:
    daemon = NetworkDaemon(network, None)
    [error] = ask(network, daemon.endpoint, good.tls())
    assert isinstance(error, FlomError)
    assert "may not speak TLS" in str(error)
    assert set(warnings(log)) == {"closing 192.0.2.2:40000: it speaks TLS, which is not spoken here"}
    assert is_served(network, daemon, None)


@pytest.mark.parametrize("greeting", [b"220 mail.example\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_daemon_that_is_something_else_is_not_talked_to(network: MemoryNetwork, good: Files, greeting: bytes) -> None:
    [error] = ask(network, bare_daemon(network, None, lambda: Bare(greeting)), good.tls())
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_CONNECT_ERROR
    assert "does not speak TLS" in str(error)


def test_a_silent_client_is_sent_away_in_the_end(network: MemoryNetwork, good: Files, log: list[LogEvent]) -> None:
    daemon = NetworkDaemon(network, good.tls())
    end = bare_client(network, daemon.endpoint, None, Bare())
    network.pass_time(DEFAULT_LIMITS.message_timeout - 1)
    assert end.lost is None
    assert is_served(network, daemon, good.tls())
    network.pass_time(1)
    assert end.lost is not None
    assert warnings(log) == ["message-timeout: closing 192.0.2.2:40000: no whole message within 30 s"]


def test_a_client_that_is_silent_after_the_handshake_is_disconnected(network: MemoryNetwork, good: Files) -> None:
    daemon = NetworkDaemon(network, good.tls())
    end = bare_client(network, daemon.endpoint, bare_context(good), Bare())
    network.pass_time(DEFAULT_LIMITS.message_timeout)
    assert end.lost is not None


def test_a_silent_daemon_is_left_in_the_end(network: MemoryNetwork, good: Files) -> None:
    endpoint = bare_daemon(network, None, Bare)
    outcome = ask(network, endpoint, good.tls(), wait=True)
    network.pass_time(HANDSHAKE_TIMEOUT - 1)
    assert outcome == []
    network.pass_time(1)
    [error] = outcome
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_CONNECT_ERROR
    assert str(error) == "R1: the daemon: no TLS handshake within 30 s; it may not speak TLS"
    assert endpoint.connections == 1


def test_after_the_handshake_a_daemon_may_take_its_time(network: MemoryNetwork, good: Files) -> None:
    outcome = ask(network, bare_daemon(network, bare_context(good), Bare), good.tls(), wait=True)
    network.pass_time(24 * 3600)
    assert outcome == []


def test_a_daemon_that_hangs_up_during_the_handshake_is_asked_once_more(network: MemoryNetwork, good: Files) -> None:
    endpoint = bare_daemon(network, None, lambda: Bare(hangs_up=True))
    [error] = ask(network, endpoint, good.tls())
    assert isinstance(error, DaemonLost)
    assert "closed the connection during the TLS handshake" in str(error)
    assert endpoint.connections == 2


@pytest.mark.parametrize(("kind", "hint"), HINTS.items(), ids=HINTS)
def test_a_daemon_that_hangs_up_before_it_answers_is_asked_once_more(
    network: MemoryNetwork, files: Mapping[str, Files], version: int, kind: str, hint: str
) -> None:
    endpoint = bare_daemon(network, bare_context(files["good"]), lambda: Bare(hangs_up=True))
    [error] = ask(network, endpoint, files[kind].tls())
    assert isinstance(error, DaemonLost)
    assert error.code is ReturnCode.SSL_READ_ERROR
    assert str(error) == f"{SILENT}; {hint}"
    assert endpoint.connections == 2


def test_whoever_has_no_common_name_is_told_of_none(network: MemoryNetwork, files: Mapping[str, Files]) -> None:
    endpoint = bare_daemon(network, bare_context(files["good"]), lambda: Bare(hangs_up=True))
    [error] = ask(network, endpoint, files["nameless"].tls())
    assert isinstance(error, DaemonLost)
    assert "None" not in str(error)


@pytest.mark.parametrize("kind", [*HINTS, "nameless"])
def test_whoever_asks_once_more_is_served(
    network: MemoryNetwork, files: Mapping[str, Files], version: int, kind: str
) -> None:
    ends = iter([Bare(hangs_up=True), Bare(xml(1, 16, '<session peerid="x"/><answer rc="0"/>'))])
    endpoint = bare_daemon(network, bare_context(files["good"]), lambda: next(ends))
    [held] = ask(network, endpoint, files[kind].tls())
    assert IHeld.providedBy(held)
    assert endpoint.connections == 2


def test_a_daemon_that_stands_by_shakes_nobody_s_hand(network: MemoryNetwork, good: Files) -> None:
    arbiter = DeferredArbiter(network.clock)
    tls = good.tls()
    factory = tls.secure_server(LockFactory(arbiter, network.clock, ServerOptions(tls=tls)), network.clock)
    address = IPv4Address("TCP", "192.0.2.2", 40000)
    assert factory.buildProtocol(address) is not None
    arbiter.retire()
    assert factory.buildProtocol(address) is None


@pytest.mark.parametrize("length", [1, 5, 100])
def test_a_client_that_hangs_up_during_the_handshake_is_forgotten(
    network: MemoryNetwork, good: Files, log: list[LogEvent], length: int
) -> None:
    daemon = NetworkDaemon(network, good.tls())
    end = bare_client(network, daemon.endpoint, None, Bare(client_hello()[:length]))
    end.transport.loseConnection()
    network.settle()
    assert warnings(log) == []
    assert network.clock.getDelayedCalls() == []
    assert is_served(network, daemon, good.tls())


def client_hello() -> bytes:
    """Return what a client begins with."""
    connection = SSL.Connection(bare_context(None), None)
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(2**15)
