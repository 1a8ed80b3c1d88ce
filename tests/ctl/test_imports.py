"""
What the commands of C{flomctl} import: their users wait for it.

The numbers are what there was in Python 3.10 to 3.13, at most, and a few more.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.ctl.peers import Locks
from tests.fakes.daemon import Daemon

# runs the words of its command line, and writes on stderr what it has imported
SCRIPT = """
import sys
before = set(sys.modules)
from flom.ctl import run
status = run(sys.argv[1:])
print(*sorted(set(sys.modules) - before), file=sys.stderr)
sys.exit(status)
"""

NEVER = {
    *("OpenSSL", "asyncio", "cryptography", "twisted", "zope"),
    *("contextlib", "dataclasses", "datetime", "email", "hashlib", "inspect", "logging", "pathlib", "random"),
    *("rich", "shutil", "ssl", "subprocess", "tempfile", "typing", "urllib", "uuid", "xml.sax"),
}
"""What takes milliseconds, and is for terminals, certificates, TLS or C{flomctl doctor} only."""


def imported(*words: str) -> set[str]:
    """Return the modules that C{flomctl} with C{words} imports; what it prints goes to a pipe."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return set(done.stderr.splitlines()[-1].split())


def within(packages: set[str], modules: set[str]) -> list[str]:
    """Return those of C{packages} of which there is something in C{modules}."""
    return sorted(package for package in packages if any(f"{name}.".startswith(f"{package}.") for name in modules))


@pytest.mark.parametrize(
    ("words", "module"), [("status --json", "status"), ("status", "status"), ("wait-for R1", "wait_for")]
)
def test_a_status_takes_little(daemon: Daemon, locks: Locks, words: str, module: str) -> None:
    locks.ask("R1")
    modules = imported(*words.split(), "-s", daemon.socket)
    assert f"flom.ctl.{module}" in modules
    assert within(NEVER, modules) == []
    assert len(modules) <= 102, sorted(modules)


def test_discovery_takes_no_status() -> None:
    modules = imported("discover", "-A", "239.255.77.1", "-n", "lo", "-w", "1")
    assert "flom.net.multicast" in modules
    assert within(NEVER - {"urllib"} | {"flom.status.model", "json"}, modules) == []
    assert len(modules) <= 89, sorted(modules)


@pytest.mark.parametrize("words", ["status --help", "certs issue --help", "doctor --help", "--version"])
def test_help_takes_nothing_of_the_command(words: str) -> None:
    modules = imported(*words.split())
    assert within(NEVER - {"shutil"} | {"flom.client", "flom.tls", "json"}, modules) == []
