"""
What C{flom-run}, and the daemon that it starts, import: every command waits for it.

Where a daemon runs, the modules are listed, and a change that needs another one lists it too. The numbers of the other
ways are what there was in Python 3.10 to 3.13, at most, and a few more.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.fakes.authority import Authority
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.programs import Programs, eventually, free_port

# what a Python starts with that notes at its end what it has imported since, in a file called like its program
NOTE = """
import atexit, os, sys
before = set(sys.modules)
def note():
    path = os.path.join(os.path.dirname(__file__), "of-" + os.path.basename(sys.argv[0]))
    with open(path + ".part", "w") as file:
        file.write("\\n".join(set(sys.modules) - before))
    os.rename(path + ".part", path)
atexit.register(note)
end = os._exit
def note_and_end(status):
    if sys.argv[0].endswith("/flom-run"):
        note()
    end(status)
os._exit = note_and_end
"""

# flom-run without its script's head, which would have Python ignore PYTHONPATH
RUN = "from flom.run.main import main; main()"

SLOW = {
    "OpenSSL",
    "asyncio",
    "cryptography",
    "datetime",
    "email",
    "hashlib",
    "http",
    "json",
    "pathlib",
    "random",
    "ssl",
    "subprocess",
    "tempfile",
    "twisted",
    "urllib",
    "uuid",
    "xml.sax",
    "zope",
}
"""Packages and modules that take milliseconds, and that nearly every C{flom-run} can do without."""

NOT_OURS = {"contextlib", "dataclasses", "enum", "functools", "logging", "re", "typing"}
"""What the modules of a C{flom-run} with a daemon do not import, for the same reason; what Python does is not ours."""


@pytest.fixture
def noting(tmp_path: Path) -> dict[str, str]:
    """The environment in which a program leaves a note in the test's directory."""
    (tmp_path / "sitecustomize.py").write_text(NOTE)
    (tmp_path / "flom-run").write_text(RUN)
    return {"PYTHONPATH": str(tmp_path)}


def noted(directory: Path, program: str) -> set[str]:
    """Wait for the end of C{program}; give the modules that it has imported."""
    note = directory / f"of-{program}"
    eventually(note.exists, f"a note of {program}")
    return set(note.read_text().split())


def within(packages: Iterable[str], modules: set[str]) -> list[str]:
    """Return those of C{packages} of which there is something in C{modules}."""
    return sorted(package for package in packages if any(f"{name}.".startswith(f"{package}.") for name in modules))


def imports_of(module: str) -> set[str]:
    """Return the modules that C{module} of ours imports when it is imported itself."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    pending: list[ast.AST] = list(ast.parse(Path(spec.origin).read_text()).body)
    found = set()
    while pending:
        match pending.pop():
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(name)):
                found.add(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                pass  # imported when it is called, if at all
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                pending += otherwise
            case node:
                pending += ast.iter_child_nodes(node)
    return found


class Way:
    """
    A way to a daemon that runs.

    @ivar words: options of C{flom-run}, and words before it.
    """

    def __init__(
        self, directory: Path, options: list[str], before: Callable[..., list[str]] = lambda *words: list(words)
    ) -> None:
        self.words = before(sys.executable, str(directory / "flom-run"), *options, "-d", "0", "--", "true")


@pytest.fixture
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    """The way of which the test is about, and its daemon."""
    port = str(free_port())
    match request.param:
        case "UNIX" | "-V":
            address = request.getfixturevalue("address")
            yield Way(tmp_path, [*(["-V"] if request.param == "-V" else []), "-s", address, "-r", "imports"])
        case "TCP":
            with Daemon("--unicast-address", "127.0.0.1", "--unicast-port", port):
                yield Way(tmp_path, ["-a", "127.0.0.1", "-p", port])
        case "TLS":
            options = Authority(tmp_path / "ca", "ca").issue("host").options()
            words = ["--unicast-address", "127.0.0.1", "--unicast-port", port, *options]
            with Daemon(*words, ready="LockFactory (TLS) starting on"):
                yield Way(tmp_path, ["-a", "127.0.0.1", "-p", port, *options])
        case "group":
            with Host("flomimports") as host:
                host.add_interface("192.0.2.10/24", "fd00:1::10/64")
                with Programs() as programs:
                    leader = programs.start_program(
                        *host.words(FLOM_RUN, "-A", "ff02::1", "-r", "other", "--", "sh", "-c", "echo; read line")
                    )
                    leader.line()
                    yield Way(tmp_path, ["-A", "ff02::1"], host.words)


OURS_EVERY_WAY = """
flom flom._version flom.codes flom.errors flom.lean flom.text flom.trace
flom.client flom.client.addresses flom.client.retry
flom.client.blocking flom.client.blocking.acquire flom.client.blocking.connection flom.client.blocking.dial
flom.client.blocking.fork_safety flom.client.blocking.stream
flom.config flom.config.files flom.config.parsers flom.config.settings
flom.core flom.core.cache flom.core.group flom.core.group.timing flom.core.modes flom.core.names flom.core.requests
flom.core.protocol flom.core.protocol.connection flom.core.protocol.decode flom.core.protocol.encode
flom.core.protocol.events flom.core.protocol.fastpath flom.core.protocol.framing flom.core.protocol.messages
flom.core.protocol.session flom.core.tokens flom.core.value
flom.job flom.job.command_line flom.job.descriptors flom.job.environment flom.job.forwarding flom.job.process_name
flom.job.lineage flom.job.sender flom.job.signals flom.job.status flom.job.wording flom.job.words
flom.net flom.net.keepalive flom.net.machine_id
flom.run flom.run.child flom.run.main flom.run.program flom.run.runner flom.run.terminal
"""
"""Our modules that C{flom-run} imports to find a daemon that runs, whatever the way."""

KNOWN_HOLDER = "flom.net.holding"
"""Those for a daemon on this host at a fixed address."""

PYTHONS_EVERY_WAY = "_operator _socket _weakrefset binascii errno gc pwd select"
"""The standard library's; what these import comes with them."""


@pytest.mark.parametrize(
    ("way", "ours", "pythons"),
    [
        ("UNIX", KNOWN_HOLDER, "fcntl"),
        ("TCP", KNOWN_HOLDER, "fcntl"),
        ("TLS", f"flom.client.blocking.tls flom.tls flom.tls.verdicts {KNOWN_HOLDER}", "fcntl ssl"),
        pytest.param(
            "group",
            "flom.client.blocking.discovery flom.core.group.addresses flom.core.group.discovery "
            "flom.core.group.ranking flom.net.multicast",
            "fcntl ipaddress pyexpat struct",
            marks=needs_network_namespaces,
        ),
        ("-V", f"flom.run.account flom.run.wait_report {KNOWN_HOLDER}", "fcntl socket threading"),
    ],
    ids=["UNIX", "TCP", "TLS", "group", "-V"],
    indirect=["way"],
)
def test_where_a_daemon_runs_little_is_imported(
    programs: Programs, noting: dict[str, str], tmp_path: Path, way: Way, ours: str, pythons: str
) -> None:
    done = programs.start_program(*way.words, environment=noting).finish()
    assert done.returncode == 0
    assert done.stderr == "" or ("-V" in way.words and done.stderr.endswith("command exited with 0\n"))
    modules = noted(tmp_path, "flom-run")
    found = {name for name in modules if name.partition(".")[0] == "flom"}
    assert found == set(OURS_EVERY_WAY.split()) | set(ours.split())
    assert modules - found - imported_with(PYTHONS_EVERY_WAY.split() + pythons.split()) == set()
    assert {name: within(NOT_OURS, imports_of(name)) for name in found if within(NOT_OURS, imports_of(name))} == {}


def imported_with(names: list[str]) -> set[str]:
    """Return the modules that a Python has imported when it has imported C{names}."""
    code = f"from __future__ import annotations; import sys, {', '.join(names)}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(("transport", "most"), [("UNIX", 80), ("TCP", 90)])
def test_the_start_of_a_daemon_takes_no_more_than_it_must(
    programs: Programs, noting: dict[str, str], tmp_path: Path, transport: str, most: int
) -> None:
    where = ["-s", str(tmp_path / "s")] if transport == "UNIX" else ["-a", "127.0.0.1", "-p", str(free_port())]
    words = [sys.executable, str(tmp_path / "flom-run"), *where, "-d", "1", "--", "true"]
    done = programs.start_program(*words, environment=noting).finish()
    assert (done.returncode, done.stderr) == (0, "")
    starter = noted(tmp_path, "flom-run")
    assert within(SLOW | {"dataclasses", "enum", "logging", "socket", "typing"}, starter) == []
    assert len(starter) <= most, sorted(starter)
    daemon = noted(tmp_path, "__main__.py")
    assert "twisted.internet.reactor" in daemon
    unwanted = ["OpenSSL", "asyncio", "cryptography", "ctypes", "http", "ipaddress", "pickle", "ssl", "zipfile"]
    unwanted += ["twisted.internet.endpoints", "twisted.plugin", "twisted.scripts", "twisted.web"]
    assert within(unwanted, daemon) == []
    assert len(daemon) <= 320, sorted(daemon)


def test_a_program_that_wants_locks_without_a_reactor_imports_none() -> None:
    script = "import sys, flom.client.blocking.lock; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert within(["twisted", "zope", "OpenSSL", "cryptography", "asyncio"], set(done.stdout.split())) == []
