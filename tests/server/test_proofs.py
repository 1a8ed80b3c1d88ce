"""A reclaim needs the proof that the last daemon has given with the grant, if that had the same key."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.logger import LogEvent

from flom.core.group.addresses import Group
from flom.core.group.key import GroupKey
from flom.core.modes import LockMode, excludes_no_more
from flom.core.proofs import ProofKey
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.events import Granted, MoreWanted, Refused
from flom.core.protocol.messages import Lock
from flom.server.options import DEFAULT_OPTIONS, ServerOptions
from flom.server.proofs import Proofs, proofs_of_directory, proofs_of_group
from flom.server.state import StateDirectory, StateError
from tests.fakes.connections import FakeTls, MemoryDaemon, TcpTransport, Transport
from tests.fakes.logs import informed, warnings

KEY = ProofKey(b"the key of some daemons", "/run/flom.sock")
GRACE = 10.0
R1 = Lock("R1", LockMode.EX, wait=True, create=True, extended=True)
OTHER_USER = "192.0.2.7"  # over UNIX sockets, clients of other users stand apart as those of other addresses do here


class Client:
    """A client of ours that holds a lock; the socket is a UNIX one unless C{kind} says something else."""

    def __init__(self, message: Lock = R1, kind: type[Transport] = Transport) -> None:
        self.message = message
        self._kind = kind
        self.granted = Granted(None)
        self.session = ""

    def ask(self, daemon: MemoryDaemon, message: Lock | None = None, host: str = "127.0.0.1") -> Granted | Refused:
        """Ask C{daemon} for the lock; return what it decides."""
        connection, self.client = ClientConnection(), daemon.connect(host, self._kind)
        self.client.send(connection.lock(message or self.message))
        while True:
            received = self.client.transport.value()
            self.client.transport.clear()
            for event in connection.receive(received):
                if isinstance(event, MoreWanted):
                    self.client.send(connection.more())
                elif isinstance(event, Granted):
                    self.granted, self.session = event, connection.session
                    return event
                elif isinstance(event, Refused):
                    return event
            assert self.client.transport.value(), "neither granted nor refused"

    def reclaim(self, **changes: Any) -> Lock:
        """Return the message that reclaims the lock; C{changes} forge it."""
        element, token, proof = self.granted.element, self.granted.token or 0, self.granted.proof
        reclaim = self.message.replace(
            wait=False, regains=True, element=element, token=token, proof=proof, session=self.session
        )
        return reclaim.replace(**changes)

    def reclaims(self, daemon: MemoryDaemon, host: str = "127.0.0.1", **changes: Any) -> bool:
        """Reclaim the lock from another daemon; return whether that is granted."""
        return isinstance(self.ask(daemon, self.reclaim(**changes), host), Granted)


def daemon(
    *, options: ServerOptions = DEFAULT_OPTIONS, key: ProofKey | None = KEY, is_new: bool = False
) -> MemoryDaemon:
    """Return a daemon that takes the place of another one."""
    daemon = MemoryDaemon(options, Proofs(key, is_new=is_new))
    daemon.arbiter.begin_grace(GRACE)
    return daemon


def first_daemon(**what: Any) -> MemoryDaemon:
    """Return a daemon that is the first one."""
    started = daemon(**what)
    started.arbiter.end_grace()
    return started


NAMES = ["R1", "N[5]", "red.green", "_s_n[2]", "_S_n[2]", "_t_%S[1]", "/a/b", "x" * 250]


@pytest.mark.parametrize("kind", [Transport, TcpTransport], ids=["unix", "tcp"])
@pytest.mark.parametrize("name", NAMES)
def test_a_holder_reclaims_with_its_proof_again_and_again(
    name: str, kind: type[Transport], log: list[LogEvent]
) -> None:
    client = Client(R1.replace(name=name, quantity=2), kind)
    client.ask(first_daemon())
    held = client.granted
    assert len(held.proof) == 32
    for _ in range(3):
        assert client.reclaims(daemon())
        assert (client.granted.element, client.granted.token) == (held.element, held.token)
    assert warnings(log) == []
    assert [line for line in informed(log) if "unproven" in line] == []


@pytest.mark.parametrize(
    "forged",
    [
        {"proof": ""},
        {"proof": "0" * 32},
        {"token": 7 << 32 | 7},
        {"element": "green"},
        {"name": "green.red"},
        {"session": "0" * 32},
    ],
)
def test_a_reclaim_that_is_forged_is_refused_and_logged(forged: dict[str, Any], log: list[LogEvent]) -> None:
    client = Client(R1.replace(name="red.green"))
    client.ask(first_daemon())
    successor = daemon()
    assert not client.reclaims(successor, **forged)
    name = forged.get("name", "red.green")
    what = "a wrong proof" if forged.get("proof", "it") else "no proof"
    assert warnings(log) == [f"{name} (NL) is not reclaimed by 127.0.0.1:40000, which has {what} of its grant"]
    assert client.reclaims(successor)


@pytest.mark.parametrize("forged", [{"mode": LockMode.EX}, {"mode": LockMode.CW}, {"name": "R2"}])
def test_another_mode_or_resource_is_not_what_was_granted(forged: dict[str, Any]) -> None:
    client = Client(R1.replace(mode=LockMode.PR))
    client.ask(first_daemon())
    assert not client.reclaims(daemon(), **forged)


@pytest.mark.parametrize("mode", [LockMode.PR, LockMode.CR, LockMode.NL])
def test_a_mode_that_excludes_no_more_may_have_come_of_a_conversion(mode: LockMode) -> None:
    client = Client(R1.replace(mode=LockMode.PR))
    client.ask(first_daemon())
    assert client.reclaims(daemon(), mode=mode)


def test_another_quantity_is_not_what_was_granted() -> None:
    client = Client(R1.replace(name="N[5]", quantity=1))
    client.ask(first_daemon())
    assert not client.reclaims(daemon(), quantity=5)


forgeries = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["red", "red.green", "green.red", "N[2]", "N[3]", "/a", "_s_n[2]", "_t_%S[1]"]),
        "mode": st.sampled_from(list(LockMode)),
        "quantity": st.integers(0, 3),
        "element": st.none() | st.sampled_from(["red", "green", "1", "2", "4294967295"]),
        "token": st.integers(0, 2**62) | st.just(1 << 32 | 1),
        "proof": st.sampled_from(["", "0" * 32]) | st.text("0123456789abcdef", min_size=32, max_size=32),
        "session": st.sampled_from(["", "0" * 32]),
        "holder": st.integers(0, 9),
        "wait": st.booleans(),
        "lifespan": st.sampled_from([0.0, 9.0]),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["red", "red.green", "N[3]", "/a", "_s_n[2]"]), forgeries)
def test_nothing_is_reclaimed_but_what_was_granted(name: str, forged: dict[str, Any]) -> None:
    client = Client(R1.replace(name=name, mode=LockMode.PR), TcpTransport)
    client.ask(first_daemon())
    honest, successor = client.reclaim(), daemon()
    bound = ("name", "quantity", "element", "token", "proof", "session")
    said, had = decode(encode(client.reclaim(**forged))), decode(encode(honest))
    assert isinstance(said, Lock)
    assert isinstance(had, Lock)
    is_honest = all(getattr(said, field) == getattr(had, field) for field in bound)
    is_honest &= excludes_no_more(said.mode, had.mode)
    assert client.reclaims(successor, **forged) is is_honest
    assert is_honest or isinstance(client.ask(successor, honest), Granted)


def test_over_a_unix_socket_another_user_cannot_use_it() -> None:
    client = Client()
    client.ask(first_daemon())
    successor = daemon()
    assert not client.reclaims(successor, host=OTHER_USER)
    assert client.reclaims(successor)


def test_over_tcp_the_address_may_change_and_the_secret_is_needed() -> None:
    client = Client(kind=TcpTransport)
    client.ask(first_daemon())
    successor = daemon()
    assert client.session
    assert not client.reclaims(successor, session="")
    assert client.reclaims(successor, host="192.0.2.99")


def test_over_tls_the_certificate_is_needed() -> None:
    options = replace(DEFAULT_OPTIONS, tls=_Certificate(b"client"))  # type: ignore[arg-type]
    client = Client(kind=TcpTransport)
    client.ask(first_daemon(options=options))
    thiefs = replace(DEFAULT_OPTIONS, tls=_Certificate(b"thief"))  # type: ignore[arg-type]
    assert not client.reclaims(daemon(options=thiefs))
    assert client.reclaims(daemon(options=options))


@pytest.mark.parametrize(
    "key", [ProofKey(b"another key", "/run/flom.sock"), ProofKey(b"the key of some daemons", "/s")]
)
def test_of_another_daemon_nothing_is_proven(key: ProofKey) -> None:
    client = Client()
    client.ask(first_daemon(key=key))
    assert not client.reclaims(daemon())


def test_a_daemon_that_has_made_its_key_believes_and_logs(log: list[LogEvent]) -> None:
    """The one before it had none: it was of an older version, or had no state directory."""
    client, thief = Client(), Client()
    client.ask(first_daemon(key=None))
    assert not client.granted.proof
    successor = daemon(is_new=True)
    assert client.reclaims(successor)
    assert client.granted.proof
    assert informed(log)[0] == "R1 (EX) is reclaimed by 127.0.0.1:40000, unproven"
    assert not thief.reclaims(successor)  # the first has come
    assert warnings(log) == []
    assert client.reclaims(daemon())


def test_a_daemon_after_one_of_another_key_believes() -> None:
    client = Client()
    client.ask(first_daemon(key=ProofKey(b"another key", "")))
    successor = daemon()
    successor.factory.proofs.note_predecessor(has_key=False)
    assert client.reclaims(successor)


def test_without_a_key_a_reclaim_is_believed_in_the_grace_alone(log: list[LogEvent]) -> None:
    successor = daemon(key=None)
    assert Client().reclaims(successor)
    successor.clock.advance(GRACE)
    assert not Client().reclaims(successor, name="R2")
    assert warnings(log) == ["R2 (EX) is not reclaimed by 127.0.0.1:40000, which has no proof of its grant"]


def test_with_a_proof_a_holder_may_come_late() -> None:
    client = Client()
    client.ask(first_daemon())
    successor = daemon()
    successor.clock.advance(GRACE)
    assert client.reclaims(successor)


def test_the_secret_is_enough_for_the_same_daemon() -> None:
    client = Client(kind=TcpTransport)
    same = first_daemon()
    client.ask(same)
    proof = client.granted.proof
    client.client.leave(ConnectionLost())
    assert client.reclaims(same, proof="", token=0)
    assert client.granted.proof == proof


def test_clients_of_flom_get_no_proof() -> None:
    client = Client(R1.replace(extended=False))
    client.ask(first_daemon())
    assert not client.granted.proof


def test_forged_reclaims_do_not_flood_the_log(log: list[LogEvent]) -> None:
    successor = daemon()
    for _ in range(150):
        Client().reclaims(successor)
    successor.clock.advance(GRACE)
    assert len(warnings(log)) == 101
    assert warnings(log)[-1] == "reclaims without a proof: 50 more in the last 10 s"


def test_a_waiter_is_proven_its_grant_too() -> None:
    same = first_daemon()
    holder, waiter = Client(), Client(kind=TcpTransport)
    holder.ask(same)
    connection = ClientConnection()
    waiting = same.connect(kind=TcpTransport).send(connection.lock(R1))
    same.clock.advance(1.0)
    holder.client.leave()
    [granted] = [event for event in connection.receive(waiting.transport.value()) if isinstance(event, Granted)]
    waiter.granted, waiter.session = granted, connection.session
    assert waiter.reclaims(daemon())


# where keys come from


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(str(tmp_path / "state"))


def test_the_first_daemon_of_a_directory_makes_the_key(state: StateDirectory) -> None:
    first = proofs_of_directory(state, "/s")
    assert not first.are_required  # nobody before it can have had it
    path = Path(state.path, "key")
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_bytes()
    second = proofs_of_directory(state, "/s")
    assert second.are_required
    assert second.has_signed(first.new_start())
    assert path.read_bytes() == text


def test_daemons_at_other_addresses_have_other_keys(state: StateDirectory) -> None:
    assert not proofs_of_directory(state, "/t").has_signed(proofs_of_directory(state, "/s").new_start())


def test_without_a_key_starts_are_random() -> None:
    start = Proofs().new_start()
    assert len(start) == 16
    assert not Proofs(KEY).has_signed(start)
    assert not Proofs().has_signed(Proofs(KEY).new_start())


def test_a_broken_key_is_named_and_left_alone(state: StateDirectory) -> None:
    path = Path(state.path, "key")
    path.touch(0o600)
    for text in (b"", b"12\n", b"g" * 64, b"0" * 66):
        path.write_bytes(text)
        with pytest.raises(StateError, match=f"^{path}: it is no key$"):
            proofs_of_directory(state, "/s")
        assert path.read_bytes() == text


def test_a_key_that_others_can_read_is_none(state: StateDirectory) -> None:
    proofs_of_directory(state, "/s")
    path = Path(state.path, "key")
    path.chmod(0o640)
    with pytest.raises(StateError, match=rf"^{path}: others may read it \(mode 640\)$"):
        proofs_of_directory(state, "/s")


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other users need root")
def test_a_key_of_another_user_is_none(state: StateDirectory) -> None:
    proofs_of_directory(state, "/s")
    path = Path(state.path, "key")
    os.chown(path, 12345, 12345)
    with pytest.raises(StateError, match=rf"^{path}: it belongs to uid 12345$"):
        proofs_of_directory(state, "/s")


def test_a_full_disk_is_told_and_there_are_no_proofs(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch, log: list[LogEvent]
) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    proofs = proofs_of_directory(state, "/s")
    assert proofs.problem == f"{state.path}/key: no space left on device"
    assert warnings(log) == [f"{proofs.problem}: no grant has a proof"]
    assert not proofs.are_required


def group(secret: bytes | None, address: str = "ff02::1") -> Group:
    return Group(address, 28015, key=None if secret is None else GroupKey(secret, lambda: "00"))


def test_in_a_group_its_key_decides() -> None:
    one = proofs_of_group(group(b"a secret of some bytes"))
    assert one.are_required
    start = one.new_start()
    assert proofs_of_group(group(b"a secret of some bytes", "ff02:0::1")).has_signed(start)
    assert not proofs_of_group(group(b"a secret of some bytes", "ff02::2")).has_signed(start)
    assert not proofs_of_group(group(b"another secret, as long")).has_signed(start)
    assert not proofs_of_group(group(None)).are_required


def test_in_a_group_without_a_key_reclaims_are_believed_in_the_grace() -> None:
    successor = MemoryDaemon(proofs=proofs_of_group(group(None)))
    successor.arbiter.begin_grace(0.5)
    assert Client().reclaims(successor)
    successor.clock.advance(0.5)
    assert not Client().reclaims(successor, name="R2")


def test_in_a_group_without_a_key_a_client_comes_back_to_the_same_leader() -> None:
    client, leader = Client(kind=TcpTransport), MemoryDaemon(proofs=proofs_of_group(group(None)))
    client.ask(leader)
    client.client.leave(ConnectionLost())
    assert client.reclaims(leader)


class _Certificate(FakeTls):
    """Knows one client by C{digest}."""

    def __init__(self, digest: bytes) -> None:
        super().__init__()
        self._digest = digest

    def peer_certificate(self, transport: Any) -> bytes:
        return self._digest

    def has_broken(self, transport: Any, reason: Any) -> bool:
        return False
