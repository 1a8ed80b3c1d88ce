"""Locks for plain scripts over TLS: what works, and what is told of what does not (docs/compatibility.md, "TLS")."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flom import lock
from flom.codes import ReturnCode
from flom.config import Config
from flom.errors import DaemonLost, DaemonUnreachable, LockBusy, LockTimeout, RemoteProtocolError, TlsError
from tests.fakes.authority import Files
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs, eventually, free_port
from tests.scenarios.tls.flom_peers import FlomClient, FlomDaemon
from tests.scenarios.tls.test_flom_run import CHECKED, Place


def config(files: Files | None, *, checks_peer_id: bool = False, **more: Any) -> Config:
    """Return a configuration that has TLS, if there are files for it, and starts no daemon."""
    more = {"lifespan_ms": 0} | more
    if files is not None:
        more |= {"tls_certificate": files.certificate, "tls_private_key": files.key}
        more |= {"tls_ca_certificate": files.authority, "tls_check_peer_id": checks_peer_id}
    return Config(**more)


@pytest.fixture(scope="module")
def lenient(files: Mapping[str, Files], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A daemon that does not check ids, and has another host's certificate itself."""
    place = Place(tmp_path_factory.mktemp("lenient"), *files["somebody's"].options())
    with place.daemon:
        yield place


@pytest.fixture(scope="module")
def strict(files: Mapping[str, Files], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A daemon that checks ids."""
    place = Place(tmp_path_factory.mktemp("strict"), *files["good"].options(*CHECKED))
    with place.daemon:
        yield place


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Any]]:
    """Runs a function in another thread, and gives its future."""
    with ThreadPoolExecutor() as threads:
        yield threads.submit


@pytest.mark.parametrize("transport", ["UNIX", "127.0.0.1", "::1"])
def test_it_is_taken_waited_for_and_given_back(
    strict: Place, good: Files, version: int, transport: str, elsewhere: Callable[..., Any]
) -> None:
    where: dict[str, Any] = {"config": config(good, checks_peer_id=True)}
    where |= {"socket": strict.path} if transport == "UNIX" else {"address": transport, "port": strict.port}
    with lock("red.green", **where) as held:
        assert held.element == "red"
        assert not held.is_lost
        with lock("red.green", **where):
            waiting = elsewhere(lock("red.green", **where).acquire)
            with pytest.raises(LockBusy):
                lock("red.green", **where, wait=False).acquire()
        waiting.result().release()
    lock("red.green", **where, wait=False).acquire().release()


def test_a_timeout_leaves_the_queue(strict: Place, good: Files) -> None:
    where: dict[str, Any] = {"config": config(good), "socket": strict.path}
    with lock("R", **where), pytest.raises(LockTimeout):
        lock("R", **where, timeout=0.05).acquire()
    assert strict.serves(good, "R")


def test_a_lock_that_is_lost_is_noticed(good: Files, tmp_path: Path) -> None:
    """By a time-out of 0, the daemon says that the next one will not know of it."""
    place = Place(tmp_path, *good.options(), "--session-timeout", "0")
    with place.daemon:
        held = lock("R", config=config(good), socket=place.path).acquire()
        assert not held.is_lost
        place.daemon.stop()
    assert held.is_lost
    with pytest.raises(DaemonLost):
        held.release()


FAILURES = {
    "a stranger's certificate": ("lenient", "from another authority", False, -409, "it does not trust the authority"),
    "an expired certificate": ("lenient", "expired", False, -409, "it says that our certificate has expired"),
    "an unknown authority": ("lenient", "trusting another authority", False, -407, "does not come from the authority"),
    "the key of another certificate": ("lenient", "for another key", False, -404, "tls-private-key"),
    "a daemon with somebody's id": ("lenient", "good", True, -23, "its unique id is "),
    "somebody's id": ("strict", "somebody's", False, -409, "it may check peer ids"),
}


@pytest.mark.parametrize(("where", "kind", "checks", "code", "why"), FAILURES.values(), ids=FAILURES.keys())
def test_who_is_not_trusted_is_told_why(
    request: pytest.FixtureRequest,
    files: Mapping[str, Files],
    where: str,
    kind: str,
    checks: bool,
    code: int,
    why: str,
) -> None:
    place: Place = request.getfixturevalue(where)
    with pytest.raises((TlsError, DaemonLost), match=why) as caught:
        lock("R", config=config(files[kind], checks_peer_id=checks), socket=place.path).acquire()
    assert isinstance(caught.value, TlsError | DaemonLost)
    assert caught.value.code == code
    if kind != "for another key":
        assert str(caught.value).startswith(f"R: {place.path}")
    assert place.serves(files["good"], "R")


def test_one_end_speaks_tls_and_the_other_does_not(lenient: Place, daemon: Daemon, good: Files) -> None:
    with pytest.raises((DaemonLost, RemoteProtocolError), match="TLS"):
        lock("R", config=config(None), socket=lenient.path).acquire()
    with pytest.raises((DaemonLost, TlsError), match=r"it (may|does) not speak TLS"):
        lock("R", config=config(good), socket=daemon.socket).acquire()


def test_a_daemon_that_does_not_shake_hands_does_not_hang_us(good: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where: dict[str, Any] = {"config": config(good), "address": "127.0.0.1", "port": silent.getsockname()[1]}
        with pytest.raises(LockTimeout, match=r"^R at 127.0.0.1:\d+: not granted within 0.05 s$"):
            lock("R", **where, timeout=0.05).acquire()
        monkeypatch.setattr("flom.client.blocking.tls.HANDSHAKE_TIMEOUT", 0.05)
        with pytest.raises(TlsError, match=r"no TLS handshake within 0.05 s; it may not speak TLS"):
            lock("R", **where, timeout=60).acquire()


@pytest.mark.parametrize("says_so", [True, False], ids=["with close_notify", "without"])
def test_a_daemon_of_flom(good: Files, elsewhere: Callable[..., Any], version: int, says_so: bool) -> None:
    with FlomDaemon(good, checks_peer_id=True, says_so=says_so) as daemon:
        serving = elsewhere(daemon.serve, 2)
        for _ in range(2):
            with lock("R", config=config(good, checks_peer_id=True), address="127.0.0.1", port=daemon.port) as held:
                assert not held.is_lost
        serving.result()
        assert daemon.log == ["lock R", "unlock R"] * 2


def test_a_reset_by_a_daemon_of_flom_is_no_unlock(good: Files, elsewhere: Callable[..., Any], version: int) -> None:
    with FlomDaemon(good, resets=True) as daemon:
        serving = elsewhere(daemon.serve, 1)
        held = lock("R", config=config(good), address="127.0.0.1", port=daemon.port).acquire()
        with pytest.raises(DaemonLost, match="has not confirmed the unlock before the connection ended"):
            held.release()
        serving.result()
        assert daemon.log == ["lock R", "unlock R"]


def test_a_daemon_is_started_with_the_same_files(programs: Programs, good: Files) -> None:
    port = free_port()
    script = (
        "import sys\nfrom flom import lock\nfrom flom.config import Config\n"
        f"with lock('R', config={config(good, lifespan_ms=300)!r}, address='127.0.0.1', port={port}):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    ).replace("<LockMode.EX: 5>", "5")
    running = programs.start_program(sys.executable, "-c", script)
    assert running.line() == "held"
    with FlomClient(port, good) as client:
        assert client.lock("R") == "1"
    assert running.finish().returncode == 0
    eventually(lambda: not programs.daemons(), "the end of the daemon")


def test_none_is_started_that_could_not_use_the_files_either(files: Mapping[str, Files], tmp_path: Path) -> None:
    unusable = config(files["for another key"], lifespan_ms=300, socket_name=str(tmp_path / "flom.sock"))
    with pytest.raises(TlsError) as caught:
        lock("R", config=unusable).acquire()
    assert caught.value.code is ReturnCode.SSL_CTX_USE_PRIVATEKEY_FILE_ERROR
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_daemon(good: Files, tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachable, match="no daemon is listening"):
        lock("R", config=config(good), socket=tmp_path / "flom.sock").acquire()


IMPORTS = """\
import sys
from flom import lock
from flom.config import Config
with lock("R", config={config!r}, {where}):
    print(sorted({{name.partition(".")[0] for name in sys.modules}} & {{"twisted", "zope", "OpenSSL", "cryptography"}}))
"""


def test_neither_twisted_nor_pyopenssl_is_imported(programs: Programs, strict: Place, good: Files) -> None:
    script = IMPORTS.format(config=config(good, checks_peer_id=True), where=f"socket={strict.path!r}")
    run = programs.start_program(sys.executable, "-c", script.replace("<LockMode.EX: 5>", "5")).finish()
    assert (run.stdout, run.stderr) == ("[]\n", "")
