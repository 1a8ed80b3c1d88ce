"""Claiming addresses: one wins, a stale socket is replaced, nothing else is touched."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flom.net.claim import CannotClaim, Claim, claim_private, claim_tcp, claim_unix, from_descriptors


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "flom.sock")


@pytest.fixture
def claim(path: str) -> Iterator[Claim]:
    claim = claim_unix(path, 0o600)
    yield claim
    claim.close()


def refusal(path: str) -> CannotClaim:
    """Return the reason why C{path} cannot be claimed."""
    with pytest.raises(CannotClaim) as raised:
        claim_unix(path, 0o600)
    assert path in str(raised.value)
    return raised.value


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_clients_can_connect_from_the_moment_of_the_claim(claim: Claim, path: str) -> None:
    connect(path)


def test_a_second_claim_is_told_that_the_first_is_there(claim: Claim, path: str) -> None:
    assert refusal(path).is_taken


def test_the_socket_of_a_dead_daemon_is_replaced(path: str) -> None:
    claim_unix(path, 0o600).close()
    claim_unix(path, 0o600).close()


def test_a_live_socket_is_not_replaced_without_its_lock_file(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        assert refusal(path).is_taken
        connect(path)


def test_a_file_at_the_path_stays(path: str) -> None:
    Path(path).write_text("precious")
    assert not refusal(path).is_taken
    assert Path(path).read_text() == "precious"


def test_a_directory_at_the_path_stays(path: str) -> None:
    os.mkdir(path)
    assert not refusal(path).is_taken
    assert os.path.isdir(path)


def test_a_link_at_the_path_is_not_followed(path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    os.symlink(target, path)
    assert not refusal(path).is_taken
    assert target.read_text() == "precious"


def test_a_link_at_the_path_of_the_lock_file_is_not_followed(path: str, tmp_path: Path) -> None:
    os.symlink(tmp_path / "target", path + ".lock")
    refusal(path)
    assert not (tmp_path / "target").exists()


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert not refusal(str(tmp_path / "nowhere" / "flom.sock")).is_taken


@pytest.mark.parametrize("mode", [0o600, 0o777])
def test_the_socket_has_its_permissions(mode: int, path: str) -> None:
    claim = claim_unix(path, mode)
    assert stat.S_IMODE(os.stat(path).st_mode) == mode
    assert stat.S_IMODE(os.stat(path + ".lock").st_mode) == mode & 0o666
    claim.close()


def places(directory: Path, name: str) -> list[str]:
    """Return addresses as of a user's daemon: an abstract one, and two files called C{name}."""
    return [f"\0flom-test{directory}", str(directory / "runtime" / name), str(directory / name)]


def test_a_user_s_daemon_listens_wherever_it_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "runtime").mkdir()
    addresses = places(tmp_path, "s")
    claims = claim_private(addresses, pytest.fail)
    for address in addresses:
        connect(address)
    for claim in claims:
        claim.close()
    for address in addresses:
        with pytest.raises(OSError, match=r"No such file|refused"):
            connect(address)


def test_a_user_s_second_daemon_is_told_of_the_first_wherever_it_is(tmp_path: Path) -> None:
    first = claim_private(places(tmp_path, "s"), pytest.fail)
    with pytest.raises(CannotClaim) as raised:
        claim_private(places(tmp_path, "other"), pytest.fail)
    assert raised.value.is_taken
    assert not (tmp_path / "other").exists()
    for claim in first:
        claim.close()


def test_a_user_s_daemon_can_do_without_the_place_of_flom(tmp_path: Path) -> None:
    addresses = places(tmp_path, "s")
    Path(addresses[-1]).write_text("precious")
    warnings: list[str] = []
    (claim,) = claim_private(addresses, warnings.append)
    connect(addresses[0])
    assert warnings == [f"FLoM's own commands will not find this daemon: {addresses[-1]}: it is no socket"]
    claim.close()


def test_but_not_if_another_user_has_taken_its_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runtime").mkdir()
    addresses = places(tmp_path, "s")
    Path(addresses[-1]).write_text("precious")
    monkeypatch.setattr("flom.net.claim.peer_uid", lambda _: 12345)  # who has bound the names
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(addresses[0])
        other.listen()
        with pytest.raises(CannotClaim, match="it is no socket"):
            claim_private(addresses, pytest.fail)
    assert not Path(addresses[1]).exists()


def test_nothing_is_left_beside_a_file_that_is_no_socket(tmp_path: Path) -> None:
    """A file C{/etc/passwd.lock}, left by C{flom-run -s /etc/passwd}, kept adduser from working."""
    (tmp_path / "passwd").write_text("root:x:0:0:root:/root:/bin/sh")
    with pytest.raises(CannotClaim, match="it is no socket"):
        claim_unix(str(tmp_path / "passwd"), 0o777)
    assert [file.name for file in tmp_path.iterdir()] == ["passwd"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_tcp_port_is_claimed_once(host: str) -> None:
    claim = claim_tcp(host, 0)
    port = claim.socket.getsockname()[1]
    with pytest.raises(CannotClaim, match=str(port)) as raised:
        claim_tcp(host, port)
    assert raised.value.is_taken
    claim.close()


def test_a_second_address_of_a_host_is_no_way_round_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def both(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr("_socket.getaddrinfo", both)
    claim = claim_tcp("localhost", 0)
    with pytest.raises(CannotClaim) as raised:
        claim_tcp("localhost", claim.socket.getsockname()[1])
    assert raised.value.is_taken
    claim.close()


def test_an_address_of_another_host_is_refused() -> None:
    with pytest.raises(CannotClaim, match=r"192\.0\.2\.99:28015: cannot assign"):
        claim_tcp("192.0.2.99", 28015)


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(CannotClaim, match=r"no\.such\.invalid"):
        claim_tcp("no.such.invalid", 28015)


def test_a_claim_can_be_taken_over(path: str) -> None:
    given = claim_unix(path, 0o600)
    taken = from_descriptors(*map(os.dup, given.descriptors()))
    given.close()
    assert refusal(path).is_taken
    taken.close()
    claim_unix(path, 0o600).close()


@pytest.mark.parametrize("removed", [[".lock"], ["", ".lock"], ["", ".lock", "/.."]], ids=["lock", "both", "directory"])
def test_without_its_files_a_claim_still_keeps_others_out(tmp_path: Path, removed: list[str]) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    path = str(directory / "s")
    claim = claim_unix(path, 0o600)
    for suffix in removed:
        if suffix == "/..":
            directory.rmdir()
            directory.mkdir()
        else:
            os.unlink(path + suffix)
    assert refusal(path).is_taken
    claim.close()
    claim_unix(path, 0o600).close()


def test_a_claim_makes_its_files_anew(claim: Claim, path: str) -> None:
    assert claim.renew() is None
    os.unlink(path)
    former = claim.socket
    assert claim.renew() is claim.socket
    former.close()
    connect(path)
    os.unlink(path + ".lock")
    assert claim.renew() is None
    assert os.path.exists(path + ".lock")
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
    assert refusal(path).is_taken


def test_a_claim_does_not_replace_another_daemon(claim: Claim, path: str) -> None:
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(CannotClaim) as raised:
            claim.renew()
        assert raised.value.is_taken
        connect(path)


def test_questions_to_a_claim_that_lost_its_files_do_not_add_up(claim: Claim, path: str) -> None:
    for _ in range(3):
        assert refusal(path).is_taken
    claim.renew()
    assert claim.renew() is None
    assert refusal(path).is_taken


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_another_user_cannot_keep_us_out_of_our_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "s")
    claim = claim_unix(path, 0o600)
    for file in (path, path + ".lock"):
        os.unlink(file)
    monkeypatch.setattr("flom.net.claim.peer_uid", lambda _: 12345)  # who has bound the names
    claim_unix(path, 0o600).close()
    tmp_path.chmod(0o777)
    with pytest.raises(CannotClaim):
        claim_unix(path, 0o777)
    claim.close()
