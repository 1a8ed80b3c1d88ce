"""
What a plain install can do, and what it says where it cannot: it has Twisted alone.

Terminals without rich are a matter of tests/ctl/test_main.py, the file system view of
tests/scenarios/vfs/test_bad_places.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.authority import Files
from tests.fakes.daemon import Daemon
from tests.fakes.installation import Installation
from tests.fakes.programs import free_port
from tests.scenarios.tls.conftest import authority as authority
from tests.scenarios.tls.conftest import files as files
from tests.scenarios.tls.conftest import good as good


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("twistd -n --pidfile= flom -s SOCKET TLS", "twistd flom: TLS needs pyOpenSSL: pip install 'txflom[tls]'"),
        (
            "flom-run -a 127.0.0.1 -p PORT TLS -- true",
            "flom-run: the daemon did not start: twistd flom: TLS needs pyOpenSSL: pip install 'txflom[tls]'",
        ),
        (
            "twistd -n --pidfile= flom -s SOCKET --listen ENDPOINT",
            "twistd flom: listen: 'ENDPOINT' is no endpoint: it needs pyOpenSSL: pip install 'txflom[tls]'",
        ),
        ("flomctl certs init DIR", "flomctl needs cryptography: pip install 'txflom[tls]'"),
        (
            "twistd -n --pidfile= flom -s SOCKET --http tcp:PORT",
            "twistd flom: http needs prometheus_client: pip install 'txflom[web]'",
        ),
        (
            "twistd -n --pidfile= flom -s SOCKET --quorum etcd:http://127.0.0.1:1",
            "twistd flom: quorum needs treq: pip install 'txflom[etcd]'",
        ),
        (
            "flomctl epoch --quorum etcd:http://127.0.0.1:1",
            "flomctl: quorum needs treq: pip install 'txflom[etcd]'",
        ),
    ],
)
def test_one_line_says_which_extra_is_missing(
    installation: Installation, good: Files, tmp_path: Path, words: str, line: str
) -> None:
    values = {
        "SOCKET": str(tmp_path / "sock"),
        "PORT": str(free_port()),
        "TLS": " ".join(good.options()),
        "ENDPOINT": f"ssl:{free_port()}:certKey={good.certificate}:privateKey={good.key}",
        "DIR": str(tmp_path / "ca"),
    }
    for name, value in values.items():
        words, line = words.replace(name, value), line.replace(f"'{name}'", f"'{value}'")
    done = installation.start(*words.split())
    assert done.returncode != 0
    assert done.stderr == f"{line}\n"


def test_flom_run_over_tls_needs_no_extra(installation: Installation, good: Files) -> None:
    """It has the standard library's C{ssl}; the daemon needs pyOpenSSL."""
    port = str(free_port())
    with Daemon("-a", "127.0.0.1", "-p", port, *good.options()):
        place = ["-a", "127.0.0.1", "-p", port, "-d", "0", *good.options()]
        assert installation.run("flom-run", *place, "--", "echo", "locked") == "locked\n"


def test_an_error_of_tls_is_told_without_cryptography(
    installation: Installation, good: Files, files: dict[str, Files]
) -> None:
    """The certificate that is not trusted is not read, and the line says how it would be."""
    port = str(free_port())
    with Daemon("-a", "127.0.0.1", "-p", port, *files["from another authority"].options()):
        done = installation.start("flom-run", "-a", "127.0.0.1", "-p", port, "-d", "0", *good.options(), "--", "true")
    assert (done.returncode, done.stdout) == (99, "")
    assert done.stderr.endswith(
        f"127.0.0.1:{port}: its certificate (to read it needs cryptography: pip install 'txflom[tls]') "
        "does not come from the authority in tls-ca-certificate\n"
    )


def test_a_file_for_tls_that_is_none_is_told_without_cryptography(
    installation: Installation, good: Files, tmp_path: Path
) -> None:
    (tmp_path / "none").write_text("no certificate")
    done = installation.start(
        *("flom-run", "-a", "127.0.0.1", "-p", str(free_port()), "--tls-certificate", str(tmp_path / "none")),
        *("--tls-private-key", good.key, "--tls-ca-certificate", good.authority, "--", "true"),
    )
    assert done.returncode == 99
    [line] = done.stderr.splitlines()
    assert f"'{tmp_path}/none', '{good.key}' or '{good.authority}' cannot be used: " in line
    assert line.endswith("; to say which needs cryptography: pip install 'txflom[tls]'")
