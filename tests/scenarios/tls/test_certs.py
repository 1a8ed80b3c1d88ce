"""C{flomctl certs}: an authority and certificates for those who have none."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from flom.ctl import FAILED, run
from flom.net.machine_id import unique_id
from tests.fakes.authority import EXPIRED, Authority, Files
from tests.fakes.daemon import BIN
from tests.fakes.programs import Programs
from tests.fakes.tls_network import MemoryNetwork, NetworkDaemon, is_served
from tests.scenarios.tls.conftest import SOMEBODY

Certs = Callable[..., tuple[int, str]]


@pytest.fixture
def certs(capsys: pytest.CaptureFixture[str]) -> Certs:
    """Runs C{flomctl certs} with some arguments; gives its status, and what it says on stdout or stderr."""

    def make(*words: object) -> tuple[int, str]:
        status = run(["certs", *map(str, words)])
        out, err = capsys.readouterr()
        assert not (out and err)
        return status, out or err

    return make


@pytest.fixture
def directory(tmp_path: Path, certs: Certs) -> Path:
    """Where there is an authority."""
    assert certs("init", tmp_path / "ca")[0] == 0
    return tmp_path / "ca"


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def read_certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def days_left(path: Path) -> float:
    return (read_certificate(path).not_valid_after_utc - datetime.now(timezone.utc)) / timedelta(days=1)


def files_of(directory: Path, name: str) -> Files:
    return Files(*(str(directory / file) for file in (f"{name}.pem", f"{name}.key", "ca.pem")))


# what is made


def test_an_authority_is_two_files_for_its_owner(directory: Path) -> None:
    assert mode_of(directory) == 0o700
    assert names_in(directory) == ["ca.key", "ca.pem"]
    assert mode_of(directory / "ca.key") == 0o600


def test_a_certificate_is_two_files_that_are_told_as_options(certs: Certs, directory: Path) -> None:
    status, said = certs("issue", directory, "--unique-id", "host-1.example")
    assert status == 0
    assert shlex.split(said) == files_of(directory, "host-1.example").options()
    assert names_in(directory) == ["ca.key", "ca.pem", "host-1.example.key", "host-1.example.pem"]
    assert mode_of(directory / "host-1.example.key") == 0o600


@pytest.mark.parametrize("name", [SOMEBODY, "a", "a" * 64, "host_1.example"])
def test_the_id_is_the_common_name(certs: Certs, directory: Path, name: str) -> None:
    assert certs("issue", directory, "--unique-id", name)[0] == 0
    assert read_certificate(directory / f"{name}.pem").subject.rfc4514_string() == f"CN={name}"


def test_without_an_id_it_is_for_this_host(certs: Certs, directory: Path) -> None:
    assert certs("issue", directory)[0] == 0
    assert read_certificate(directory / f"{unique_id()}.pem").subject.rfc4514_string() == f"CN={unique_id()}"


def test_no_two_authorities_have_one_name(certs: Certs, tmp_path: Path) -> None:
    for name in ("one", "two"):
        certs("init", tmp_path / name)
    first, second = (read_certificate(tmp_path / name / "ca.pem").subject for name in ("one", "two"))
    assert first != second


# how long it is valid


def test_it_is_valid_for_as_many_days_as_wanted(certs: Certs, tmp_path: Path) -> None:
    certs("init", tmp_path / "ca", "--days", "30")
    certs("issue", tmp_path / "ca", "--days", "3")
    assert days_left(tmp_path / "ca" / "ca.pem") == pytest.approx(30, abs=0.01)
    assert days_left(tmp_path / "ca" / f"{unique_id()}.pem") == pytest.approx(3, abs=0.01)


def test_it_is_not_valid_for_longer_than_its_authority(certs: Certs, tmp_path: Path) -> None:
    certs("init", tmp_path / "ca", "--days", "30")
    certs("issue", tmp_path / "ca", "--days", "31")
    authority, certificate = (read_certificate(tmp_path / "ca" / f"{name}.pem") for name in ("ca", unique_id()))
    assert certificate.not_valid_after_utc == authority.not_valid_after_utc


def test_it_is_valid_where_the_clock_is_behind(certs: Certs, directory: Path) -> None:
    certs("issue", directory)
    for name in ("ca", unique_id()):
        not_before = read_certificate(directory / f"{name}.pem").not_valid_before_utc
        assert not_before < datetime.now(timezone.utc) - timedelta(minutes=30)


@pytest.mark.parametrize("days", ["0", "-1", "36501", "many"])
@pytest.mark.parametrize("step", ["init", "issue"])
def test_days_that_are_none_are_refused(certs: Certs, tmp_path: Path, step: str, days: str) -> None:
    status, said = certs(step, tmp_path / "ca", f"--days={days}")
    assert (status, said.count("\n")) == (2, 1)
    assert f"{days!r}" in said or f" {days} " in said
    assert names_in(tmp_path) == []


# what is refused


def refusal(outcome: tuple[int, str]) -> str:
    """Check that C{outcome} is a failure, told in one line; give what it says."""
    status, said = outcome
    assert status == FAILED
    assert said.startswith("flomctl: ")
    assert (said.count("\n"), said[-1]) == (1, "\n")
    return said.removeprefix("flomctl: ").strip()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_nothing_is_overwritten(certs: Certs, directory: Path) -> None:
    certs("issue", directory)
    before = contents(directory)
    assert refusal(certs("init", directory)) == f"{directory}/ca.key: file exists"
    assert refusal(certs("issue", directory)) == f"{directory}/{unique_id()}.key: file exists"
    assert contents(directory) == before


def test_where_one_of_two_files_is_there_the_other_is_not_left_behind(certs: Certs, directory: Path) -> None:
    (directory / f"{unique_id()}.pem").touch()
    assert refusal(certs("issue", directory)) == f"{directory}/{unique_id()}.pem: file exists"
    assert names_in(directory) == [f"{unique_id()}.pem", "ca.key", "ca.pem"]


NO_IDS = ["", "-", ".", "..", "../up", "a/b", ".hidden", "a b", "a\nb", "é", "a*", "ca", "a" * 65]


@pytest.mark.parametrize("name", NO_IDS)
def test_an_id_that_is_none_is_refused(certs: Certs, directory: Path, name: str) -> None:
    assert "unique-id: " in refusal(certs("issue", directory, f"--unique-id={name}"))
    assert names_in(directory) == ["ca.key", "ca.pem"]


def test_a_directory_of_two_lines_is_told_in_one(certs: Certs, tmp_path: Path) -> None:
    assert refusal(certs("issue", tmp_path / "a\nb")).startswith(f"{tmp_path}/a\\nb/ca.pem: ")


def test_a_word_of_two_lines_that_makes_no_sense_is_told_in_one(certs: Certs, directory: Path) -> None:
    status, said = certs("issue", directory, "a\nb")
    assert (status, said.count("\n")) == (2, 1)


def test_without_an_authority_nothing_is_issued(certs: Certs, tmp_path: Path) -> None:
    assert "flomctl certs init" in refusal(certs("issue", tmp_path / "nowhere"))
    assert "flomctl certs init" in refusal(certs("issue", tmp_path))
    assert names_in(tmp_path) == []


def test_an_expired_authority_issues_nothing(certs: Certs, directory: Path, tmp_path: Path) -> None:
    expired = Authority(tmp_path / "test", "Test").issue("old", days=EXPIRED)
    (directory / "ca.pem").write_bytes(Path(expired.certificate).read_bytes())
    (directory / "ca.key").write_bytes(Path(expired.key).read_bytes())
    assert refusal(certs("issue", directory)) == f"{directory}/ca.pem: it has expired"


@pytest.mark.parametrize("file", ["ca.pem", "ca.key"])
@pytest.mark.parametrize("content", ["", "hello\n"])
def test_an_authority_that_cannot_be_used_is_named(certs: Certs, directory: Path, file: str, content: str) -> None:
    (directory / file).write_text(content)
    assert refusal(certs("issue", directory)).startswith(f"{directory}/{file}: ")
    assert names_in(directory) == ["ca.key", "ca.pem"]


def test_an_authority_with_the_key_of_another_is_refused(certs: Certs, directory: Path, tmp_path: Path) -> None:
    certs("init", tmp_path / "other")
    (tmp_path / "other" / "ca.key").replace(directory / "ca.key")
    assert refusal(certs("issue", directory)) == f"{directory}/ca.key: it is not the key of ca.pem"


def test_an_authority_of_another_kind_issues_too(certs: Certs, tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mine")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=3))
    (tmp_path / "ca.pem").write_bytes(builder.sign(key, None).public_bytes(Encoding.PEM))
    (tmp_path / "ca.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert certs("issue", tmp_path, "--unique-id", "a")[0] == 0
    read_certificate(tmp_path / "a.pem").verify_directly_issued_by(read_certificate(tmp_path / "ca.pem"))


def test_a_directory_that_cannot_be_made_is_named(certs: Certs, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(certs("init", tmp_path / "file")).startswith(f"{tmp_path}/file: ")
    assert refusal(certs("init", tmp_path / "file" / "ca")).startswith(f"{tmp_path}/file/ca: ")
    assert refusal(certs("issue", tmp_path / "file")).startswith(f"{tmp_path}/file/ca.pem: ")


# what it is good for


def test_the_peers_that_it_certifies_trust_each_other_only(
    certs: Certs, directory: Path, tmp_path: Path, network: MemoryNetwork, version: int
) -> None:
    certs("issue", directory)
    certs("issue", directory, "--unique-id", SOMEBODY)
    certs("init", tmp_path / "other")
    certs("issue", tmp_path / "other")
    daemon = NetworkDaemon(network, files_of(directory, SOMEBODY).tls())
    assert is_served(network, daemon, files_of(directory, unique_id()).tls())
    assert not is_served(network, daemon, files_of(tmp_path / "other", unique_id()).tls())


def test_from_nothing_to_a_lock(programs: Programs, tmp_path: Path) -> None:
    flomctl = [str(BIN / "flomctl"), "certs"]
    assert programs.start_program(*flomctl, "init", "ca", cwd=tmp_path).finish().returncode == 0
    issued = programs.start_program(*flomctl, "issue", "ca", cwd=tmp_path).finish()
    assert (issued.returncode, issued.stderr) == (0, "")
    options = [*shlex.split(issued.stdout), "--tls-check-peer-id", "yes"]
    done = programs.run("-s", "flom.sock", "-d", "1000", *options, "--", "echo", "ran", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
