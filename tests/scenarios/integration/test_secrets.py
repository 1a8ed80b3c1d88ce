"""What is logged, traced and told holds nothing of keys, of the environment and of the words of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from flom.net.machine_id import unique_id
from flom.tls.authority import issue, make_authority
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.programs import Programs, free_port

EVERYTHING = {"FLOM_TRACE_MASK": "0xffffff"}

FLOM = str(BIN / "flom")  # which says more than flom-run

WORD, VALUE = "--password=tr0ub4dor", "c0rrecthorse"  # of the command; in the environment


class Place:
    """A port of 127.0.0.1, and files for TLS there."""

    def __init__(self, directory: Path) -> None:
        self.where = ["-a", "127.0.0.1", "-p", str(free_port())]
        authority = make_authority(directory, days=1)
        issued = issue(directory, unique_id(), days=1)
        self.tls = ["--tls-certificate", str(issued.certificate), "--tls-private-key", str(issued.key)]
        self.tls += ["--tls-ca-certificate", str(authority.certificate)]
        self.key = [line for line in issued.key.read_text().splitlines() if "-----" not in line]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "certificates")


def assert_no_secret(place: Place, *texts: str) -> None:
    for text in texts:
        assert text  # there is something to look at
        for secret in (WORD, VALUE, *place.key):
            assert secret not in text


def test_while_all_goes_well(place: Place, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    monkeypatch.setenv("FLOM_TRACE_MASK", EVERYTHING["FLOM_TRACE_MASK"])
    monkeypatch.setenv("SECRET", VALUE)
    with Daemon(*place.where, *place.tls, "--log-grants", "-t", str(theirs), ready="FLM003N") as daemon:
        words = [*place.where, *place.tls, "-V", "-T", str(ours), "--", "sh", "-c", "true", WORD]
        done = programs.start_program(FLOM, *words).finish()
        assert done.returncode == 0
        daemon.stop()
    assert_no_secret(place, done.stdout + done.stderr, daemon.log, ours.read_text(), theirs.read_text())


@pytest.mark.parametrize("command", [["false"], ["/no/such/program"], ["sh", "-c", "kill -9 $$"]])
def test_when_a_command_fails(place: Place, programs: Programs, tmp_path: Path, command: list[str]) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    traced = ["-V", "-T", str(ours), "-t", str(theirs), "-d", "60000"]
    environment = EVERYTHING | {"SECRET": VALUE}
    words = [*place.where, *place.tls, *traced, "--", *command, WORD]
    done = programs.start_program(FLOM, *words, environment=environment).finish()
    assert done.returncode != 0
    assert_no_secret(place, done.stdout + done.stderr, ours.read_text(), theirs.read_text())
    [daemon] = programs.command_lines()
    assert WORD not in daemon


def test_when_the_peer_speaks_no_tls(place: Place, programs: Programs, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    environment = EVERYTHING | {"SECRET": VALUE}
    with Daemon(*place.where, "--log-grants") as daemon:
        words = [*place.where, *place.tls, "-V", "-T", str(ours), "--", "true", WORD]
        done = programs.run(*words, environment=environment)
        assert done.returncode == 99
        daemon.stop()
    assert_no_secret(place, done.stdout + done.stderr, daemon.log, ours.read_text())


def test_when_the_key_is_none(place: Place, programs: Programs, tmp_path: Path) -> None:
    key = Path(place.tls[3])
    key.write_text(key.read_text().replace("-----END", "=====END"))
    done = programs.run(*place.where, *place.tls, "-V", "--", "true", WORD, environment=EVERYTHING)
    assert done.returncode != 0
    assert_no_secret(place, done.stdout + done.stderr)
