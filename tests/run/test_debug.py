"""
C{--debug-feature}: a TLS connection without a lock (docs/compatibility.md, "Debug features"); the multicast features
are tried in tests/lan.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

from flom.config import Config
from flom.net.machine_id import unique_id
from flom.run.debug import try_feature
from flom.tls.authority import issue, make_authority
from tests.fakes.programs import Programs, assert_refused, eventually, free_port

ARRIVED = f"Arrived unique id is '{unique_id()}'\n"


PATIENCE = 30.0  # seconds


def in_thread(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Call C{function} in a thread; return its future."""
    future: Future[Any] = Future()
    Thread(target=lambda: future.set_result(function(*arguments)), daemon=True).start()
    return future


def is_listening(port: int) -> bool:
    """Return whether a process listens on a port of 127.0.0.1, without connecting to it."""
    return f"0100007F:{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()


class Files(NamedTuple):
    """What it takes to use TLS."""

    certificate: str
    key: str
    authority: str

    def words(self) -> list[str]:
        """Return the options that name them."""
        return [
            f"--tls-certificate={self.certificate}",
            f"--tls-private-key={self.key}",
            f"--tls-ca-certificate={self.authority}",
        ]

    def config(self, port: int, *, check: bool = False) -> Config:
        """Return the configuration of one end."""
        return Config(
            unicast_address="127.0.0.1",
            unicast_port=port,
            tls_certificate=self.certificate,
            tls_private_key=self.key,
            tls_ca_certificate=self.authority,
            tls_check_peer_id=check,
        )


def files_of(directory: Path, name: str) -> Files:
    """Issue a certificate to C{name} by the authority in C{directory}, which is made if there is none."""
    authority = directory / "ca.pem"
    if not authority.exists():
        make_authority(directory, days=1)
    issued = issue(directory, name, days=1)
    return Files(str(issued.certificate), str(issued.key), str(authority))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A certificate with the name of this machine."""
    return files_of(tmp_path_factory.mktemp("ours"), unique_id())


@pytest.fixture(scope="module")
def another(ours: Files) -> Files:
    """A certificate of the same authority with the name of somebody else."""
    return files_of(Path(ours.authority).parent, "somebody-else")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A certificate of another authority."""
    return files_of(tmp_path_factory.mktemp("foreign"), unique_id())


def try_both(server: Config, client: Config) -> tuple[int, int]:
    """Try both ends in this process; give their statuses."""
    serving = in_thread(try_feature, "tls.server", server)
    eventually(lambda: is_listening(server.unicast_port), "the server listens")
    asking = try_feature("tls.client", client)
    return serving.result(PATIENCE), asking


@pytest.mark.parametrize("check", [False, True], ids=["any id", "the id of the certificate"])
def test_both_ends_of_tls_tell_each_other_their_unique_id(
    capsys: pytest.CaptureFixture[str], ours: Files, check: bool
) -> None:
    config = ours.config(free_port(), check=check)
    assert try_both(config, config) == (0, 0)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (ARRIVED * 2, "")


def test_a_stranger_who_says_nothing_does_not_hold_up_the_server(
    capsys: pytest.CaptureFixture[str], ours: Files
) -> None:
    config = ours.config(free_port())
    serving = in_thread(try_feature, "tls.server", config)
    eventually(lambda: is_listening(config.unicast_port), "the server listens")
    with socket.create_connection((config.unicast_address, config.unicast_port)):
        assert try_feature("tls.client", config) == 0
        assert serving.result(PATIENCE) == 0
    assert capsys.readouterr().out == ARRIVED * 2


def test_an_id_that_is_not_the_certificate_s_is_refused_if_checked(
    capsys: pytest.CaptureFixture[str], ours: Files, another: Files
) -> None:
    port = free_port()
    _, asking = try_both(another.config(port), ours.config(port, check=True))
    assert asking == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "tls.client" in line]
    assert f"'{unique_id()}'" in line
    assert "'somebody-else'" in line


def test_certificates_of_two_authorities_do_not_go_together(
    capsys: pytest.CaptureFixture[str], ours: Files, foreign: Files
) -> None:
    port = free_port()
    assert try_both(ours.config(port), foreign.config(port)) == (1, 1)
    captured = capsys.readouterr()
    assert captured.out == ""
    client, server = sorted(captured.err.splitlines())
    assert client.startswith("debug-feature: tls.client: ")
    assert server.startswith("debug-feature: tls.server: ")


def test_a_client_without_a_server_fails(capsys: pytest.CaptureFixture[str], ours: Files) -> None:
    assert try_feature("tls.client", ours.config(free_port())) == 1
    assert_one_line(capsys, "debug-feature: tls.client: ")


def test_a_server_whose_port_is_taken_fails(capsys: pytest.CaptureFixture[str], ours: Files) -> None:
    config = ours.config(free_port())
    serving = in_thread(try_feature, "tls.server", config)
    eventually(lambda: is_listening(config.unicast_port), "the server listens")
    assert try_feature("TLS.Server", config) == 1
    assert_one_line(capsys, "debug-feature: TLS.Server: ")
    assert try_feature("TLS.Client", config) == 0
    assert serving.result(PATIENCE) == 0


def assert_one_line(capsys: pytest.CaptureFixture[str], *named: str) -> None:
    """Check that one line was written, to stderr, and what is in it."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    for word in named:
        assert word in line


@pytest.mark.parametrize("feature", ["", "none", "tls", "tls.server "])
def test_an_unknown_feature_fails(capsys: pytest.CaptureFixture[str], feature: str) -> None:
    assert try_feature(feature, Config()) == 1
    assert_one_line(capsys, f"debug-feature: '{feature}'", "tls.server", "tls.client")


@pytest.mark.parametrize("feature", ["tls.server", "tls.client"])
def test_tls_needs_an_address_and_three_files(capsys: pytest.CaptureFixture[str], feature: str) -> None:
    assert try_feature(feature, Config(tls_certificate="/c")) == 1
    assert_one_line(capsys, feature, "unicast-address", "tls-private-key", "tls-ca-certificate")


@pytest.mark.parametrize("feature", ["ipv6.multicast.server", "ipv6.multicast.client"])
def test_multicast_needs_a_group(capsys: pytest.CaptureFixture[str], feature: str) -> None:
    assert try_feature(feature, Config()) == 1
    assert_one_line(capsys, feature, "multicast-address")


def test_a_file_that_is_no_certificate_fails(capsys: pytest.CaptureFixture[str], ours: Files) -> None:
    config = Files(ours.certificate, ours.certificate, ours.authority).config(free_port())
    assert try_feature("tls.server", config) == 1
    assert_one_line(capsys, "tls-private-key", ours.certificate)


# as processes


def test_two_processes_find_each_other(programs: Programs, ours: Files) -> None:
    port = free_port()
    words = ["-a", "127.0.0.1", "-p", str(port), *ours.words()]
    server = programs.start("--debug-feature=tls.server", *words)
    eventually(lambda: is_listening(port), "the server listens")
    client = programs.run("--debug-feature", "TLS.client", *words, "--tls-check-peer-id=yes")
    for done in (server.finish(), client):
        assert (done.returncode, done.stdout, done.stderr) == (0, ARRIVED, "")


def test_a_process_that_fails_gives_1(programs: Programs) -> None:
    assert_refused(programs.run("--debug-feature=tls.client"), 1, "debug-feature: tls.client: it needs")
