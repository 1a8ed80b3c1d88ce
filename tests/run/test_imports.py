"""
What C{flom-run}, and the daemon that it starts, import: every command waits for it.

The numbers are what there was in Python 3.10 to 3.13, at most, and a few more. Whoever needs one module more may raise
them; whoever needs ten should ask whether a command has to wait for all of them.
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

OURS = {"contextlib", "dataclasses", "enum", "logging", "re", "typing"}
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


@pytest.mark.parametrize(
    ("way", "most"),
    [
        ("UNIX", 116),
        ("TCP", 118),
        ("TLS", 130),
        pytest.param("group", 130, marks=needs_network_namespaces),
        ("-V", 114),
    ],
    indirect=["way"],
)
def test_where_a_daemon_runs_little_is_imported(
    programs: Programs, noting: dict[str, str], tmp_path: Path, way: Way, most: int
) -> None:
    done = programs.start_program(*way.words, environment=noting).finish()
    assert (done.returncode, done.stderr) == (0, "")
    modules = noted(tmp_path, "flom-run")
    assert "flom.run.runner" in modules
    allowed = {"ssl"} if "--tls-certificate" in way.words else set()
    assert within((SLOW | {"dataclasses", "logging", "typing"}) - allowed, modules) == []
    assert len(modules) <= most, sorted(modules)
    ours = sorted(name for name in modules if name.partition(".")[0] == "flom")
    assert len(ours) > 20
    assert {name: within(OURS, imports_of(name)) for name in ours if within(OURS, imports_of(name))} == {}


def test_the_start_of_a_daemon_takes_no_more_than_it_must(
    programs: Programs, noting: dict[str, str], tmp_path: Path
) -> None:
    words = [sys.executable, str(tmp_path / "flom-run"), "-s", str(tmp_path / "s"), "-d", "1", "--", "true"]
    done = programs.start_program(*words, environment=noting).finish()
    assert (done.returncode, done.stderr) == (0, "")
    starter = noted(tmp_path, "flom-run")
    assert within(SLOW - {"subprocess"}, starter) == []
    assert len(starter) <= 123, sorted(starter)
    daemon = noted(tmp_path, "__main__.py")
    assert "twisted.internet.reactor" in daemon
    unwanted = ["OpenSSL", "asyncio", "cryptography", "http.cookiejar", "twisted.web", "twisted.scripts", "ssl"]
    assert within(unwanted, daemon) == []
    assert len(daemon) <= 320, sorted(daemon)


def test_a_program_that_wants_locks_without_a_reactor_imports_none() -> None:
    script = "import sys, flom.client.blocking.lock; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert within(["twisted", "zope", "OpenSSL", "cryptography", "asyncio"], set(done.stdout.split())) == []
