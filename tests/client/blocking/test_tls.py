"""
TLS by the standard library: the same verdicts, in the same lines, as TLS by pyOpenSSL under Twisted
(docs/compatibility.md, "TLS failures").
"""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from OpenSSL import SSL

from flom.client.blocking.stream import NEVER
from flom.client.blocking.tls import SecureStream, TlsEnd
from flom.codes import ReturnCode
from flom.config import Config
from flom.errors import DaemonLost, FlomError, TlsError
from flom.net.machine_id import unique_id
from flom.tls.files import make_context
from tests.fakes.authority import MALFORMED, Authority, Files, replace_in_certificate
from tests.fakes.tls_network import PEER, Bare, MemoryNetwork, NetworkDaemon, ask, bare_context, bare_daemon
from tests.scenarios.tls.conftest import SOMEBODY
from tests.scenarios.tls.conftest import authority as authority
from tests.scenarios.tls.conftest import files as files
from tests.scenarios.tls.conftest import good as good
from tests.scenarios.tls.conftest import network as network
from tests.scenarios.tls.conftest import version as version
from tests.scenarios.tls.test_handshake import BAD_CLIENTS, BAD_DAEMONS, LATE, OLD
from tests.tls.test_files import CONTENTS, OPTIONS, OTHER_KEYS

PATIENCE = 30.0  # seconds


def end(files: Files, *, checks_peer_id: bool = False, is_server: bool = False) -> TlsEnd:
    config = Config(tls_certificate=files.certificate, tls_private_key=files.key, tls_ca_certificate=files.authority)
    return TlsEnd(config.replace(tls_check_peer_id=checks_peer_id), is_server=is_server)


class Peer:
    """
    A daemon, played by the test in a thread, at the other end of a client of ours.

    @ivar client: our end of the connection, before TLS.
    """

    def __init__(self) -> None:
        self.client, self._socket = socket.socketpair()
        self.client.setblocking(False)
        self._threads = ThreadPoolExecutor(1)

    def play(self, act: Callable[[socket.socket], bytes]) -> Future[bytes]:
        """Do C{act} in the thread, then close the connection."""

        def run() -> bytes:
            with self._socket:
                return act(self._socket)

        return self._threads.submit(run)

    def serve(self, context: SSL.Context, say: bytes = b"", *, reads: bool = True) -> Future[bytes]:
        """Speak TLS; return what was read until the end, or the text of OpenSSL's error."""

        def act(connected: socket.socket) -> bytes:
            connection = SSL.Connection(context, connected)
            connection.set_accept_state()
            received = b""
            try:
                connection.do_handshake()
                if say:
                    connection.sendall(say)
                while reads:
                    received += connection.recv(2**20)
            except SSL.ZeroReturnError:
                with suppress(SSL.Error):
                    connection.shutdown()
            except SSL.Error as e:
                return received or str(e).encode()
            return received

        return self.play(act)

    def connect(self, tls: TlsEnd) -> SecureStream:
        """Shake hands as a client."""
        stream = SecureStream(self.client, tls, PEER)
        stream.shake_hands(monotonic() + PATIENCE)
        return stream

    def fail(self, tls: TlsEnd) -> FlomError:
        """Return the error by which the handshake ends, or the first answer is waited for in vain."""
        with pytest.raises((TlsError, DaemonLost)) as caught:  # noqa: PT012 (either call may raise it)
            stream = self.connect(tls)
            if not stream.receive(monotonic() + PATIENCE):
                raise stream.why_ended(PEER, answered=False)
        self.client.close()
        return caught.value

    def close(self) -> None:
        self.client.close()
        self._threads.shutdown()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def trusting(files: Files) -> SSL.Context:
    """Return the context of a daemon that sends all of its certificates, and wants one that it can trust."""
    context = make_context(files.certificate, files.key, files.authority)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *verdict: bool(verdict[-1]))
    return context


def line_of(error: object) -> str:
    """Return the line of a client on Twisted, without the resource that it begins with."""
    assert isinstance(error, FlomError)
    return str(error).removeprefix("R1: ")


# who is trusted


@pytest.mark.parametrize("kind", ["good", "from a branch", "for an RSA key", "somebody's", "nameless"])
def test_two_good_certificates_will_do(peer: Peer, files: Mapping[str, Files], version: int, kind: str) -> None:
    said = peer.serve(trusting(files[kind]), b"hello")
    stream = peer.connect(end(files["good"]))
    assert stream.receive(NEVER) == b"hello"
    stream.send(b"world", NEVER)
    stream.shut_down(NEVER)
    assert stream.receive(NEVER) == b""
    assert said.result() == b"world"


@pytest.mark.parametrize("kind", BAD_DAEMONS)
def test_a_daemon_with_a_bad_certificate(
    peer: Peer, network: MemoryNetwork, files: Mapping[str, Files], version: int, kind: str
) -> None:
    learned = peer.serve(trusting(files[kind]))
    error = peer.fail(end(files["good"]))
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_GET_VERIFY_RESULT_ERROR
    assert BAD_DAEMONS[kind][1] in str(error)
    [by_twisted] = ask(network, NetworkDaemon(network, files[kind].tls()).endpoint, files["good"].tls())
    assert str(error) == line_of(by_twisted)
    assert b"alert" in learned.result()


@pytest.mark.parametrize(("right", "wrong"), MALFORMED.values(), ids=MALFORMED.keys())
def test_a_daemon_with_a_certificate_that_cannot_be_read(
    peer: Peer, network: MemoryNetwork, good: Files, tmp_path: Path, version: int, right: bytes, wrong: bytes
) -> None:
    stranger = Authority(tmp_path / "stranger", "Another authority").issue("odd", ["Texts"])
    replace_in_certificate(stranger.certificate, right, wrong)
    peer.serve(bare_context(stranger))
    error = peer.fail(end(good))
    [by_twisted] = ask(network, bare_daemon(network, bare_context(stranger), Bare), good.tls())
    assert str(error) == line_of(by_twisted)
    assert str(error).startswith("the daemon: its certificate (malformed) ")


@pytest.mark.parametrize("branches", [4, 5])
def test_four_certificates_may_lie_in_between(
    peer: Peer, network: MemoryNetwork, good: Files, authority: Authority, tmp_path: Path, version: int, branches: int
) -> None:
    branch = authority
    for number in range(branches):
        branch = Authority(tmp_path / str(number), f"Branch {number}", issuer=branch)
    far = branch.issue("far", trusts=authority)
    heard = peer.serve(trusting(far), b"hello")
    if branches == 4:
        assert peer.connect(end(good)).receive(NEVER) == b"hello"
        return
    error = peer.fail(end(good))
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_GET_VERIFY_RESULT_ERROR
    [by_twisted] = ask(network, NetworkDaemon(network, far.tls()).endpoint, good.tls())
    assert str(error) == line_of(by_twisted)
    assert "more than 4 certificates away" in str(error)
    assert b"hello" not in heard.result()


@pytest.mark.parametrize("kind", BAD_CLIENTS)
def test_a_client_with_a_bad_certificate(
    peer: Peer, network: MemoryNetwork, files: Mapping[str, Files], version: int, kind: str
) -> None:
    peer.serve(trusting(files["good"]))
    error = peer.fail(end(files[kind]))
    assert isinstance(error, TlsError)
    assert error.code is LATE[version]
    [by_twisted] = ask(network, NetworkDaemon(network, files["good"].tls()).endpoint, files[kind].tls())
    assert str(error) == line_of(by_twisted)
    assert BAD_CLIENTS[kind][0] in str(error)


@pytest.mark.parametrize("newest", OLD.values(), ids=OLD.keys())
def test_a_daemon_that_speaks_only_old_tls(peer: Peer, network: MemoryNetwork, good: Files, newest: int) -> None:
    peer.serve(bare_context(good, newest=newest))
    error = peer.fail(end(good))
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_CONNECT_ERROR
    assert "another version of TLS than 1.2 or 1.3" in str(error)


@pytest.mark.parametrize("greeting", [b"220 mail.example\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_daemon_that_is_something_else(peer: Peer, good: Files, greeting: bytes) -> None:
    peer.play(lambda connected: connected.send(greeting).to_bytes(2, "big") + connected.recv(2**16))
    error = peer.fail(end(good))
    assert isinstance(error, TlsError)
    assert error.code is ReturnCode.SSL_CONNECT_ERROR
    assert str(error) == "the daemon: TLS failed: it does not speak TLS"


def test_a_daemon_that_hangs_up_during_the_handshake(peer: Peer, good: Files) -> None:
    peer.play(lambda connected: connected.recv(2**16))
    error = peer.fail(end(good))
    assert isinstance(error, DaemonLost)
    assert str(error) == "the daemon closed the connection during the TLS handshake; it may not speak TLS"


HINTS = {
    "good": "it may not accept our certificate",
    "somebody's": "it may check peer ids: our unique id is '{id}', and our certificate has"
    " the common name '{somebody}'",
    "nameless": "it may check peer ids: our unique id is '{id}', and our certificate has no common name",
}


@pytest.mark.parametrize(("kind", "hint"), HINTS.items(), ids=HINTS)
def test_a_daemon_that_hangs_up_before_it_answers(
    peer: Peer, files: Mapping[str, Files], version: int, kind: str, hint: str
) -> None:
    peer.serve(trusting(files["good"]), reads=False)
    error = peer.fail(end(files[kind]))
    assert isinstance(error, DaemonLost)
    assert error.code is ReturnCode.SSL_READ_ERROR
    hint = hint.format(id=unique_id(), somebody=SOMEBODY)
    assert str(error) == f"the daemon closed the connection without an answer; {hint}"


# peer ids


@pytest.mark.parametrize("kind", ["good", "somebody's", "somebody's at first", "somebody's in the end", "nameless"])
@pytest.mark.parametrize("peer_id", [unique_id(), SOMEBODY, "", None])
def test_a_peer_id_must_be_the_last_common_name(
    peer: Peer, files: Mapping[str, Files], kind: str, peer_id: str | None
) -> None:
    peer.serve(trusting(files[kind]), b"hello")
    stream = peer.connect(end(files["good"], checks_peer_id=True))
    name = {"good": unique_id(), "somebody's at first": unique_id(), "nameless": None}.get(kind, SOMEBODY)
    if peer_id == name and peer_id is not None:
        stream.check_peer_id(peer_id)
        return
    with pytest.raises(TlsError) as caught:
        stream.check_peer_id(peer_id)
    assert caught.value.code is ReturnCode.UNIQUE_ID_DOES_NOT_MATCH
    said = "it has sent no unique id" if peer_id is None else f"its unique id is '{peer_id}'"
    named = "has no common name" if name is None else f"has the common name '{name}'"
    assert str(caught.value) == f"the daemon: {said}, and its certificate {named}"


def test_unless_it_is_to_be_checked_any_peer_id_will_do(peer: Peer, files: Mapping[str, Files]) -> None:
    peer.serve(trusting(files["somebody's"]))
    peer.connect(end(files["good"])).check_peer_id(None)


# files


@pytest.mark.parametrize("which", OPTIONS)
@pytest.mark.parametrize("content", [*CONTENTS.values(), None], ids=[*CONTENTS.keys(), "no file"])
def test_a_file_that_cannot_be_used(good: Files, tmp_path: Path, which: str, content: str | None) -> None:
    path = tmp_path / "bad.pem"
    if content is not None:
        path.write_text(content)
    bad = replace(good, **{which: str(path)})
    with pytest.raises(TlsError) as by_twisted:
        bad.tls()
    with pytest.raises(TlsError) as caught:
        end(bad)
    assert (caught.value.code, str(caught.value)) == (by_twisted.value.code, str(by_twisted.value))


@pytest.mark.parametrize("kind", [*OTHER_KEYS, "locked"])
def test_a_key_that_cannot_be_used(good: Files, files: Mapping[str, Files], kind: str) -> None:
    """Above all, the passphrase of a key is not asked for on the terminal."""
    bad = files[kind] if kind == "locked" else replace(good, key=files[kind].key)
    with pytest.raises(TlsError) as by_twisted:
        bad.tls()
    with pytest.raises(TlsError) as caught:
        end(bad)
    assert (caught.value.code, str(caught.value)) == (by_twisted.value.code, str(by_twisted.value))


def test_certificate_and_key_may_share_a_file_with_other_text(good: Files, tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_text("Certificate:\n" + Path(good.certificate).read_text() + "Key:\n" + Path(good.key).read_text())
    assert end(replace(good, certificate=str(path), key=str(path))).own_name == unique_id()


# bytes


def test_a_message_may_need_many_records(peer: Peer, good: Files, version: int) -> None:
    said = peer.serve(trusting(good), b"a" * 100_000)
    stream = peer.connect(end(good))
    stream.send(b"b" * 100_000, NEVER)
    received = b""
    while len(received) < 100_000:
        received += stream.receive(monotonic() + PATIENCE)
    stream.shut_down(NEVER)
    assert stream.receive(NEVER) == b""
    assert said.result() == b"b" * 100_000


def test_a_daemon_that_reads_no_more_raises_no_signal(good: Files, files: Mapping[str, Files]) -> None:
    """A script may have set SIGPIPE to its default, by which it would end."""
    peer = Peer()
    gone = peer.serve(trusting(good), reads=False)
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        with pytest.raises((OSError, FlomError)):  # noqa: PT012 (any of the writes may raise it)
            stream = peer.connect(end(good))
            gone.result()
            for _ in range(1000):
                stream.send(b"a" * 100_000, monotonic() + PATIENCE)
    finally:
        signal.signal(signal.SIGPIPE, before)
        peer.close()


def test_a_server_of_ours_and_a_client_of_ours(good: Files, files: Mapping[str, Files], version: int) -> None:
    peer = Peer()

    def serve(connected: socket.socket) -> bytes:
        connected.setblocking(False)
        stream = SecureStream(connected, end(good, is_server=True), "the client")
        stream.shake_hands(monotonic() + PATIENCE)
        stream.send(b"hello", NEVER)
        return stream.receive(monotonic() + PATIENCE)

    said = peer.play(serve)
    stream = peer.connect(end(files["from a branch"]))
    stream.send(b"world", NEVER)
    assert stream.receive(monotonic() + PATIENCE) == b"hello"
    assert said.result() == b"world"
    peer.close()


def test_what_is_imported_by_the_module_is_small() -> None:
    script = (
        "import sys, flom.client.blocking.tls; print({'OpenSSL', 'cryptography', 'twisted', 'zope'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_library_has_what_it_is_asked_for() -> None:
    """These are no public names before Python 3.13."""
    connection = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="x")
    for name in ("get_verified_chain", "get_unverified_chain"):
        assert hasattr(connection, name) or hasattr(getattr(connection, "_sslobj", None), name)
