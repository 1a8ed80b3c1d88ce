"""
Locks of real daemons, and of ones that misbehave: what the return codes say (docs/compatibility.md, "Library: states").
"""

from __future__ import annotations

import errno
import gc
import os
import queue
import resource as limits
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from flom import (
    FLOM_HANDLE_STATE_CONNECTED,
    FLOM_HANDLE_STATE_DISCONNECTED,
    FLOM_HANDLE_STATE_INIT,
    FLOM_HANDLE_STATE_LOCKED,
    FLOM_LOCK_MODE_CR,
    FLOM_LOCK_MODE_PR,
    FLOM_RC_BUFFER_OVERFLOW,
    FLOM_RC_CONNECT_ERROR,
    FLOM_RC_CONTAINER_FULL,
    FLOM_RC_GETADDRINFO_ERROR,
    FLOM_RC_INTERNAL_ERROR,
    FLOM_RC_INVALID_OPTION,
    FLOM_RC_INVALID_RESOURCE_NAME,
    FLOM_RC_LOCK_BUSY,
    FLOM_RC_LOCK_CANT_WAIT,
    FLOM_RC_LOCK_IMPOSSIBLE,
    FLOM_RC_MSG_DESERIALIZE_ERROR,
    FLOM_RC_NETWORK_TIMEOUT,
    FLOM_RC_NO_TLS_CONNECTION,
    FLOM_RC_OK,
    FLOM_RC_POLL_ERROR,
    FLOM_RC_PROTOCOL_ERROR,
    FLOM_RC_PROTOCOL_LEVEL_MISMATCH,
    FLOM_RC_RECV_ERROR,
    FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL,
    FLOM_RC_SEND_ERROR,
    FLOM_RC_SOCKET_ERROR,
    FLOM_RC_SSL_GET_VERIFY_RESULT_ERROR,
    FLOM_RC_SSL_READ_ERROR,
    FLOM_RC_UNIQUE_ID_DOES_NOT_MATCH,
    flom_handle_clean,
    flom_handle_delete,
    flom_handle_get_locked_element,
    flom_handle_lock,
    flom_handle_set_lock_mode,
    flom_handle_set_multicast_address,
    flom_handle_set_resource_create,
    flom_handle_set_resource_idle_lifespan,
    flom_handle_set_resource_name,
    flom_handle_set_resource_quantity,
    flom_handle_set_resource_timeout,
    flom_handle_set_socket_name,
    flom_handle_set_tls_ca_certificate,
    flom_handle_set_tls_certificate,
    flom_handle_set_tls_check_peer_id,
    flom_handle_set_tls_private_key,
    flom_handle_set_unicast_address,
    flom_handle_set_unicast_port,
    flom_handle_t,
    flom_handle_unlock,
    flom_handle_unlock_rollback,
)
from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.protocol.messages import Answer, Goodbye, Unlock, WhyWithdrawn
from flom.net.machine_id import unique_id
from tests.fakes.authority import Files
from tests.fakes.daemon import Daemon
from tests.fakes.peers import PATIENCE, FakeDaemon, SocketClient, SocketConversation, is_locked
from tests.libflom.conftest import MakeHandle
from tests.scenarios.tls.conftest import authority as authority
from tests.scenarios.tls.conftest import files as files
from tests.scenarios.tls.conftest import good as good


@pytest.fixture
def handle(make: MakeHandle, address: str, resource: str) -> flom_handle_t:
    """A handle for a resource of its own, at a daemon that all tests use."""
    return make(resource, address)


@pytest.fixture
def faked(make: MakeHandle, fake: FakeDaemon, tmp_path: Path) -> flom_handle_t:
    """A handle for C{R1} at the daemon C{fake}."""
    return make("R1", str(tmp_path / "fake.sock"))


class Meanwhile:
    """Calls C{flom_handle_lock} in a thread of its own, while the test does something else."""

    def __init__(self, handle: flom_handle_t) -> None:
        self._codes: list[int] = []
        self._thread = threading.Thread(target=lambda: self._codes.append(flom_handle_lock(handle)), daemon=True)
        self._thread.start()

    @property
    def code(self) -> int:
        """What it has returned; waits for that."""
        self._thread.join(PATIENCE)
        [code] = self._codes
        return code


# grants and refusals


def test_what_is_locked_is_locked_until_it_is_given_back(handle: flom_handle_t, address: str, resource: str) -> None:
    assert flom_handle_lock(handle) == FLOM_RC_OK
    assert is_locked(address, resource)
    assert flom_handle_unlock(handle) == FLOM_RC_OK
    assert not is_locked(address, resource)


def test_two_handles_keep_each_other_out(make: MakeHandle, address: str, resource: str) -> None:
    first, second = make(resource, address), make(resource, address)
    flom_handle_set_resource_timeout(second, 0)
    assert flom_handle_lock(first) == FLOM_RC_OK
    assert flom_handle_lock(second) == FLOM_RC_LOCK_BUSY
    assert flom_handle_unlock(second) == FLOM_RC_OK
    assert flom_handle_unlock(first) == FLOM_RC_OK
    assert flom_handle_lock(second) == FLOM_RC_OK


def test_two_handles_share_where_the_modes_allow_it(make: MakeHandle, address: str, resource: str) -> None:
    first, second = make(resource, address), make(resource, address)
    for handle in (first, second):
        flom_handle_set_lock_mode(handle, FLOM_LOCK_MODE_PR)
        assert flom_handle_lock(handle) == FLOM_RC_OK


def test_while_one_thread_waits_the_others_run(faked: flom_handle_t, fake: FakeDaemon) -> None:
    waiting = Meanwhile(faked)
    daemon, asked = fake.accept()  # by our thread: had the other one kept the interpreter, we would not come to this
    assert asked.wait
    daemon.answer(Outcome.QUEUED)
    daemon.answer(Outcome.QUEUED, step=24)
    daemon.answer(Outcome.GRANTED, step=24)
    assert waiting.code == FLOM_RC_OK
    assert faked.state == FLOM_HANDLE_STATE_LOCKED


def test_a_resource_that_is_missing_and_not_to_be_made(handle: flom_handle_t) -> None:
    flom_handle_set_resource_create(handle, 0)
    flom_handle_set_resource_timeout(handle, 0)
    assert flom_handle_lock(handle) == FLOM_RC_LOCK_CANT_WAIT
    assert handle.state == FLOM_HANDLE_STATE_CONNECTED


def test_more_than_there_will_ever_be(handle: flom_handle_t, resource: str) -> None:
    flom_handle_set_resource_name(handle, f"{resource}[3]")
    flom_handle_set_resource_quantity(handle, 4)
    assert flom_handle_lock(handle) == FLOM_RC_LOCK_IMPOSSIBLE
    flom_handle_set_resource_quantity(handle, 3)
    assert flom_handle_lock(handle) == FLOM_RC_OK


def test_a_name_that_is_too_long_for_a_message(handle: flom_handle_t) -> None:
    flom_handle_set_resource_name(handle, "R" * 400)
    assert flom_handle_lock(handle) == FLOM_RC_CONTAINER_FULL
    assert handle.state == FLOM_HANDLE_STATE_CONNECTED


def test_a_timestamp_that_no_daemon_takes(handle: flom_handle_t) -> None:
    flom_handle_set_resource_name(handle, "_t_%Y[1]")
    assert flom_handle_lock(handle) == FLOM_RC_RECV_ERROR
    assert handle.state == FLOM_HANDLE_STATE_CONNECTED


def test_what_is_asked_for_are_the_properties(faked: flom_handle_t, fake: FakeDaemon) -> None:
    flom_handle_set_lock_mode(faked, FLOM_LOCK_MODE_CR)
    flom_handle_set_resource_create(faked, 0)
    flom_handle_set_resource_idle_lifespan(faked, 1500)
    waiting = Meanwhile(faked)
    daemon, asked = fake.accept()
    assert (asked.name, asked.mode, asked.wait, asked.create) == ("R1", LockMode.CR, True, False)
    assert (asked.lifespan, asked.peer_id) == (1.5, unique_id())
    daemon.answer(Outcome.GRANTED)
    assert waiting.code == FLOM_RC_OK


def test_a_timeout_of_0_is_not_to_wait(faked: flom_handle_t, fake: FakeDaemon) -> None:
    flom_handle_set_resource_timeout(faked, 0)
    waiting = Meanwhile(faked)
    daemon, asked = fake.accept()
    assert not asked.wait
    daemon.answer(Outcome.BUSY)
    assert waiting.code == FLOM_RC_LOCK_BUSY


def test_a_silent_daemon_does_not_hold_up_a_request_without_a_wait(
    faked: flom_handle_t, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flom.client.blocking.acquire.ANSWER_TIMEOUT", 0.2)
    flom_handle_set_resource_timeout(faked, 0)
    assert flom_handle_lock(faked) == FLOM_RC_NETWORK_TIMEOUT


# elements


def test_the_element_of_a_set(handle: flom_handle_t, resource: str) -> None:
    flom_handle_set_resource_name(handle, f"{resource}.east")
    assert flom_handle_get_locked_element(handle) is None
    assert flom_handle_lock(handle) == FLOM_RC_OK
    assert flom_handle_get_locked_element(handle) in (resource, "east")
    assert flom_handle_unlock(handle) == FLOM_RC_OK
    assert flom_handle_get_locked_element(handle) is None


def test_the_numbers_of_a_sequence(handle: flom_handle_t, resource: str) -> None:
    flom_handle_set_resource_name(handle, f"_s_{resource}[1]")
    for number in ("1", "2", "3"):
        assert flom_handle_lock(handle) == FLOM_RC_OK
        assert flom_handle_get_locked_element(handle) == number
        assert flom_handle_unlock(handle) == FLOM_RC_OK


def test_a_timestamp(handle: flom_handle_t) -> None:
    flom_handle_set_resource_name(handle, "_t_%Y#ffffff[1]")
    assert flom_handle_lock(handle) == FLOM_RC_OK
    assert (flom_handle_get_locked_element(handle) or "")[:2] == "20"


def test_what_has_no_elements(handle: flom_handle_t) -> None:
    assert flom_handle_lock(handle) == FLOM_RC_OK
    assert flom_handle_get_locked_element(handle) is None


def test_a_value_that_is_rolled_back_is_given_again(handle: flom_handle_t, resource: str) -> None:
    flom_handle_set_resource_name(handle, f"_S_{resource}[1]")
    for _ in range(2):
        assert flom_handle_lock(handle) == FLOM_RC_OK
        assert flom_handle_get_locked_element(handle) == "1"
        assert flom_handle_unlock_rollback(handle) == FLOM_RC_OK
        assert flom_handle_get_locked_element(handle) is None
    assert flom_handle_lock(handle) == FLOM_RC_OK
    assert flom_handle_unlock(handle) == FLOM_RC_OK
    assert flom_handle_lock(handle) == FLOM_RC_OK
    assert flom_handle_get_locked_element(handle) == "2"


def test_what_cannot_be_rolled_back_is_given_back_all_the_same(handle: flom_handle_t, resource: str) -> None:
    flom_handle_set_resource_name(handle, f"_s_{resource}[1]")
    for number in ("1", "2"):
        assert flom_handle_lock(handle) == FLOM_RC_OK
        assert flom_handle_get_locked_element(handle) == number
        assert flom_handle_unlock_rollback(handle) == FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL
        assert handle.state == FLOM_HANDLE_STATE_DISCONNECTED


# no lock: nothing must be left behind


def test_after_busy_another_resource_can_be_locked(handle: flom_handle_t, address: str, resource: str) -> None:
    flom_handle_set_resource_timeout(handle, 0)
    with SocketClient(address) as holder:
        holder.ask(resource)
        assert flom_handle_lock(handle) == FLOM_RC_LOCK_BUSY
        assert flom_handle_set_resource_name(handle, f"{resource}77") == FLOM_RC_OK
        assert flom_handle_lock(handle) == FLOM_RC_OK
        assert is_locked(address, f"{resource}77")


def test_a_request_that_was_given_up_is_never_granted(handle: flom_handle_t, address: str, resource: str) -> None:
    flom_handle_set_resource_timeout(handle, 50)
    with SocketClient(address) as holder:
        holder.ask(resource)
        assert flom_handle_lock(handle) == FLOM_RC_NETWORK_TIMEOUT
        assert handle.state == FLOM_HANDLE_STATE_CONNECTED
    with SocketClient(address) as next_one:
        outcome = next_one.ask(resource, wait=True)
        assert outcome == Outcome.GRANTED or next_one.next() == Outcome.GRANTED
    assert flom_handle_unlock(handle) == FLOM_RC_OK


def test_the_timeout_is_for_the_whole_wait(faked: flom_handle_t, fake: FakeDaemon) -> None:
    flom_handle_set_resource_timeout(faked, 400)
    begun = time.monotonic()
    waiting = Meanwhile(faked)
    daemon, _ = fake.accept()
    daemon.answer(Outcome.QUEUED)
    with suppress(OSError):  # we have hung up
        while time.monotonic() < begun + PATIENCE:
            daemon.answer(Outcome.QUEUED, step=24)
            time.sleep(0.01)
    assert waiting.code == FLOM_RC_NETWORK_TIMEOUT
    assert time.monotonic() - begun < 5


Handler = Callable[[int, FrameType | None], Any]

Interrupting = Callable[[Handler], Callable[[], SocketConversation]]
"""Begins that; what it returns waits for the connection of the client."""


@pytest.fixture
def interrupting(fake: FakeDaemon) -> Iterator[Interrupting]:
    """Makes the daemon queue the next request, and send this process a signal then."""
    before = signal.getsignal(signal.SIGUSR1)
    accepted: queue.Queue[SocketConversation] = queue.Queue()

    def interrupt() -> None:
        daemon, _ = fake.accept()
        daemon.answer_as_ours(Outcome.QUEUED)
        accepted.put(daemon)
        os.kill(os.getpid(), signal.SIGUSR1)

    def begin(handler: Handler) -> Callable[[], SocketConversation]:
        signal.signal(signal.SIGUSR1, handler)
        threading.Thread(target=interrupt).start()
        return lambda: accepted.get(timeout=PATIENCE)

    yield begin
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(("timeout", "code"), [(60_000, FLOM_RC_POLL_ERROR), (-1, FLOM_RC_RECV_ERROR)])
def test_a_signal_ends_the_wait(faked: flom_handle_t, interrupting: Interrupting, timeout: int, code: int) -> None:
    flom_handle_set_resource_timeout(faked, timeout)
    daemon = interrupting(lambda number, frame: None)
    assert flom_handle_lock(faked) == code
    assert faked.state == FLOM_HANDLE_STATE_CONNECTED
    assert list(iter(daemon().read, None)) == [Goodbye("R1", WhyWithdrawn.SIGNAL)]


@pytest.mark.parametrize(
    ("error", "goodbye"),
    [(KeyboardInterrupt, [Goodbye("R1", WhyWithdrawn.SIGNAL)]), (TimeoutError, [])],
)
def test_what_a_handler_raises_comes_out_and_the_request_is_forgotten(
    faked: flom_handle_t, interrupting: Interrupting, error: type[BaseException], goodbye: list[Goodbye]
) -> None:
    def handler(number: int, frame: FrameType | None) -> None:
        raise error

    daemon = interrupting(handler)
    with pytest.raises(error):
        flom_handle_lock(faked)
    assert (faked.state, faked.conn) == (FLOM_HANDLE_STATE_CONNECTED, None)
    conversation = daemon()
    assert list(iter(conversation.read, None)) == goodbye
    assert flom_handle_unlock(faked) == FLOM_RC_OK


# no daemon


def test_no_daemon_is_started(make: MakeHandle, tmp_path: Path) -> None:
    path = tmp_path / "nowhere"
    assert flom_handle_lock(make("R1", str(path))) == FLOM_RC_CONNECT_ERROR
    assert not path.exists()


def test_nowhere_to_look_for_a_daemon(make: MakeHandle) -> None:
    handle = make("R1")
    flom_handle_set_socket_name(handle, None)
    assert flom_handle_lock(handle) == FLOM_RC_INTERNAL_ERROR
    assert handle.state == FLOM_HANDLE_STATE_INIT


def test_a_host_that_is_unknown(make: MakeHandle) -> None:
    handle = make("R1")
    flom_handle_set_unicast_address(handle, "no such host")
    assert flom_handle_lock(handle) == FLOM_RC_GETADDRINFO_ERROR
    assert handle.state == FLOM_HANDLE_STATE_INIT


def test_a_port_without_a_listener(make: MakeHandle) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        handle = make("R1")
        flom_handle_set_unicast_address(handle, "127.0.0.1")
        flom_handle_set_unicast_port(handle, unused.getsockname()[1])
        assert flom_handle_lock(handle) == FLOM_RC_CONNECT_ERROR


def test_an_address_that_is_no_group(make: MakeHandle) -> None:
    handle = make("R1")
    flom_handle_set_multicast_address(handle, "192.0.2.1")
    assert flom_handle_lock(handle) == FLOM_RC_INVALID_OPTION
    assert handle.state == FLOM_HANDLE_STATE_INIT


def test_no_descriptors_left(make: MakeHandle, address: str) -> None:
    handle = make("R1", address)
    before = limits.getrlimit(limits.RLIMIT_NOFILE)
    opened = os.open("/dev/null", os.O_RDONLY)
    os.close(opened)
    for allowed in range(opened, opened + 4):
        limits.setrlimit(limits.RLIMIT_NOFILE, (allowed, before[1]))
        try:
            code = flom_handle_lock(handle)
        finally:
            limits.setrlimit(limits.RLIMIT_NOFILE, before)
        assert code in (FLOM_RC_CONNECT_ERROR, FLOM_RC_SOCKET_ERROR, FLOM_RC_OK)
        if handle.state == FLOM_HANDLE_STATE_LOCKED:
            break
        handle.state = FLOM_HANDLE_STATE_INIT
    assert not is_locked(address, "R1") or handle.state == FLOM_HANDLE_STATE_LOCKED


def test_an_unexpected_error_of_the_system_comes_out(handle: flom_handle_t, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EIO, "a handler of the program's own has said so")

    monkeypatch.setattr("flom.client.blocking.acquire.connect", fail)
    with pytest.raises(OSError, match="has said so"):
        flom_handle_lock(handle)


# a daemon that goes


@pytest.mark.parametrize("call", [flom_handle_unlock, flom_handle_unlock_rollback, flom_handle_clean])
def test_what_was_locked_at_a_daemon_that_was_killed(
    make: MakeHandle, daemon: Daemon, call: Callable[[flom_handle_t], int]
) -> None:
    handle = make("_S_a[1]", daemon.socket)
    assert flom_handle_lock(handle) == FLOM_RC_OK
    daemon.process.kill()
    daemon.process.wait()
    assert call(handle) == FLOM_RC_SEND_ERROR
    assert (handle.state, handle.locked_element) == (FLOM_HANDLE_STATE_DISCONNECTED, None)
    assert flom_handle_lock(handle) == FLOM_RC_CONNECT_ERROR
    assert flom_handle_clean(handle) == FLOM_RC_OK


def test_when_a_daemon_goes_a_waiter_asks_the_next_one(faked: flom_handle_t, fake: FakeDaemon) -> None:
    waiting = Meanwhile(faked)
    for _ in range(2):
        daemon, _ = fake.accept()
        daemon.answer(Outcome.QUEUED)
        daemon.close()
    fake.accept()[0].answer(Outcome.GRANTED)
    assert waiting.code == FLOM_RC_OK


def test_a_daemon_that_goes_before_it_has_said_anything_is_asked_again(faked: flom_handle_t, fake: FakeDaemon) -> None:
    waiting = Meanwhile(faked)
    fake.accept()[0].close()
    fake.accept()[0].answer(Outcome.GRANTED)
    assert waiting.code == FLOM_RC_OK


def test_but_only_once(faked: flom_handle_t, fake: FakeDaemon) -> None:
    waiting = Meanwhile(faked)
    for _ in range(2):
        fake.accept()[0].close()
    assert waiting.code == FLOM_RC_RECV_ERROR
    assert faked.state == FLOM_HANDLE_STATE_CONNECTED


# a daemon that says what it must not


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b'<msg level="3" verb="3" step="8"></msg>', FLOM_RC_PROTOCOL_ERROR),
        (b'<msg level="3" verb="1" step="24"><answer rc="0"/></msg>', FLOM_RC_PROTOCOL_ERROR),
        (b'<msg level="3" verb="1" step="16"><answer rc="77"/></msg>', FLOM_RC_PROTOCOL_ERROR),
        (b'<msg level="3" verb="1" step="16"></msg>', FLOM_RC_PROTOCOL_ERROR),
        (b'<msg level="4" verb="1" step="16"><answer rc="0"/></msg>', FLOM_RC_PROTOCOL_LEVEL_MISMATCH),
        (b"nonsense</msg>", FLOM_RC_MSG_DESERIALIZE_ERROR),
        (b"x" * 1100, FLOM_RC_BUFFER_OVERFLOW),
        (b'<msg level="3" verb="1" step="16"><answer rc="-14"/></msg>', FLOM_RC_INVALID_RESOURCE_NAME),
    ],
)
def test_an_answer_that_is_none(faked: flom_handle_t, fake: FakeDaemon, said: bytes, code: int) -> None:
    waiting = Meanwhile(faked)
    daemon, _ = fake.accept()
    daemon.send(said)
    assert waiting.code == code
    assert faked.state == FLOM_HANDLE_STATE_CONNECTED
    assert daemon.read() is None


def test_a_refusal_while_we_wait_is_no_grant(faked: flom_handle_t, fake: FakeDaemon) -> None:
    waiting = Meanwhile(faked)
    daemon, _ = fake.accept()
    daemon.answer(Outcome.AWAITING_CREATION)
    daemon.answer(Outcome.IMPOSSIBLE, step=32)
    assert waiting.code == FLOM_RC_LOCK_IMPOSSIBLE
    assert faked.state == FLOM_HANDLE_STATE_CONNECTED


@pytest.mark.parametrize("rollback", [False, True])
def test_the_unlock_says_whether_to_roll_back(
    make: MakeHandle, fake: FakeDaemon, tmp_path: Path, rollback: bool
) -> None:
    handle = make("_S_a[1]", str(tmp_path / "fake.sock"))
    waiting = Meanwhile(handle)
    daemon, _ = fake.accept()
    daemon.say(Answer(16, Outcome.GRANTED, "1", "0" * 32))
    assert waiting.code == FLOM_RC_OK
    unlock = flom_handle_unlock_rollback if rollback else flom_handle_unlock
    ending = threading.Thread(target=unlock, args=(handle,))
    ending.start()
    assert daemon.read() == Unlock("_S_a[1]", rollback)
    assert daemon.read() is None
    daemon.close()
    ending.join(PATIENCE)


# TCP and TLS


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        number: int = unused.getsockname()[1]
        return number


def at_port(handle: flom_handle_t, port: int) -> flom_handle_t:
    flom_handle_set_unicast_address(handle, "127.0.0.1")
    flom_handle_set_unicast_port(handle, port)
    return handle


def with_tls(handle: flom_handle_t, files: Files) -> flom_handle_t:
    assert flom_handle_set_tls_certificate(handle, files.certificate) == FLOM_RC_OK
    assert flom_handle_set_tls_private_key(handle, files.key) == FLOM_RC_OK
    assert flom_handle_set_tls_ca_certificate(handle, files.authority) == FLOM_RC_OK
    return handle


def test_a_daemon_by_its_address(make: MakeHandle, port: int) -> None:
    with Daemon("--unicast-address", "127.0.0.1", "--unicast-port", str(port)):
        first, second = at_port(make("R1"), port), at_port(make("R1"), port)
        flom_handle_set_resource_timeout(second, 0)
        assert flom_handle_lock(first) == FLOM_RC_OK
        assert flom_handle_lock(second) == FLOM_RC_LOCK_BUSY
        assert flom_handle_unlock(first) == FLOM_RC_OK


def test_tls_both_ways(make: MakeHandle, files: Mapping[str, Files], port: int, tmp_path: Path) -> None:
    good = files["good"]
    words = ["--tls-certificate", good.certificate, "--tls-private-key", good.key]
    words += ["--tls-ca-certificate", good.authority, "--tls-check-peer-id", "yes"]
    with Daemon("--unicast-address", "127.0.0.1", "--unicast-port", str(port), *words):
        handle = with_tls(at_port(make("R1"), port), good)
        flom_handle_set_tls_check_peer_id(handle, 1)
        assert flom_handle_lock(handle) == FLOM_RC_OK
        assert flom_handle_unlock(handle) == FLOM_RC_OK

        distrustful = with_tls(at_port(make("R1"), port), files["trusting another authority"])
        assert flom_handle_lock(distrustful) == FLOM_RC_SSL_GET_VERIFY_RESULT_ERROR

        stranger = with_tls(at_port(make("R1"), port), files["somebody's"])
        assert flom_handle_lock(stranger) == FLOM_RC_SSL_READ_ERROR
        assert flom_handle_lock(at_port(make("R1"), port)) == FLOM_RC_RECV_ERROR


def test_a_daemon_with_the_certificate_of_another(make: MakeHandle, files: Mapping[str, Files], tmp_path: Path) -> None:
    path, other = str(tmp_path / "s"), files["somebody's"]
    words = ["--tls-certificate", other.certificate, "--tls-private-key", other.key]
    with Daemon("--socket-name", path, *words, "--tls-ca-certificate", other.authority):
        handle = with_tls(make("R1", path), files["good"])
        flom_handle_set_tls_check_peer_id(handle, 1)
        assert flom_handle_lock(handle) == FLOM_RC_UNIQUE_ID_DOES_NOT_MATCH
        assert handle.state == FLOM_HANDLE_STATE_CONNECTED


def test_without_tls_no_peer_id_can_be_checked(handle: flom_handle_t, address: str, resource: str) -> None:
    flom_handle_set_tls_check_peer_id(handle, 1)
    assert flom_handle_lock(handle) == FLOM_RC_NO_TLS_CONNECTION
    assert handle.state == FLOM_HANDLE_STATE_CONNECTED
    assert not is_locked(address, resource)


# handles that are forgotten, processes that fork or end


def test_a_lock_outlives_its_handle(address: str, resource: str, make: MakeHandle) -> None:
    def lock() -> None:
        handle = flom_handle_t()
        vars(handle).update(vars(make(resource, address)))
        assert flom_handle_lock(handle) == FLOM_RC_OK

    lock()
    gc.collect()
    assert is_locked(address, resource)


def test_a_lock_ends_with_its_process(address: str, resource: str) -> None:
    program = f"""
from flom import *
handle = flom_handle_new()
flom_handle_set_socket_name(handle, {address!r})
flom_handle_set_resource_name(handle, {resource!r})
print(flom_handle_lock(handle))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert not is_locked(address, resource)


def test_a_child_can_neither_keep_a_lock_nor_give_it_back(handle: flom_handle_t, address: str, resource: str) -> None:
    assert flom_handle_lock(handle) == FLOM_RC_OK
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(flom_handle_unlock(handle)).encode())
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    os.close(writing)
    with open(reading) as said:
        assert int(said.read()) == FLOM_RC_SEND_ERROR
    assert is_locked(address, resource)
    flom_handle_delete(handle)
    assert not is_locked(address, resource)
